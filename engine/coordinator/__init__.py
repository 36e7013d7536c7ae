"""The client's main process decides: which links there are, which piece is asked of which peer, what is taken back.

It owns the pool of workers and all state of transfers, so nothing is locked. It opens no socket and moves no byte of a
piece; orders go to the workers and reports come back (ipc). Not here: accounts and groups; it asks a `Directory`.
"""
