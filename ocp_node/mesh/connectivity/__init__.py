"""How this node can be reached, and what stands in the way."""
