"""The nodes this one knows, and how it reaches, refreshes and trusts them."""
