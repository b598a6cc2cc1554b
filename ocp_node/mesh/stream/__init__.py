"""The node's events, as a page or over a WebSocket."""
