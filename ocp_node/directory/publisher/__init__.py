"""This node's own advertisement, and where it is published."""
