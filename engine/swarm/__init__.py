"""Decisions of a swarm: which piece next, from whom, and when to take it back. No sockets, no clock, no disk."""
