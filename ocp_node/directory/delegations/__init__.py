"""Keys that sign in another key's name."""
