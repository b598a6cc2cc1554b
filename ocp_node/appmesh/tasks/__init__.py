"""Work that a supervised program fetches from its server."""
