"""The mesh surface: the Open Compute Protocol 0.1 under `/mesh/*`."""
