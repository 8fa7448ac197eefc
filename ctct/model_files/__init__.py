"""What a model on disk says of itself; needs neither torch nor a runtime."""
