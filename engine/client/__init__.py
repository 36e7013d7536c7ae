"""What a logged-in user has: one object to call, and behind it the session, the shares and the downloads.

    client         the public async API: calls the parts in order   arguments  what is checked before
    events         what happens by itself                  subscribers  who is told
    session        standing with the trackers: login, requests, tickets, announcements
    shares         complete files that are shared          uploads    a file of this disk → its hashes
    downloads      files that are being fetched            manifests  a file's hashes to and from the tracker
    event_router   what trackers and coordinator say unasked → whom it concerns
    housekeeping   what is done now and then               clock_check  is this machine's clock right?
    state_folder   where all of it is kept

Only this room speaks to the tracker. Not here: which piece to fetch from whom, bytes.
"""

from engine.client.client import Client

__all__ = ["Client"]
