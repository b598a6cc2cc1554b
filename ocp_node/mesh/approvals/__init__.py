"""Questions that a person decides; a waiting job may depend on one."""
