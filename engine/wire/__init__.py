"""The protocol between peers as plain values: bytes in, messages out, and which may come when. No socket, no clock."""
