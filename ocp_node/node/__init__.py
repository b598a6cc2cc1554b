"""The node's own surface: health, measurements, documents, pages."""
