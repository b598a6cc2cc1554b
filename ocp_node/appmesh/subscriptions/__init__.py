"""Events of applications, over server-sent events, TCP and WebSocket."""
