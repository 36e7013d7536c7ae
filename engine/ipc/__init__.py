"""What crosses between the coordinator and its workers: orders one way, reports the other, and shared memory.

Plain values and one Unix socket per worker. Not here: what is done with them.
"""
