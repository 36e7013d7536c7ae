"""Carries out requests: each is judged, done and remembered in one transaction; then those it concerns are told.

Not here: sockets (server), SQL (store), rules on plain values (rules).
"""
