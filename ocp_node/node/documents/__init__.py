"""Documents that follow from the routes."""
