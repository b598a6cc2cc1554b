"""What the surface does by itself once the node has started."""
