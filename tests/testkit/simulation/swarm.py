"""A whole swarm in virtual time, driven by the engine's own decisions: scheduler, slots, sender's choice, handout.

Every leecher has a real `Scheduler`, every server real `UploadSlots` and `SentPieces`; what is modelled here is what
lies between them: messages that take half a round trip, bytes that share links (network), a tracker that hands out
neighbours, and peers that come, go, fall silent or lie.

Deterministic: one seed gives one course. Not here: scenarios and what they should reach (scenarios).
"""

import itertools
import random
from collections.abc import Callable, Iterable

import numpy as np

from engine.settings import Settings
from engine.swarm.actions import Action, Ask, CheckPiece, Cut, Keep, Revoke
from engine.swarm.bitfield import Bitfield, pack
from engine.swarm.endgame import SPLIT_BYTES_MIN
from engine.swarm.geometry import Geometry
from engine.swarm.scheduler import Scheduler
from engine.swarm.sender_choice import CLOCKS, SentPieces
from engine.swarm.upload_slots import UploadSlots
from tests.testkit.simulation.network import Clock, Port, Transfer
from tests.testkit.simulation.node import Node, Sending, Serving

ACKNOWLEDGE_S = 0.0002
"""A worker's answer to a revocation."""


class Swarm:
    """One file. Rates in bytes/s. Arrange nodes and events, then `run`.

    `scheduler`, `sent`: what decides, to be replaced where a rule is to be seen switched off. `on_all_out`: called
    when some leecher has the last of the pieces that only the origin had.
    """

    def __init__(
        self, geometry: Geometry, seed: int, settings: Settings | None = None, chunks_per_piece: int = 4,
        scheduler: type[Scheduler] = Scheduler,
        sent: type[SentPieces] = SentPieces,
    ) -> None:  # fmt: skip
        self.geometry, self.settings = geometry, settings or Settings()
        self._scheduler, self._sent_pieces = scheduler, sent
        self.on_all_out: Callable[[], None] | None = None
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.nodes: list[Node] = []
        self.chunk_bytes = -(-geometry.piece_bytes // chunks_per_piece)
        self.seen = bytearray(geometry.piece_count)
        self.all_out_at_s: float | None = None
        self.origin_bytes_when_out = 0
        self._unseen = geometry.piece_count
        self._request_ids = itertools.count(1)
        self._pump_due: set[int] = set()
        self._unfinished = 0

    # ------------------------------------------------------------ who is there

    def add(
        self, up: float, down: float | None = None, latency_s: float = 0.0005, *, is_origin: bool = False,
        account: str = "",
    ) -> Node:  # fmt: skip
        """A node that is there now; a leecher has no links yet. `account`: one of its own if not said."""
        count = self.geometry.piece_count
        number = len(self.nodes)
        port = Port(self.clock, up, down or up, latency_s)
        slots: UploadSlots[Serving] = UploadSlots(self.settings.upload_slots)
        have = bytearray(b"\1" * count) if is_origin else bytearray(count)
        sent = self._sent_pieces(
            np.zeros(count, np.uint32), np.zeros(CLOCKS), self.settings.upload_slots, self.geometry.piece_bytes
        )
        node = Node(number, port, have, sent, slots, self.clock.now_s, account or f"user{number}")
        if not is_origin:
            flags = np.zeros(count, np.uint8)
            rng = random.Random(self.rng.getrandbits(64))
            node.scheduler = self._scheduler(self.geometry, flags, self.settings, rng, self._request_ids)
            self._unfinished += 1
            self.clock.after(self.settings.tick_s * self.rng.random(), self._tick, node)
        self.nodes.append(node)
        self.clock.after(self.settings.slot_patience_s, self._look_around, node)
        return node

    def link(self, fetcher: Node, server: Node) -> None:
        """`fetcher` opens the file at `server`."""
        is_known = server.number in fetcher.fetching_from | fetcher.banned
        if is_known or server.is_gone or fetcher.is_gone or fetcher.is_complete:
            return
        fetcher.fetching_from.add(server.number)
        server.serving[fetcher.number] = Serving(server, fetcher)
        self._after_trip(server, fetcher, self._on_opened, fetcher, server, trips=3)

    def fall_silent(self, node: Node) -> None:
        """From now on nothing comes from it any more, and nobody is told."""
        node.is_gone = True
        node.port.stall()
        if not node.is_complete:
            self._unfinished -= 1

    def leave(self, node: Node) -> None:
        """It ends, and its connections say so."""
        self.fall_silent(node)
        for serving in list(node.serving.values()):
            self._after_trip(node, serving.fetcher, self._on_lost, serving.fetcher, node)
        for server in node.fetching_from:
            self._after_trip(node, self.nodes[server], self._close, self.nodes[server], node)

    def run(self, until_s: float = 1e9) -> bool:
        """Until every leecher that is there is complete. False if that never happens."""
        return self.clock.run(lambda: not self._unfinished or self.clock.now_s > until_s) and not self._unfinished

    # ------------------------------------------------------------ messages

    def _after_trip(self, one: Node, other: Node, event, *arguments, trips: int = 1) -> None:  # type: ignore[no-untyped-def]
        self.clock.after(trips * (one.port.latency_s + other.port.latency_s), event, *arguments)

    def _on_opened(self, fetcher: Node, server: Node) -> None:
        if fetcher.scheduler is None or server.is_gone or server.number not in fetcher.fetching_from:
            return
        pieces = Bitfield(self.geometry.piece_count, pack(np.frombuffer(bytes(server.have), np.uint8)))
        fetcher.scheduler.link_opened(server.number, pieces)
        self._pump_soon(fetcher)

    def _on_have(self, server: Node, piece: int) -> None:
        for serving in server.serving.values():
            fetcher = serving.fetcher
            if server.scheduler is not None and server.scheduler.is_seen_to_have(fetcher.number, [piece]):
                continue
            if fetcher.scheduler is not None:
                fetcher.scheduler.link_has(server.number, [piece])
                if not fetcher.have[piece] and not fetcher.scheduler.in_flight_of(server.number):
                    self._pump_soon(fetcher)

    def _on_lost(self, fetcher: Node, server: Node) -> None:
        """The link is gone at the fetcher's end."""
        if server.number not in fetcher.fetching_from:
            return
        fetcher.fetching_from.discard(server.number)
        for request_id in [key for key, ask in fetcher.asked.items() if ask.link == server.number]:
            self._forget(fetcher, request_id)
        if fetcher.scheduler is not None:
            fetcher.scheduler.link_lost(server.number)
        self._pump_soon(fetcher)

    def _close(self, server: Node, fetcher: Node) -> None:
        """The link is gone at the server's end."""
        serving = server.serving.pop(fetcher.number, None)
        if serving is not None:
            serving.queue.clear()
            if serving.sending is not None:
                self._call_off(server, serving.sending)
            serving.sending = None
            self._start_all(server.slots.release(serving, self.clock.now_s))

    def _on_request(self, serving: Serving, ask: Ask) -> None:
        server = serving.server
        if server.port.is_stalled or server.serving.get(serving.fetcher.number) is not serving:
            return
        serving.queue.append(ask)
        if serving.sending is None:
            self._start_all(server.slots.want(serving, serving.fetcher.account, self.clock.now_s))

    def _on_cancel(self, serving: Serving, request_id: int) -> None:
        for ask in [each for each in serving.queue if each.request_id == request_id]:
            serving.queue.remove(ask)
        sending = serving.sending
        if sending is not None and sending.ask.request_id == request_id:
            self._call_off(serving.server, sending)
            self._sent(serving, sending)

    def _call_off(self, server: Node, sending: Sending) -> None:
        """For the choice among candidates it was never sent."""
        if sending.transfer is not None:
            sending.transfer.stop()
        server.sent.count_back(sending.piece)

    # ------------------------------------------------------------ the serving side

    def _start_all(self, links: Iterable[Serving]) -> None:
        for serving in links:
            self._start_piece(serving)

    def _start_piece(self, serving: Serving) -> None:
        server, fetcher, now_s = serving.server, serving.fetcher, self.clock.now_s
        while serving.queue:
            ask = serving.queue.popleft()
            server.sent.goes_on(now_s)
            piece = server.sent.least(ask.candidates, server.have)
            wait_s = server.sent.wait_s(piece, now_s) if piece is not None and not ask.length else 0.0
            if piece is None or wait_s:
                self._after_trip(server, fetcher, self._on_refused, fetcher, ask, wait_s)
                continue
            server.sent.count(piece, now_s)
            self._after_trip(server, fetcher, self._on_granted, fetcher, ask, piece)
            self._send(serving, ask, piece)
            return
        self._start_all(server.slots.release(serving, self.clock.now_s))

    def _send(self, serving: Serving, ask: Ask, piece: int) -> None:
        end = ask.begin + ask.length if ask.length else self.geometry.length_of(piece)
        sending = serving.sending = Sending(ask, piece, ask.begin, end)
        if ask.request_id in serving.fetcher.asked:  # else a cancellation is on its way, and what comes is wasted
            serving.fetcher.arriving[ask.request_id] = sending
        sending.transfer = Transfer(
            serving.server.port, serving.fetcher.port, end - ask.begin, self.chunk_bytes,
            lambda count: self._on_chunk(serving, sending, count), lambda: self._sent(serving, sending),
        )  # fmt: skip

    def _sent(self, serving: Serving, sending: Sending) -> None:
        """The slot is free: others first, then this link stands in line again."""
        if serving.sending is not sending:
            return
        serving.sending = None
        slots, now_s = serving.server.slots, self.clock.now_s
        self._start_all(slots.release(serving, now_s))
        if serving.queue:
            self._start_all(slots.want(serving, serving.fetcher.account, now_s))

    def _look_around(self, server: Node) -> None:
        """Who took nothing since the last look gives his slot away. What he is sent goes on, here without one."""
        for serving in list(server.serving.values()):
            sending = serving.sending
            if sending is not None and sending.transfer is not None:
                if sending.left == sending.transfer.left:
                    self._start_all(server.slots.release(serving, self.clock.now_s))
                sending.left = sending.transfer.left
        if not server.is_gone:
            self.clock.after(self.settings.slot_patience_s, self._look_around, server)

    # ------------------------------------------------------------ the fetching side

    def _on_granted(self, fetcher: Node, ask: Ask, piece: int) -> None:
        if ask.request_id in fetcher.asked and fetcher.scheduler is not None:
            fetcher.scheduler.granted(ask.request_id, piece, self.clock.now_s)
            self._pump_soon(fetcher)

    def _on_refused(self, fetcher: Node, ask: Ask, after_s: float) -> None:
        if self._forget(fetcher, ask.request_id) and fetcher.scheduler is not None:
            if after_s:
                fetcher.scheduler.put_off(ask.request_id, self.clock.now_s + after_s)
            else:
                fetcher.scheduler.refused(ask.request_id, self.clock.now_s)
            self._pump_soon(fetcher)

    def _forget(self, fetcher: Node, request_id: int) -> bool:
        """It ended without its piece: what came of it is wasted. Whether it was under way."""
        sending = fetcher.arriving.pop(request_id, None)
        fetcher.ready.pop(request_id, None)
        if fetcher.asked.pop(request_id, None) is None:
            return False
        fetcher.wasted_bytes += sending.came if sending is not None else 0
        return True

    def _on_chunk(self, serving: Serving, sending: Sending, count: int) -> None:
        fetcher, request_id = serving.fetcher, sending.ask.request_id
        if fetcher.is_gone:
            return
        if fetcher.arriving.get(request_id) is not sending:
            fetcher.wasted_bytes += count
            return
        sending.came += count
        size = sending.end - sending.begin
        if sending.came < size:
            return
        fetcher.wasted_bytes += sending.came - size
        sending.transfer = None  # which knows what to call, and so would keep itself alive
        del fetcher.arriving[request_id]
        if serving.server.lies and self.rng.random() < serving.server.lies:
            fetcher.wasted_bytes += size
            self._blame(fetcher, serving.server, request_id)
        else:
            self._received(fetcher, sending)

    def _blame(self, fetcher: Node, server: Node, request_id: int) -> None:
        assert fetcher.scheduler is not None
        self._forget(fetcher, request_id)
        fetcher.scheduler.refused(request_id, self.clock.now_s)
        fetcher.banned.add(server.number)
        self._on_lost(fetcher, server)
        self._after_trip(fetcher, server, self._close, server, fetcher)

    def _received(self, fetcher: Node, sending: Sending) -> None:
        scheduler, request_id, now_s = fetcher.scheduler, sending.ask.request_id, self.clock.now_s
        assert scheduler is not None
        if sending.ask.is_scratch:
            fetcher.ready[request_id] = sending.piece
            scheduler.scratch_ready(request_id, now_s)
        elif sending.begin or sending.end < self.geometry.length_of(sending.piece):
            del fetcher.asked[request_id]
            scheduler.part_received(request_id, b"", now_s)
        else:
            del fetcher.asked[request_id]
            assert scheduler.verified(request_id, now_s) == sending.piece
            self._gained(fetcher, sending.piece)
        self._pump_soon(fetcher)

    def _gained(self, fetcher: Node, piece: int) -> None:
        assert not fetcher.have[piece]
        now_s = self.clock.now_s
        fetcher.have[piece] = 1
        fetcher.verified_at_s.append(now_s)
        if not self.seen[piece]:
            self.seen[piece] = 1
            self._unseen -= 1
            if not self._unseen:
                self.all_out_at_s = now_s
                self.origin_bytes_when_out = self.nodes[0].port.sent_bytes
                if self.on_all_out is not None:
                    self.on_all_out()
        self.clock.after(2 * fetcher.port.latency_s, self._on_have, fetcher, piece)
        if fetcher.is_complete:
            fetcher.finished_at_s = now_s
            self._unfinished -= 1
            for request_id in list(fetcher.asked):
                self._forget(fetcher, request_id)
            for server in fetcher.fetching_from:
                self._after_trip(fetcher, self.nodes[server], self._close, self.nodes[server], fetcher)
            fetcher.fetching_from.clear()

    # ------------------------------------------------------------ deciding

    def _tick(self, node: Node) -> None:
        if not node.is_gone and not node.is_complete:
            self._pump(node)
            self.clock.after(self.settings.tick_s, self._tick, node)

    def _pump_soon(self, node: Node) -> None:
        """Once for all the news of one instant."""
        if node.number not in self._pump_due:
            self._pump_due.add(node.number)
            self.clock.after(0.0, self._pump, node)

    def _pump(self, node: Node) -> None:
        self._pump_due.discard(node.number)
        if node.scheduler is None or node.is_gone:
            return
        for action in node.scheduler.next_actions(self.clock.now_s):
            self._carry_out(node, action)

    def _carry_out(self, node: Node, action: Action) -> None:
        match action:
            case Ask():
                node.asked[action.request_id] = action
                self._tell(node, action.link, self._on_request, action)
            case Revoke():
                self.clock.after(ACKNOWLEDGE_S, self._on_revoked, node, action)
                self._tell(node, action.link, self._on_cancel, action.request_id)
            case Cut():
                self.clock.after(ACKNOWLEDGE_S, self._on_cut, node, action)
            case Keep():
                self.clock.after(ACKNOWLEDGE_S, self._on_kept, node, action)
            case CheckPiece():
                self.clock.after(ACKNOWLEDGE_S, self._on_checked, node, action.piece)

    def _tell(self, node: Node, link: int, event, argument: object) -> None:  # type: ignore[no-untyped-def]
        server = self.nodes[link]
        serving = server.serving.get(node.number)
        if serving is not None:
            self._after_trip(node, server, event, serving, argument)

    def _on_revoked(self, node: Node, action: Revoke) -> None:
        if self._forget(node, action.request_id) and node.scheduler is not None:
            node.scheduler.revoked(action.request_id)
            self._pump_soon(node)

    def _on_cut(self, node: Node, action: Cut) -> None:
        """As a worker cuts: half of what is left, in slices. The server is taken to hear of it in time."""
        sending, at = node.arriving.get(action.request_id), 0
        if sending is not None and sending.transfer is not None:
            slices = -(-sending.came // SPLIT_BYTES_MIN)
            left = sending.end - sending.begin - slices * SPLIT_BYTES_MIN
            stop = sending.begin + slices * SPLIT_BYTES_MIN + -(-left // (2 * SPLIT_BYTES_MIN)) * SPLIT_BYTES_MIN
            at = stop if left > 0 and stop < sending.end else 0
            if at:
                sending.transfer.shorten(sending.end - at)
                sending.end = at
        assert node.scheduler is not None
        node.scheduler.was_cut(action.request_id, at)
        self._pump_soon(node)

    def _on_kept(self, node: Node, action: Keep) -> None:
        piece = node.ready.pop(action.request_id, None)
        if piece is not None and node.scheduler is not None:
            node.asked.pop(action.request_id)
            assert node.scheduler.verified(action.request_id, self.clock.now_s) == piece
            self._gained(node, piece)
            self._pump_soon(node)

    def _on_checked(self, node: Node, piece: int) -> None:
        if node.scheduler is not None and node.scheduler.checked(piece, True):
            self._gained(node, piece)
            self._pump_soon(node)
