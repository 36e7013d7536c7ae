"""Sockets: TLS contexts, the listener, and the two ends of a link between peers."""
