"""What a route is, and the documents that follow from the routes."""
