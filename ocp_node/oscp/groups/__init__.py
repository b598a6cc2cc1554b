"""Groups of devices: members, plans, limits over time."""
