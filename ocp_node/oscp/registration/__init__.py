"""Two parties exchange tokens and base URLs (OSCP 2.0 registration)."""
