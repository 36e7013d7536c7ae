"""Carries out one request: judged, done, and its outcome remembered in one transaction; then whom it concerns is told.

Not here: sockets (server), SQL (store), rules (rules).
"""
