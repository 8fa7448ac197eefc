"""Model files and their descriptions; without torch or a runtime."""
