"""Files of the node's App Mesh folder, up and down."""
