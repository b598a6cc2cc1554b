"""Agreements between nodes that govern what may travel; in force when the other side has signed."""
