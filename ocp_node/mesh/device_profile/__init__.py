"""What kind of device this is, and what it is willing to do."""
