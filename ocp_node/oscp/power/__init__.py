"""The node under its own limit: draw, budget, held and shed work."""
