"""Values that jobs may use and nobody may read back."""
