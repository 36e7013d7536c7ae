"""One download: the course from what is on the disk to the finished file, its peers, its pieces, its journal.

`download_run` is the course, `download` the state, `fetching` what the reports of the workers mean to it.
Not here: what
all downloads of a client share (the room above), which piece to ask of whom (swarm).
"""
