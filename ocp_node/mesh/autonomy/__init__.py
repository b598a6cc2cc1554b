"""The node puts its mesh in order by itself, as far as it is allowed."""
