"""The control deck's live view."""
