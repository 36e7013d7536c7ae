"""Requests about who has which file right now, and the tickets to fetch it.

Invariants. A share is recorded only for a file that the group has and a group that the client is in. A peer is handed
out only if the store says that it is a member: the soft state may lag behind what another tracker changed.

Not here: which peers are chosen (rules.handout), how tickets are checked (protocol.tickets).
"""

from collections.abc import Collection, Iterable

from tracker.protocol import tickets
from tracker.protocol.addresses import is_elsewhere, reachable_host
from tracker.protocol.events import OutOfReach, Peer, PeerJoined
from tracker.protocol.requests import Announce, AnnounceChange, FindPeers, GetTicket, Share
from tracker.protocol.results import Announced, Peers, Ticket
from tracker.protocol.types import SHARES_PER_ANNOUNCE_MAX
from tracker.rules.handout import Handed
from tracker.rules.peer_reports import Asker
from tracker.rules.permissions import Refusal
from tracker.rules.presence import Holding, Sharer, Swarm
from tracker.service.context import RequestContext
from tracker.service.handlers import handles
from tracker.settings import PUSHES_PER_ANNOUNCE_MAX
from tracker.store import files, groups
from tracker.store.ticket_keys import find_signing_key


@handles(Announce, least_standing=None, is_change=False)
async def announce(context: RequestContext, request: Announce) -> Announced:
    presence, number = context.state.presence, context.session.number
    known, unknown = await _sort_out(context, request.shares)
    said = {(share.group_id, share.root) for share in known}
    host = reachable_host(context.observed_host, request.host)
    presence.place(number, host, request.port)
    if is_elsewhere(request.host, host):
        _tell(context, number, OutOfReach(host, request.port, 0))
    for swarm in presence.list_swarms(number):
        if swarm not in said:
            presence.remove(number, swarm)
    await _record(context, known)
    return Announced(unknown)


@handles(AnnounceChange, least_standing=None, is_change=False)
async def announce_change(context: RequestContext, request: AnnounceChange) -> Announced:
    presence, number = context.state.presence, context.session.number
    if not presence.has_place(number):
        raise Refusal("bad_request", "announce everything first, with your address")
    known, unknown = await _sort_out(context, request.added)
    for share in request.removed:
        presence.remove(number, (share.group_id, share.root))
    if presence.count_shares(number) + len(known) > SHARES_PER_ANNOUNCE_MAX:
        raise Refusal("too_large", f"one client shares at most {SHARES_PER_ANNOUNCE_MAX} files")
    await _record(context, known)
    return Announced(unknown)


@handles(FindPeers, least_standing="member", is_change=False)
async def find_peers(context: RequestContext, request: FindPeers) -> Peers:
    group_id, root = request.group_id, request.root
    if not await files.has_root(context.db, group_id, root):
        raise Refusal("no_such_file", f"that file is not in {group_id}, or no longer")
    swarm, asker = (group_id, root), Asker(context.session.number, context.user_id)
    placed = _placed(context, swarm)
    warned = context.state.handout.report(swarm, asker, request.failed, request.served, placed, context.now_s)
    for sharer, members in warned:
        _tell(context, sharer.session, OutOfReach(sharer.host, sharer.port, members))
    return Peers(await choose_peers(context, group_id, root, request.want))


async def choose_peers(context: RequestContext, group_id: str, root: bytes, want: int) -> list[Peer]:
    """Members who serve the file now, never the caller's own session. Peers that were not linked with it before are
    told of it.
    """
    swarm, number = (group_id, root), context.session.number
    placed = _placed(context, swarm)
    members = await groups.members_among(context.db, group_id, {one.user_id for one in placed})
    sharers = [one for one in placed if one.user_id in members]
    handed = _choose(context, swarm, sharers, want)
    own = next((one for one in placed if one.session == number), None)
    if own is not None:
        _tell_fetching(context, swarm, own, handed.new)
    return [_peer(sharer) for sharer in handed.peers]


