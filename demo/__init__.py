"""The web page of ``ctct demo``."""
