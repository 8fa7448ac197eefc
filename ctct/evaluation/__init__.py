"""Label maps compared with a reference: scores, statistics, and the page that shows them."""