@handles(GetTicket, least_standing="member", is_change=False)
async def get_ticket(context: RequestContext, request: GetTicket) -> Ticket:
    group = context.group
    signing = await find_signing_key(context.db, context.now_s)
    ticket = tickets.sign(
        signing.private,
        signing.kid,
        user_id=context.user_id,
        group_id=group.group_id,
        epoch=group.epoch,
        is_open=group.is_open,
        thumbprint=context.session.thumbprint,
        now_s=context.now_s,
        life_s=context.state.policy.ticket_life_s,
    )
    expires_at_s = context.now_s + context.state.policy.ticket_life_s
    return Ticket(ticket, expires_at_s, group.epoch, group.is_open, group.group_id)


async def _sort_out(context: RequestContext, shares: Collection[Share]) -> tuple[list[Share], list[Share]]:
    """The shares that the tracker takes, and those whose file or membership is gone."""
    asked: dict[str, set[bytes]] = {}
    for share in shares:
        asked.setdefault(share.group_id, set()).add(share.root)
    my_groups = await groups.list_groups_of(context.db, context.user_id)
    listed = {
        group_id: await files.known_roots(context.db, group_id, roots)
        for group_id, roots in asked.items()
        if group_id in my_groups
    }
    known: list[Share] = []
    unknown: list[Share] = []
    for share in shares:
        is_known = share.root in listed.get(share.group_id, ())
        (known if is_known else unknown).append(share)
    return known, unknown


async def _record(context: RequestContext, shares: Iterable[Share]) -> None:
    presence, number = context.state.presence, context.session.number
    pushes_left = PUSHES_PER_ANNOUNCE_MAX
    for share in shares:
        swarm = (share.group_id, share.root)
        is_new = presence.add(number, swarm, _holding(share))
        if is_new and pushes_left > 0 and presence.is_shared_by_others(number, swarm):
            pushes_left -= await _introduce(context, swarm)


async def _introduce(context: RequestContext, swarm: Swarm) -> int:
    """The caller serves this file from now on: it and its neighbours are told of each other. Returns how many were
    told.
    """
    number, placed = context.session.number, _placed(context, swarm)
    newcomer = next(one for one in placed if one.session == number)
    handed = _choose(context, swarm, placed, len(placed))
    told = _tell_fetching(context, swarm, newcomer, handed.peers)
    if newcomer.is_complete or not handed.new:
        return told
    members = await groups.members_among(context.db, swarm[0], {one.user_id for one in handed.new})
    for peer in handed.new:
        if peer.user_id in members:
            _tell(context, newcomer.session, PeerJoined(*swarm, _peer(peer)))
    return told + len(handed.new)


def _choose(context: RequestContext, swarm: Swarm, sharers: list[Sharer], want: int) -> Handed:
    asker = Asker(context.session.number, context.user_id)
    return context.state.handout.choose(swarm, asker, sharers, want, context.state.chance, context.now_s)


def _holding(share: Share) -> Holding:
    if share.is_complete:
        return Holding.ALL
    return Holding.SOME if share.has_pieces else Holding.NOTHING


def _tell_fetching(context: RequestContext, swarm: Swarm, peer: Sharer, neighbours: Iterable[Sharer]) -> int:
    """Peers with the whole file need no peers and are not told. Returns how many were."""
    fetching = [one for one in neighbours if not one.is_complete]
    for one in fetching:
        _tell(context, one.session, PeerJoined(*swarm, _peer(peer)))
    return len(fetching)


def _tell(context: RequestContext, session: int, event: PeerJoined | OutOfReach) -> None:
    context.afterwards(lambda: context.state.sessions.tell_session(session, event))


def _placed(context: RequestContext, swarm: Swarm) -> list[Sharer]:
    return [sharer for sharer in context.state.presence.list_sharers(swarm) if sharer.port]


def _peer(sharer: Sharer) -> Peer:
    return Peer(sharer.user_id, sharer.host, sharer.port, sharer.thumbprint, sharer.is_complete)
