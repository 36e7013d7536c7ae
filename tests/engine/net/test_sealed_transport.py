"""The transport of sealed links over real sockets and TLS: all arrives, in order, and nothing waits in a record."""

import asyncio
import os
import socket
import ssl

import pytest

from engine.net.sealed_transport import SealedTransport, shake_hands
from engine.net.tls import Identity, fetching_context, serving_context
from tests.engine.net.test_plain_transport import Keeper, pair
from tests.testkit.fakes import Club, Member

MIB = 1 << 20
CLUB = Club()


def identity_of(member: Member) -> Identity:
    order = member.identity
    return Identity(order.certificate_pem, order.key_pem, order.authority_pem)


ANN, BOB = identity_of(CLUB.member("ann")), identity_of(CLUB.member("bob"))


async def secured_pair() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Who dialled, who accepted."""
    one, other = pair()
    async with asyncio.timeout(10):
        return await asyncio.gather(
            shake_hands(one, fetching_context(ANN), dialled=True),
            shake_hands(other, serving_context(BOB), dialled=False),
        )


class SmallKeeper(Keeper):
    """Offers less room than a TLS record has bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._buffer = bytearray(room)


@pytest.mark.parametrize("room", [1, 1000, 16384, 65536])
async def test_everything_arrives_in_order_whatever_room_the_protocol_offers(room: int) -> None:
    one, other = await secured_pair()
    content = os.urandom(min(4 * MIB, room * 2000))
    sender, receiver = Keeper(), SmallKeeper(room)
    sending = SealedTransport(one, sender)
    SealedTransport(other, receiver)
    view = memoryview(content)
    for start in range(0, len(content), 300_000):
        sending.write(view[start : start + 300_000])
    async with asyncio.timeout(20):
        while len(receiver.received) < len(content):
            await asyncio.sleep(0)
    assert bytes(receiver.received) == content
    sending.abort()
    await asyncio.wait_for(receiver.ended.wait(), 10)
    assert receiver.happened == ["lost NoneType"]


async def test_the_protocol_is_paused_while_the_socket_takes_nothing_and_resumed_once() -> None:
    one, other = await secured_pair()
    sender, receiver = Keeper(), Keeper()
    sending = SealedTransport(one, sender)
    content = os.urandom(24 * MIB)
    sending.write(content)
    assert sender.happened == ["pause"]
    SealedTransport(other, receiver)
    async with asyncio.timeout(20):
        while len(receiver.received) < len(content):
            await asyncio.sleep(0)
    assert bytes(receiver.received) == content
    assert sender.happened == ["pause", "resume"]
    sending.abort()
    await asyncio.wait_for(receiver.ended.wait(), 10)


async def test_both_directions_flow_while_one_of_them_waits() -> None:
    one, other = await secured_pair()
    left, right = Keeper(), Keeper()
    first, second = SealedTransport(one, left), SealedTransport(other, right)
    there, back = os.urandom(12 * MIB), os.urandom(12 * MIB)
    first.write(there)
    second.write(back)
    async with asyncio.timeout(20):
        while len(right.received) < len(there) or len(left.received) < len(back):
            await asyncio.sleep(0)
    assert (bytes(right.received), bytes(left.received)) == (there, back)
    first.abort()
    await asyncio.wait_for(right.ended.wait(), 10)


async def test_bytes_that_are_not_tls_end_the_handshake_and_close_the_socket() -> None:
    one, other = pair()
    other.send(b"GET / HTTP/1.1\r\n\r\n")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ssl.SSLError):
        await shake_hands(one, serving_context(BOB), dialled=False)
    assert len(os.listdir("/proc/self/fd")) == before - 1
    other.close()


async def test_a_handshake_that_never_comes_is_given_up_and_the_socket_closed() -> None:
    one, other = pair()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await shake_hands(one, serving_context(BOB), dialled=False)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(other, 1), 10) == b""
    other.close()


async def test_plain_bytes_inside_a_sealed_link_end_it_with_an_error() -> None:
    one, other = await secured_pair()
    keeper = Keeper()
    SealedTransport(one, keeper)
    plain = socket.socket(fileno=os.dup(other.fileno()))
    plain.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    await asyncio.wait_for(keeper.ended.wait(), 10)
    assert keeper.happened == ["lost SSLError"]
    assert not keeper.received
    plain.close()
    other.close()
