"""Who this node is: its card, device, capabilities and state in one document."""
