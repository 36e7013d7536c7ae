"""The client's side of the tracker protocol, as the engine uses it: one object for all trackers of a list.

It connects, logs in, resumes sessions, asks the first tracker that answers, and passes on events. Not here: what calls
are for (engine.client).
"""
