"""The two networks, the sampling rule and their graph. Needs torch, except for names."""
