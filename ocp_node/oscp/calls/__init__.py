"""What we send to parties: one call at a time each, in order, again when it fails."""
