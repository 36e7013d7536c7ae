"""What answers in the tracker's place: garbage, another authority, hostile replies. The client says so."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.world import World, refusal
from tracker.protocol import events, framing, requests, results
from tracker.protocol.addresses import fingerprint_of
from tracker.protocol.authority import Authority, load_authority, make_authority
from tracker.server.server import _server_tls

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("hostile tracker")]


def welcome(authority: Authority) -> bytes:
    return framing.encode_frame(events.Welcome(requests.VERSION, os.urandom(32), authority.pem))


@contextmanager
def false_tracker(world: World, answer: Callable[[bytes], bytes], *, greeting: bytes | None = None) -> Iterator[str]:
    """Welcomes everybody and answers each request with these bytes; yields its fingerprint."""
    authority = load_authority(*make_authority(time.time()))
    host, port = world.tracker_info.read_text().split()[:2]
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(welcome(authority) if greeting is None else greeting)
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big")
                writer.write(answer(await reader.readexactly(length)))
        except (OSError, EOFError):
            writer.transport.abort()

    tls = _server_tls(authority, time.time())
    server = loop.run_until_complete(asyncio.start_server(serve, host, int(port), ssl=tls))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield fingerprint_of(authority.pem)

    async def stop() -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def reply(result: results.Result) -> Callable[[bytes], bytes]:
    def answer(payload: bytes) -> bytes:
        return framing.encode_frame(results.Reply(framing.decode_seq(payload) or 0, result))

    return answer


NO_MESSAGE = b"\x00\x00\x00\x04\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("when", "garbage"),
    [
        ("at once", NO_MESSAGE),
        ("at once", b"\xff\xff\xff\xff" + os.urandom(500)),
        ("at once", framing.encode_frame(events.Welcome(requests.VERSION, bytes(32), b"no certificate"))),
        ("as a reply", NO_MESSAGE),
    ],
    ids=["no message", "too long", "no authority", "as a reply"],
)
def test_garbage_in_place_of_a_tracker_is_said_in_a_sentence(bare_world: World, garbage: bytes, when: str) -> None:
    greeting = garbage if when == "at once" else None
    with false_tracker(bare_world, lambda _: garbage, greeting=greeting):
        client = bare_world.start_client("ann")
        assert refusal(client, "create_user ann secret-pa55") == "tracker_unavailable"
        assert client.run("help")["ok"]
        client.stop()


def test_a_reply_of_another_kind_and_a_message_with_escapes_do_no_harm(bare_world: World) -> None:
    with false_tracker(bare_world, reply(results.Refused("internal", "\x1b[2Jwiped"))):
        finished = bare_world.run_script("ann", "create_user ann secret-pa55\n")
        assert "\x1b" not in finished.out + finished.err
        assert "wiped" in finished.err
    with false_tracker(bare_world, reply(results.Groups([]))):
        client = bare_world.start_client("bob")
        assert not client.run("create_user bob secret-pa55")["ok"]
        client.stop()


def test_a_password_never_goes_to_who_is_not_the_trusted_tracker(bare_world: World) -> None:
    """Neither where tracker_info.txt names a fingerprint, nor where another was seen before."""
    heard: list[bytes] = []

    def listen(payload: bytes) -> bytes:
        heard.append(payload)
        return b""

    trusted = f"sha256:{'0' * 64}"
    address = bare_world.tracker_info.read_text().split()
    bare_world.tracker_info.write_text(f"{address[0]} {address[1]} {trusted}\n")
    with false_tracker(bare_world, listen) as shown:
        client = bare_world.start_client("ann")
        answer = client.run("login ann secret-pa55")
        assert answer["error"]["code"] == "tracker_untrusted"
        assert trusted in answer["error"]["message"]
        assert shown in answer["error"]["message"]
        client.stop()
        bare_world.tracker_info.write_text(f"{address[0]} {address[1]}\n")
        pin = bare_world.state_of("bob") / "authority.pem"
        pin.parent.mkdir(parents=True)
        pin.write_bytes(load_authority(*make_authority(time.time())).pem)
        client = bare_world.start_client("bob")
        answer = client.run("login bob secret-pa55")
        assert answer["error"]["code"] == "tracker_untrusted"
        assert answer["error"]["message"].count("sha256:") == 2
        assert str(pin) in answer["error"]["message"], "what to do about it"
        client.stop()
    assert heard == []


def test_a_damaged_pin_is_said_and_not_replaced(world: World) -> None:
    pin = world.state_of("ann") / "authority.pem"
    pin.parent.mkdir(parents=True)
    pin.write_bytes(b"not a certificate")
    client = world.start_client("ann")
    answer = client.run("create_user ann secret-pa55")
    assert answer["error"]["code"] == "bad_pin"
    assert str(pin) in answer["error"]["message"]
    assert pin.read_bytes() == b"not a certificate"
    client.stop()


def test_what_is_kept_is_private(world: World) -> None:
    """Folders 0700 and files 0600, of the tracker and of a client, whatever the umask."""
    old = os.umask(0)
    try:
        ann = world.join_in("ann")
        group = world.new_group(ann)
        ann.expect(f"upload_file {world.new_file()} {group}")
        tracker_state: Path = world.folder / "tracker"
        for folder in (tracker_state, world.state_of("ann")):
            assert folder.stat().st_mode & 0o777 == 0o700, folder
            for path in folder.rglob("*"):
                assert path.stat().st_mode & 0o077 == 0, path
    finally:
        os.umask(old)
