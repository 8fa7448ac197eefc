"""What ``ctct doctor`` examines: whether ctct works on this machine, and what is missing."""
