"""Jobs that peers do for this node."""
