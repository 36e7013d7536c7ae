"""What clients and trackers say to each other, and what they must agree on: messages, frames, names, tickets. Pure.

The engine may import this room and `tracker.client`, and nothing else of the tracker. Not here: what a request does
(service), who may make it (rules.permissions), sockets (server, client).
"""
