"""The two networks, the sampling rule and the graph that joins them. Needs torch, but for names."""
