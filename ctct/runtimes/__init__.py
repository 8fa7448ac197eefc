"""What runs the fused graph: one file for each runtime, and the choice between them."""
