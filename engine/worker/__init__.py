"""A worker process moves bytes: it owns links, receives, hashes and writes pieces, and sends those it has.

A worker decides only what cannot wait for the coordinator: whether a ticket is valid (gate), and which link sends next.
It may be killed at any moment; another takes its place. Not here: which piece is fetched from whom.
"""
