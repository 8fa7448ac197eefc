"""Label maps against manual ones: scores, statistics, and the page that shows them."""
