"""The client's main process decides: which links to have, which piece to ask of whom, what to take back.

It owns the pool of workers and all state of transfers, so nothing is locked. It opens no socket and moves no byte of a
piece; orders go to the workers and reports come back (ipc). Not here: accounts and groups; it asks a `Directory`.
"""
