"""Which node offers what: capability registrations."""
