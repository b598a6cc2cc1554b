"""The one door to signatures and secrets: keys, boxes, canonical bytes, and what is signed with them."""
