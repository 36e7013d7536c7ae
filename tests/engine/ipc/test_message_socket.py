"""What one process of a client says to another arrives in order, and what may wait wakes nobody by itself."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from engine.ipc import orders, reports
from engine.ipc.message_socket import MessageSocket


class End:
    """One end, and what arrived at it."""

    def __init__(self, connected: socket.socket) -> None:
        self.heard: list[reports.AnyReport] = []
        self.descriptors: list[int] = []
        self.is_closed = asyncio.Event()
        self.socket: MessageSocket[reports.AnyReport] = MessageSocket(
            connected, reports.AnyReport, self._take, self.is_closed.set
        )

    def _take(self, news: reports.AnyReport, descriptors: list[int]) -> None:
        self.heard.append(news)
        self.descriptors += descriptors

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                await asyncio.sleep(0)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    ours, theirs = (End(each) for each in socket.socketpair())
    yield ours, theirs
    ours.socket.close()
    theirs.socket.close()


async def test_what_may_wait_goes_before_what_is_sent_after_it(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    ours.socket.send_soon(reports.Pong(1))
    ours.socket.send_soon(reports.Pong(2))
    ours.socket.send(reports.Pong(3))
    await theirs.until(3)
    assert theirs.heard == [reports.Pong(1), reports.Pong(2), reports.Pong(3)]


async def test_what_may_wait_arrives_by_itself_too_and_not_at_once(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    ours.socket.send_soon(reports.Pong(1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not theirs.heard
    await theirs.until(1)
    ours.socket.send_soon(reports.Pong(2))
    await theirs.until(2)


async def test_many_messages_arrive_whole_and_in_order_when_nobody_reads_for_a_while(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    said = [reports.PeerHas(number, 1, tuple(range(500))) for number in range(2000)]
    for number, news in enumerate(said):
        (ours.socket.send_soon if number % 3 else ours.socket.send)(news)
    await theirs.until(len(said))
    assert theirs.heard == said


async def test_the_end_comes_after_the_last_message_and_what_still_waited_is_lost(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    ours.socket.send(reports.Pong(1))
    ours.socket.send_soon(reports.Pong(2))
    ours.socket.close()
    ours.socket.send_soon(reports.Pong(3))
    async with asyncio.timeout(5):
        await theirs.is_closed.wait()
    assert theirs.heard == [reports.Pong(1)]


async def test_a_descriptor_stays_with_its_message_whatever_waited_before_it() -> None:
    ours, theirs = socket.socketpair()
    sent_orders: list[tuple[orders.AnyOrder, list[int]]] = []
    sender: MessageSocket[reports.AnyReport] = MessageSocket(
        ours, reports.AnyReport, lambda news, fds: None, lambda: None
    )
    receiver: MessageSocket[orders.AnyOrder] = MessageSocket(
        theirs, orders.AnyOrder, lambda order, fds: sent_orders.append((order, fds)), lambda: None
    )
    shown = os.memfd_create("shown")
    sender.send_soon(orders.Ping(1))
    sender.send(orders.AcceptConnection(), [shown])
    async with asyncio.timeout(5):
        while len(sent_orders) < 2:
            await asyncio.sleep(0)
    (ping, none), (accept, (descriptor,)) = sent_orders
    assert (ping, none, accept) == (orders.Ping(1), [], orders.AcceptConnection())
    assert os.fstat(descriptor).st_ino == os.fstat(shown).st_ino
    sender.close()
    receiver.close()
    os.close(descriptor)
    os.close(shown)
