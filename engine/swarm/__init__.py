"""Decisions of a swarm: which piece is asked of which peer, what is sent to whom, and what is taken back.

Pure: no sockets, no clock, no disk, no chance but what the caller gives. Not here: carrying the decisions out.
"""
