"""What a logged-in user has. A program calls one object, the client; behind it are the session, the shares, the
downloads.

    client         the public async API: calls the parts in order
    arguments      what is checked before anything is asked      known_files  a typed name → a file known here
    session        the session with the trackers                 manifests    a file's hashes to and from the tracker
    sharing        files that are shared                         fetching     files that are downloaded
    announcer      tells the trackers what is served             housekeeping  what is done once a second
    event_router   what trackers report → the part concerned     transfer_directory  what the coordinator asks
    events         what happens by itself, as types              subscribers  who hears it
    chores         work that no command waits for                clock_check  is this machine's clock right?
    state_folder   where a client keeps what it remembers        tracker_list  the file with the trackers

Only this room speaks to the tracker. Not here: which piece is fetched from which peer, bytes.
"""

from engine.client.client import Client

__all__ = ["Client"]
