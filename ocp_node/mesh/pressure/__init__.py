"""How loaded this node is, and whether it needs help."""
