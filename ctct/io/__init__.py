"""Reading studies, finding them, and writing label maps."""
