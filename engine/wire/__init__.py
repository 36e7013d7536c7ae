"""The peer protocol as values: bytes in, messages out. No sockets, no clock."""
