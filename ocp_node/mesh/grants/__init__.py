"""Signed permissions to read one artifact, issued and revoked by the node that serves it."""
