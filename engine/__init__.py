"""The client side of Shoal: fetches files in pieces from everyone who has them, and serves what it has.

Layers, each importing only from its own folder or further down this list:

    shell       lines → one call of the client → an answer
    client      the public async API; session, shares, downloads, uploads, switchboard are what it consists of
    transfer    processes: coordinator (decides), pool and workers (move bytes)
    net         sockets          storage   files
    wire        bytes ↔ messages swarm     what to ask of whom, next     (both pure)
    settings    every limit      errors    everything that can go wrong  reports  what callers are told
"""
