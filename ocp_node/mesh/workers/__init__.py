"""Programs that ask this node for jobs and run them."""
