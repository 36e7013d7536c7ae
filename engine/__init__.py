"""The client side of Shoal: fetches files in pieces from everyone who has them, and serves what it has.

Rooms, each importing only from itself and from those further down:

    shell        a typed line → one call of the client → an answer
    client       the public async API (`engine.client.Client`); the only room that speaks to the tracker
    coordinator  the main process: decides                  worker   the pool's processes: move bytes
    ipc          what crosses between the two               net      sockets
    storage      files                                      wire     the peer protocol as values (pure)
    swarm        which piece to ask of whom, next (pure)
    settings     every limit      errors    everything that can go wrong      reports   what callers are told
"""
