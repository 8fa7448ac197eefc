"""From a study to its label map, on any runtime; torch only for the torch runtime."""
