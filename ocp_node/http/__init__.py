"""The edge: sockets, the loop and its lanes; one request through gates and decoding; streams; outgoing calls."""
