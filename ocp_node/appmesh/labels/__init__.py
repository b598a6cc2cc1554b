"""Names and values that describe this machine."""
