"""What the serving half of a worker does with connections and links, beside the protocol that is spoken on them."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from engine.ipc import orders, reports
from engine.net.tls import Identity
from engine.settings import Settings
from engine.worker.gate import TicketGate
from engine.worker.serve_side import ServeSide
from tests.testkit.fakes import Club
from tracker.protocol import tickets

CLUB = Club()
BOB = CLUB.member("bob").identity
IDENTITY = Identity(BOB.certificate_pem, BOB.key_pem, BOB.authority_pem)


class FakeCoordinator:
    def __init__(self) -> None:
        self.heard: list[reports.Report] = []

    def send(self, report: reports.Report) -> None:
        self.heard.append(report)


class Scene:
    def __init__(self, **settings: Any) -> None:
        self.coordinator = FakeCoordinator()
        self.links_made = 0
        coordinator: Any = self.coordinator
        gate = TicketGate(tickets.check)
        self.side = ServeSide(coordinator, {}, gate, Settings(**settings), self._count_link)

    def _count_link(self) -> None:
        self.links_made += 1

    def carry_out(self, order: orders.AnyOrder, *descriptors: int) -> None:
        ServeSide.handlers.bound_to(self.side)[type(order)](order, *descriptors)

    def log_in(self) -> None:
        self.side.configure(IDENTITY, CLUB.ticket_keys)

    async def connect(self) -> socket.socket:
        """The dialling end of a connection that was handed over like one that the client accepted."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            dialled = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
        with accepted:
            self.carry_out(orders.AcceptConnection(), os.dup(accepted.fileno()))
        dialled.setblocking(False)
        await asyncio.sleep(0)
        return dialled


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.005)


async def ends(dialled: socket.socket) -> bool:
    async with asyncio.timeout(5):
        try:
            return not await asyncio.get_running_loop().sock_recv(dialled, 1)
        except ConnectionResetError:
            return True


async def test_a_client_that_is_logged_out_accepts_no_connection() -> None:
    scene = Scene()
    with await scene.connect() as dialled:
        assert await ends(dialled)


async def test_a_connection_that_says_nothing_ends_after_the_handshake_timeout() -> None:
    scene = Scene(handshake_timeout_s=0.05)
    scene.log_in()
    with await scene.connect() as dialled:
        assert await ends(dialled)
    assert scene.links_made == 0


async def test_where_an_address_is_full_the_oldest_unproven_connection_makes_room() -> None:
    scene = Scene(serve_links_per_address=1)
    scene.log_in()
    with await scene.connect() as first, await scene.connect() as second:
        assert await ends(first)
        second.send(b"\x01")  # as an open link begins; it is cut short, so that the connection ends here, too
        second.shutdown(socket.SHUT_WR)
        assert await ends(second)


async def test_after_all_links_were_ended_no_connection_becomes_a_link() -> None:
    scene = Scene()
    scene.log_in()
    with await scene.connect() as dialled:
        scene.side.end_all("logged out")
        dialled.send(b"\x01".ljust(8, b"\0"))
        assert await ends(dialled)
    assert scene.links_made == 0
    assert not scene.side.has_links


async def test_an_open_link_is_counted_while_it_lasts() -> None:
    scene = Scene()
    scene.log_in()
    with await scene.connect() as dialled:
        dialled.send(b"\x01".ljust(8, b"\0"))
        await until(lambda: scene.links_made == 1)
    await until(lambda: not scene.side.has_links)
