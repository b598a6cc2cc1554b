"""Work handed from an agent on one node to an agent on another."""
