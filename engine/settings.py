"""Every limit and interval of the client, in one immutable value. Units stand last in each name.

Nobody has to change any of them; they are fields, not constants, so that tests and benchmarks can.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Defaults fit a machine of 2 to 64 cores on anything from loopback to a transatlantic link."""

    workers: int = 0
    """Size of the pool; 0 means the usable cores, between 2 and 8."""

    block_bytes: int = 256 << 10
    """Unit of receiving, hashing and writing: stays in a core's L2 cache."""

    links_per_download: int = 20
    """At most. The tracker names ten peers, and later those that it gives this client as neighbours."""

    links_sought: int = 10
    """With fewer peers than that, a download also follows what its peers say of others (coordinator.download).
    """

    gossip_interval_s: float = 10.0
    """How often a client names the peers from which it fetches a file to those that fetch the file from it."""

    peers_wanted: int = 20
    """How many peers to ask the tracker for at a time."""

    pieces_in_flight: int = 8
    """Bound on the sum over all links of one download, unless a link's rate × RTT needs more."""

    requests_per_link: int = 128
    """Bound on one link's share, however long and fat the path: 32 MiB in pieces of 256 KiB, 2 GiB of 16 MiB."""

    candidates_per_request: int = 8
    """Pieces named in one request; the server sends the one it has sent least."""

    candidates_of_complete: int = 16
    """The same to a peer that alone has them: more, because what it sent to others is not known at once."""

    upload_slots: int = 8
    """Pieces a worker sends at the same time, sharing the uplink fairly."""

    slot_patience_s: float = 0.25
    """A link that has not taken what it was sent for so long gives its slot to others until it has: links that never
    read would hold all slots. A fast link pauses for milliseconds only."""

    requests_queued_per_link: int = 512
    """A server refuses a link that queues more; an honest fetcher stays far below."""

    unread_bytes_per_link: int = 16 << 20
    """Answers, without pieces, for a fetcher that asks and does not read: 128 bitfields of the largest files."""

    channels_per_link: int = 4096
    """Files open at once on one link."""

    serve_links: int = 512
    """Accepted links per worker, from all addresses and accounts."""

    serve_links_per_address: int = 256
    """Of these from one address; behind it may be a whole lab."""

    serve_links_per_account: int = 64
    """Of these by one account, on however many machines."""

    dials_per_s_per_address: int = 50
    dials_at_once_per_address: int = 500
    """Accepted from one address, behind which may be a whole lab that begins the same download."""

    idle_serve_link_s: float = 150.0
    """A fetcher closes a link without files after idle_link_s; one that does not is hung up on after so long."""

    worker_beats_missed_max: int = 5
    """A worker that left so many life signs out, one a second, is ended and replaced."""

    dial_timeout_s: float = 10.0
    handshake_timeout_s: float = 10.0
    silence_timeout_s: float = 10.0
    """A link that owes bytes and sends none for so long is closed, and its pieces go elsewhere."""

    redial_delay_s: float = 1.0
    """First pause before dialling a lost peer again; doubles up to redial_delay_max_s."""
    redial_delay_max_s: float = 30.0

    refused_delay_s: float = 5.0
    """A peer that does not share a file (any more, or yet) is asked again after so long, while the tracker names it."""

    rereading_delay_s: float = 1.0
    """The same if it reads the file again because its marks moved, and serves it on afterwards."""

    ban_s: float = 300.0
    """A peer that sent a wrong piece or broke the protocol is left out of that download for so long. Not for ever: a
    flipped bit on an open link looks the same, and it may be the only peer that has the file."""

    idle_link_s: float = 60.0
    """A link that carried no file for so long is closed."""

    checkpoint_interval_s: float = 1.0
    checkpoint_bytes: int = 256 << 20
    """The journal is brought up to date after so long or so much, whichever comes first."""

    write_back_bytes: int = 16 << 20
    """After so much new data the kernel is asked to begin writing it to the disk."""

    write_behind_bytes: int = 256 << 20
    """How much of a file being fetched stays in memory; what is older is written and leaves it."""

    find_peers_interval_s: float = 15.0
    """How often a download asks for more peers while it has too few (PeerJoined events come in between)."""

    find_peers_again_s: float = 1.0
    """The same while it knows peers and none of them answers; doubles up to find_peers_interval_s."""

    unreached_notice_s: float = 10.0
    """A download that reaches no peer for so long says which it tried, and what became of that."""

    hash_job_bytes: int = 64 << 20
    """How much of a file one worker hashes per order when a file is shared or re-checked."""

    tick_s: float = 0.1
    """The coordinator's clock: deadlines, rates, stealing."""

    space_reserve_bytes: int = 64 << 20
    """Left free on a file system by downloads, so that state files can always be written."""
