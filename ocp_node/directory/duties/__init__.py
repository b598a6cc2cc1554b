"""What a node does about directories without being asked."""
