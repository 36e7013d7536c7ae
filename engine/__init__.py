"""The client side of Shoal: fetches files in pieces from everyone who has them, and serves what it has.

Layers, each importing only from its own folder or further down this list:

    client      the public async API; wires the parts
    transfer    processes: coordinator (decides), pool and workers (move bytes)
    net         sockets          storage   files
    wire        bytes ↔ messages swarm     what to ask of whom, next     (both pure)
    settings    every limit      errors    everything that can go wrong  reports  what callers are told
"""
