"""Label maps that were corrected elsewhere, measured again: what ``ctct measure`` does."""
