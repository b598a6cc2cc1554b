"""Which registrations a federation calls official."""
