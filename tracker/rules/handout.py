"""Which peers a client is told of: its neighbours in a random regular graph of the swarm. Pure.

A swarm spreads fastest when every peer has the same small number of links, drawn at random. With more links it gets
slower, because each piece then comes over one of more links at a time (docs/scheduling.md). So the tracker draws the
links of each file and tells both ends. A newcomer takes free places; where there are none it goes between two peers
that are linked, and everybody has as many links as before. When a peer leaves, its links go with it, and its neighbours
get others when they ask again. Two complete peers have nothing to send each other, so they are not linked.

Accounts take turns: a peer gets one session of each account before it gets a second of any, so that many sessions of
one account do not take all the places. More than NEIGHBOURS_PER_ACCOUNT_MAX of one account only fill places that nobody
else wants, and make room. What fetchers report of peers (peer_reports) changes the order: a peer that gave the asker
nothing is left out while there is any other, and a peer that others doubt comes after its equals.

Invariant: links are mutual, never to oneself and never between two complete peers. An incomplete peer that asks has a
neighbour if there is anybody, a complete one if a peer that it could serve has a place. No peer has more than DEGREE
links because of others, except one link that an incomplete newcomer would otherwise lack.

Not here: who is online and has what (presence), who is a member (service).
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tracker.rules.peer_reports import Asker, PeerReports
from tracker.rules.presence import Sharer, Swarm
from tracker.rules.reach_warnings import ReachWarnings
from tracker.settings import NEIGHBOURS_PER_ACCOUNT_MAX

if TYPE_CHECKING:
    import random

DEGREE = 10
"""How many links each peer should have."""


class Handed(NamedTuple):
    """The neighbours of the peer that asked, in no particular order. `new` are those it was linked with just now."""

    peers: list[Sharer]
    new: list[Sharer]


class Handout:
    def __init__(self) -> None:
        self._graphs: dict[Swarm, _Graph] = {}
        self._reports = PeerReports()
        self._warnings = ReachWarnings()

    def report(
        self,
        swarm: Swarm,
        asker: Asker,
        failed: Collection[bytes],
        served: Collection[bytes],
        sharers: Sequence[Sharer],
        now_s: float,
    ) -> list[tuple[Sharer, int]]:
        """Takes what the asker reports of peers it was handed, by thumbprint: that they gave nothing, or that they
        serve. Returns the sharers that are to be told that they are out of reach, and how many accounts say so.
        """
        by_key = {sharer.thumbprint: sharer for sharer in sharers}
        owners = {thumbprint: sharer.user_id for thumbprint, sharer in by_key.items()}
        self._reports.take(swarm, asker, failed, served, owners, now_s)
        for sharer in (by_key[thumbprint] for thumbprint in served if thumbprint in by_key):
            if sharer.user_id != asker.user_id:
                self._warnings.is_well((sharer.user_id, sharer.host, sharer.port))
        doubts = self._reports.doubts_of(swarm)
        warned: list[tuple[Sharer, int]] = []
        for sharer in (by_key[thumbprint] for thumbprint in failed if thumbprint in by_key):
            doubt = doubts.get(sharer.thumbprint, 0)
            if doubt and self._warnings.is_due((sharer.user_id, sharer.host, sharer.port), now_s):
                warned.append((sharer, doubt))
        return warned

    def choose(
        self,
        swarm: Swarm,
        asker: Asker,
        sharers: Sequence[Sharer],
        want: int,
        chance: "random.Random",
        now_s: float,
    ) -> Handed:
        """At most `want` neighbours. The asker need not share anything yet: its place is kept for some seconds."""
        graph = self._graphs.setdefault(swarm, _Graph())
        by_session = {sharer.session: sharer for sharer in sharers}
        graph.follow(by_session, asker)
        before = graph.neighbours_of(asker.session)
        graph.join(asker.session, self._in_turn(swarm, graph, asker, sharers, chance, now_s), chance)
        peers = [by_session[session] for session in graph.neighbours_of(asker.session) if session in by_session]
        chance.shuffle(peers)
        return Handed(peers[:want], [peer for peer in peers[:want] if peer.session not in before])

    def sweep(self, is_shared: Callable[[Swarm], bool], now_s: float) -> None:
        """To be called every few seconds. Forgets swarms that nobody shares, sessions that asked and then shared
        nothing, and old reports.
        """
        self._graphs = {swarm: graph for swarm, graph in self._graphs.items() if is_shared(swarm)}
        for graph in self._graphs.values():
            graph.lose_patience()
        self._reports.sweep(now_s)

    def _in_turn(
        self,
        swarm: Swarm,
        graph: "_Graph",
        asker: Asker,
        sharers: Sequence[Sharer],
        chance: "random.Random",
        now_s: float,
    ) -> "list[_Candidate]":
        """All peers that the asker could be linked with and is not, the best first. Its links to peers that gave it
        nothing are cut.
        """
        others = [one for one in sharers if one.session != asker.session]
        said = self._reports.failed_of(swarm, asker, now_s)
        failed = {one.session for one in others if one.thumbprint in said} if said else set()
        if len(failed) == len(others):
            failed.clear()  # it is all there is
        graph.part(asker.session, failed)
        if not graph.has_wish(asker.session, others):
            return []
        neighbours = graph.neighbours_of(asker.session)
        linked = [one for one in others if one.session in neighbours]
        able = graph.able_to_link(asker.session, others, neighbours | failed)
        chance.shuffle(able)
        doubt = self._reports.doubts_of(swarm)
        accused = Counter(one.user_id for one in others if one.session in failed)
        able.sort(
            key=lambda one: (
                (accused[one.user_id], doubt.get(one.thumbprint, 0), graph.degree_of(one.session))
                if accused or doubt
                else graph.degree_of(one.session)
            )
        )
        turns = _turns(able, linked)
        able.sort(key=lambda one: turns.get(one.session, 0))
        return [_Candidate(one.session, turns.get(one.session, 0)) for one in able]


class _Candidate(NamedTuple):
    """`turn`: how many sessions of the same account come before it."""

    session: int
    context: int


def _turns(able: Sequence[Sharer], linked: Sequence[Sharer]) -> dict[int, int]:
    """For each session, how many of its account come before it: those `linked` already, then those of `able` in this
    order, except that one of every place and host comes before the second of any. Sessions that come first are left
    out.
    """
    taken = Counter(one.user_id for one in linked)
    count = Counter(one.user_id for one in able)
    several: dict[str, list[Sharer]] = {user_id: [] for user_id in count if count[user_id] + taken[user_id] > 1}
    for one in able if several else ():
        if one.user_id in several:
            several[one.user_id].append(one)
    turns: dict[int, int] = {}
    for user_id, sessions in several.items():
        if len(sessions) > 1:
            sessions = _spread(sessions, [one for one in linked if one.user_id == user_id])
        for position, one in enumerate(sessions):
            turns[one.session] = taken[user_id] + position
    return turns


def _spread(sessions: list[Sharer], linked: Sequence[Sharer]) -> list[Sharer]:
    places = Counter((one.host, one.port) for one in linked)
    hosts = Counter(one.host for one in linked)
    order: list[tuple[int, int, int]] = []
    for position, one in enumerate(sessions):
        order.append((places[one.host, one.port], hosts[one.host], position))
        places[one.host, one.port] += 1
        hosts[one.host] += 1
    return [sessions[position] for _, _, position in sorted(order)]


class _Graph:
    """One swarm. `expected`: sessions that asked and share nothing yet, and whether that was so at the last sweep
    already.
    """

    def __init__(self) -> None:
        self._links: dict[int, set[int]] = {}
        self._complete: set[int] = set()
        self._expected: dict[int, bool] = {}
        self._account: dict[int, str] = {}
        self._crowds: set[str] = set()
        """Accounts with more sessions in this swarm than a peer should have as neighbours."""

    def neighbours_of(self, node: int) -> set[int]:
        return set(self._links.get(node, ()))

    def degree_of(self, node: int) -> int:
        return len(self._links.get(node, ()))

    def are_linked(self, one: int, other: int) -> bool:
        return other in self._links.get(one, ())

    def able_to_link(self, node: int, others: Sequence[Sharer], without: Collection[int]) -> list[Sharer]:
        """Peers that are complete only if `node` is not."""
        is_complete = node in self._complete
        return [one for one in others if not (is_complete and one.is_complete) and one.session not in without]

    def follow(self, present: Mapping[int, Sharer], asker: Asker) -> None:
        """Takes over which sessions share the file now (`present`)."""
        self._expected = {node: is_old for node, is_old in self._expected.items() if node not in present}
        if asker.session not in present:
            self._expected[asker.session] = False
        self._account = {
            **{node: self._account[node] for node in self._expected if node != asker.session},
            **{node: sharer.user_id for node, sharer in present.items()},
            asker.session: asker.user_id,
        }
        sessions = Counter(self._account.values())
        self._crowds = {user_id for user_id, count in sessions.items() if count > NEIGHBOURS_PER_ACCOUNT_MAX}
        for gone in self._links.keys() - present.keys() - self._expected.keys():
            for other in self._links.pop(gone):
                self._links[other].discard(gone)
        complete = {node for node, sharer in present.items() if sharer.is_complete}
        for node in complete - self._complete:
            self.part(node, self.neighbours_of(node) & complete)
        self._complete = complete

    def has_wish(self, node: int, others: Sequence[Sharer]) -> bool:
        """Whether it has too few links, none that is of use now, or too many to one account."""
        own = self._links.setdefault(node, set())
        if len(own) < DEGREE or own.isdisjoint(one.session for one in others):
            return True
        return self._surplus_of(node) is not None

    def join(self, node: int, able: "Sequence[_Candidate]", chance: "random.Random") -> None:
        """Links `node` to some of these, earlier ones first, until it has enough links."""
        own = self._links.setdefault(node, set())
        fair = [one.session for one in able if one.context < NEIGHBOURS_PER_ACCOUNT_MAX]
        for other in fair:
            if len(own) >= DEGREE and self._surplus_of(node) is None:
                break
            if self._makes_room(node, other):
                self._link(node, other)
        self._go_between(node, fair, chance)
        rest = [one.session for one in able if one.session not in own]
        for other in rest:
            if len(own) >= DEGREE:
                break
            if self.degree_of(other) < DEGREE:
                self._link(node, other)
        if len(fair) < len(able):
            self._go_between(node, [one.session for one in able], chance)
        # Its places may all be kept for somebody who is expected. Only a complete peer can do without a neighbour.
        if rest and own <= self._expected.keys():
            least = min(rest, key=self.degree_of)
            if node not in self._complete or self.degree_of(least) < DEGREE:
                self._link(node, least)

    def part(self, node: int, others: Collection[int]) -> None:
        for other in others:
            if self.are_linked(node, other):
                self._unlink(node, other)

    def lose_patience(self) -> None:
        self._expected = {node: True for node, is_old in self._expected.items() if not is_old}

    def _makes_room(self, node: int, other: int) -> bool:
        """Whether both have a place for each other. A link to one too many of some account is cut if that is needed."""
        account = self._account[node]
        if account in self._crowds and self._count_of(other, account) >= NEIGHBOURS_PER_ACCOUNT_MAX:
            return False
        leaving: list[tuple[int, int]] = []
        for each in (node, other):
            if self.degree_of(each) >= DEGREE:
                surplus = self._surplus_of(each)
                if surplus is None:
                    return False
                leaving.append((each, surplus))
        for one, surplus in leaving:
            self.part(one, [surplus])
        return True

    def _surplus_of(self, node: int) -> int | None:
        """A neighbour that belongs to an account with too many among its neighbours."""
        if not self._crowds:
            return None
        counts = Counter(self._account[other] for other in self._links[node])
        user_id, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
        if count <= NEIGHBOURS_PER_ACCOUNT_MAX:
            return None
        return max(other for other in self._links[node] if self._account[other] == user_id)

    def _go_between(self, node: int, able: Sequence[int], chance: "random.Random") -> None:
        """Replaces a link between two others by a link from the newcomer to each of them."""
        own, free = self._links[node], set(able)
        for one in able:
            if len(own) > DEGREE - 2:
                return
            if one in own:
                continue
            between = (other for other in self._links.get(one, set()) & free - own if self._may_part(one, other, node))
            linked = sorted(between)
            if linked:
                other = chance.choice(linked)
                self._unlink(one, other)
                self._link(node, one)
                self._link(node, other)

    def _may_part(self, one: int, other: int, newcomer: int) -> bool:
        """Whether neither would then have more neighbours of the newcomer's account than it should."""
        account = self._account[newcomer]
        if account not in self._crowds:
            return True
        return all(
            self._account[lost] == account or self._count_of(each, account) < NEIGHBOURS_PER_ACCOUNT_MAX
            for each, lost in ((one, other), (other, one))
        )

    def _count_of(self, node: int, user_id: str) -> int:
        return sum(self._account[other] == user_id for other in self._links.get(node, ()))

    def _link(self, one: int, other: int) -> None:
        self._links.setdefault(one, set()).add(other)
        self._links.setdefault(other, set()).add(one)

    def _unlink(self, one: int, other: int) -> None:
        self._links[one].discard(other)
        self._links[other].discard(one)
