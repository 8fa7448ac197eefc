"""Numbers from label maps: volumes and function, overlap with a reference."""
