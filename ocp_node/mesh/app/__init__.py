"""What the app page shows: the node's state in one document, and its history."""
