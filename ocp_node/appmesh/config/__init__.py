"""The surface's configuration, as clients read and change it."""
