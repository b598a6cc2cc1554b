"""One task cut into shards that several nodes work on."""
