"""Peer messages for tests: a strategy of valid ones of every kind, and one plain example of each."""

from typing import Any

from hypothesis import strategies as st

from engine.wire.messages import (
    BITFIELD_BYTES_MAX,
    CANDIDATES_MAX,
    CERTIFICATE_BYTES_MAX,
    GOSSIP_PEERS_MAX,
    HAVES_MAX,
    HOST_LENGTH_MAX,
    NONCE_BYTES,
    PROTOCOL_VERSION,
    REASON_LENGTH_MAX,
    SLICE_BYTES_MAX,
    TICKET_LENGTH_MAX,
    U32_MAX,
    Bye,
    Cancel,
    Close,
    Closed,
    Gossip,
    Have,
    Hello,
    Message,
    Mismatch,
    Neighbour,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Refused,
    Reject,
    Renew,
    Request,
    Role,
)

u32 = st.integers(0, U32_MAX)
# One of the two ends of each bound is tried often, since that is where a limit is off by one.
texts = st.one_of(st.text(max_size=40), st.just("é" * REASON_LENGTH_MAX))
groups = st.text(min_size=1, max_size=64)
tickets = st.one_of(st.text(max_size=40), st.just("t" * TICKET_LENGTH_MAX))
bitfields = st.one_of(st.binary(max_size=40), st.just(bytes(BITFIELD_BYTES_MAX)))
hosts = st.text(min_size=1, max_size=HOST_LENGTH_MAX)
neighbours = st.builds(Neighbour, groups, hosts, st.integers(1, 65535), st.binary(min_size=32, max_size=32))
some_pieces = st.lists(u32, min_size=1, max_size=8).map(tuple)

KINDS: dict[type[Any], st.SearchStrategy[Message]] = {
    Hello: st.builds(Hello, u32, st.sampled_from(Role), st.binary(max_size=NONCE_BYTES)),
    Prove: st.builds(Prove, st.binary(max_size=CERTIFICATE_BYTES_MAX), st.binary(min_size=64, max_size=64)),
    Open: st.builds(Open, u32, groups, st.binary(min_size=32, max_size=32), tickets),
    Renew: st.builds(Renew, groups, tickets),
    Opened: st.builds(Opened, u32, bitfields),
    Refused: st.builds(Refused, u32, texts, texts),
    Closed: st.builds(Closed, u32, texts, texts),
    Bye: st.builds(Bye, texts),
    Gossip: st.builds(Gossip, u32, st.lists(neighbours, min_size=1, max_size=GOSSIP_PEERS_MAX).map(tuple)),
    Have: st.builds(Have, u32, st.one_of(some_pieces, st.just((7,) * HAVES_MAX))),
    Request: st.builds(Request, u32, u32, u32, u32, st.one_of(some_pieces, st.just((7,) * CANDIDATES_MAX))),
    Cancel: st.builds(Cancel, u32, u32),
    Mismatch: st.builds(Mismatch, u32, u32),
    Close: st.builds(Close, u32),
    Reject: st.builds(Reject, u32, u32, u32),
    PieceHeader: st.builds(PieceHeader, u32, u32, u32, st.one_of(st.integers(1, 6000), st.just(SLICE_BYTES_MAX))),
}

EXAMPLES: dict[type[Any], Message] = {
    Hello: Hello(PROTOCOL_VERSION, Role.SERVER),
    Prove: Prove(b"certificate", bytes(64)),
    Open: Open(1, "lab", bytes(32), "ticket"),
    Renew: Renew("lab", "ticket"),
    Opened: Opened(1, b"\xe0"),
    Refused: Refused(1, "no_such_file", "not shared here"),
    Closed: Closed(1, "closed", "not shared here any more"),
    Bye: Bye("logged out"),
    Have: Have(1, (2,)),
    Gossip: Gossip(1, (Neighbour("bob", "192.0.2.7", 7001, bytes(32)),)),
    Request: Request(5, 1, 0, 0, (0, 1)),
    Cancel: Cancel(5, 262144),
    Mismatch: Mismatch(1, 0),
    Close: Close(1),
    Reject: Reject(5, 5, 300),
    PieceHeader: PieceHeader(5, 1, 0, 1000),
}
