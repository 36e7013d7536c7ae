"""Sockets of the tracker: who may connect, frames in, answers and events out. Not here: what requests do (service)."""
