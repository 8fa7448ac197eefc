"""From many scans to a folder of results: what ``ctct predict`` does."""
