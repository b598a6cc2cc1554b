"""The published contract: every route with its schemas, and the conformance fixtures."""
