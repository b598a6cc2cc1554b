"""Which URLs of a peer answered, when, and how fast."""
