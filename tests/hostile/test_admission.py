"""Who is let in by the serving peer: nobody without the right key, certificate and ticket, whatever else he has."""

import contextlib
import socket
import sqlite3
import ssl
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from engine.net.proof import Prover
from engine.net.tls import MEMBER_NAME, Identity, fetching_context
from engine.wire.codec import HELLO_TYPE, Decoder, encode
from engine.wire.messages import PROTOCOL_VERSION, Bye, Hello, Open, Opened, Prove, Refused, Request, Role
from tests.end_to_end.world import PASSWORD
from tests.hostile.arena import GROUP, Arena
from tests.testkit.processes import LOOPBACK
from tests.testkit.raw_member import RawLink, RawMember
from tracker.protocol import authority, events, manifests, requests, results, tickets

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("hostile admission")]


def refusal(arena: Arena, member: RawMember, ticket: str, **named: object) -> str:
    """The code with which ann's client refuses."""
    link = arena.dial(member)
    answer = arena.ask_for(link, ticket, **named)  # type: ignore[arg-type]
    assert isinstance(answer, Refused), answer
    # What was refused stays so: a request on that channel gets no byte.
    link.send(Request(9, 1, 0, 0, (0,)))
    assert not isinstance(link.receive(), Opened)
    assert link.body_bytes == 0
    link.close()
    return answer.code


def parts(ticket: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(ticket, options={"verify_signature": False})
    return claims


def test_a_members_own_ticket_lets_in(arena: Arena) -> None:
    """Otherwise nothing below would mean anything."""
    link = arena.dial(arena.mallory)
    assert isinstance(arena.ask_for(link, arena.mallory.ticket(GROUP)), Opened)
    link.close()


@pytest.mark.parametrize("kid", ["known", "unknown", ""])
def test_a_forged_ticket_is_refused(arena: Arena, kid: str) -> None:
    real = arena.mallory.ticket(GROUP)
    header = jwt.get_unverified_header(real)
    kid = header["kid"] if kid == "known" else kid
    forged = jwt.encode(parts(real), Ed25519PrivateKey.generate(), "EdDSA", {"kid": kid})
    assert refusal(arena, arena.mallory, forged) == "bad_ticket"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_ticket_of_another_algorithm_is_refused(arena: Arena, algorithm: str) -> None:
    """Also one that takes the public key of the tracker for a shared secret."""
    real = arena.mallory.ticket(GROUP)
    header = jwt.get_unverified_header(real)
    public_key = arena.mallory.logged_in.ticket_keys[header["kid"]].public_key
    key = public_key if algorithm == "HS256" else None
    forged = jwt.encode(parts(real), key or "", algorithm, {"kid": header["kid"]})
    assert refusal(arena, arena.mallory, forged) == "bad_ticket"


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_ticket_with_a_changed_letter_is_refused(arena: Arena, at: int) -> None:
    real = arena.mallory.ticket(GROUP)
    at %= len(real) - 1  # of the very last letter only some bits count
    changed = real[:at] + ("A" if real[at] != "A" else "B") + real[at + 1 :]
    assert refusal(arena, arena.mallory, changed) == "bad_ticket"


@pytest.mark.parametrize("garbage", ["", ".", "..", "a.b.c", "\x1b[2J", "e" * 2048, "{" * 2000])
def test_garbage_is_no_ticket(arena: Arena, garbage: str) -> None:
    assert refusal(arena, arena.mallory, garbage) == "bad_ticket"


def test_another_members_ticket_is_refused(arena: Arena) -> None:
    other = arena.new_member()
    assert refusal(arena, arena.mallory, other.ticket(GROUP)) == "bad_ticket"
    other.close()


def test_the_own_ticket_of_another_key_is_refused(arena: Arena) -> None:
    """Replayed by who stole it, even by the same account on another machine."""
    elsewhere = arena.again(arena.mallory)
    assert refusal(arena, elsewhere, arena.mallory.ticket(GROUP)) == "bad_ticket"
    elsewhere.close()


def test_a_ticket_of_another_group_is_refused_under_either_name(arena: Arena) -> None:
    arena.mallory.tracker.ask(requests.CreateGroup("den"))
    ticket = arena.mallory.ticket("den")
    assert refusal(arena, arena.mallory, ticket) == "bad_ticket"
    assert refusal(arena, arena.mallory, ticket, group_id="den") == "not_shared"


def test_a_content_hash_is_no_permission(arena: Arena) -> None:
    """Published in one's own group, the root of a stranger's file opens nothing with those who share it in theirs."""
    mallory = arena.mallory
    mallory.tracker.ask(requests.CreateGroup("copy"))
    manifest = arena.manifest
    published = mallory.tracker.ask(
        manifests.Publish("copy", "x", manifest.size_bytes, manifest.piece_bytes, manifest.root, manifest.leaves)
    )
    assert isinstance(published, manifests.Published)
    assert refusal(arena, mallory, mallory.ticket("copy"), group_id="copy") == "not_shared"


def test_a_file_that_is_not_shared_is_refused_also_to_members(arena: Arena) -> None:
    assert refusal(arena, arena.mallory, arena.mallory.ticket(GROUP), root=bytes(32)) == "not_shared"


def test_a_removed_members_ticket_is_refused_at_once(arena: Arena) -> None:
    member = arena.new_member()
    ticket = member.ticket(GROUP)
    link = arena.dial(member)
    assert isinstance(arena.ask_for(link, ticket), Opened)
    arena.ann.expect(f"remove_member {GROUP} {member.user_id}")
    deadline_s = time.monotonic() + 1
    while (code := refusal_or_none(arena, member, ticket)) is None:
        assert time.monotonic() < deadline_s
    assert code == "old_ticket"
    assert isinstance(member.tracker.ask(requests.GetTicket(GROUP)), results.Refused)
    link.close()
    member.close()


def refusal_or_none(arena: Arena, member: RawMember, ticket: str) -> str | None:
    link = arena.dial(member)
    answer = arena.ask_for(link, ticket)
    link.close()
    return answer.code if isinstance(answer, Refused) else None


def test_revoked_keys_are_refused_at_once(arena: Arena) -> None:
    member = arena.new_member()
    stolen = arena.again(member)  # a second session: of whoever has the password or the machine
    ticket = stolen.ticket(GROUP)
    assert isinstance(member.tracker.ask(requests.RevokeSessions()), results.LoggedIn)
    deadline_s = time.monotonic() + 1
    while (code := refusal_or_none(arena, stolen, ticket)) is None:
        assert time.monotonic() < deadline_s
    assert code == "old_ticket"
    assert isinstance(stolen.tracker.ask(requests.GetTicket(GROUP)), results.Refused)
    assert refusal_or_none(arena, member, member.ticket(GROUP)) is None
    member.close()
    stolen.close()


# ---------------------------------------------------------------- before any ticket: who is at the other end


def assert_hung_up(arena: Arena, identity: Identity) -> None:
    """Neither a greeting nor anything else is said to this identity."""
    with pytest.raises((OSError, EOFError)):
        RawLink(identity, LOOPBACK, arena.world.port_of("ann"))


def test_a_certificate_of_another_authority_is_hung_up_on(arena: Arena) -> None:
    other = authority.load_authority(*authority.make_authority(time.time()))
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes_raw()
    certificate = authority.issue_member(other, "ann", raw, time.time(), 3600)
    welcome = arena.mallory.tracker.welcome
    assert_hung_up(arena, Identity(certificate, authority.private_pem(key), welcome.authority_pem))


def test_no_certificate_is_hung_up_on(arena: Arena) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((LOOPBACK, arena.world.port_of("ann")), 5)
    received = b""
    with contextlib.suppress(OSError), context.wrap_socket(plain) as secured:
        secured.sendall(encode(Hello(PROTOCOL_VERSION, Role.FETCHER)))
        while chunk := secured.recv(4096):
            received += chunk
    assert received == b""


def test_a_stolen_certificate_without_its_key_is_of_no_use(arena: Arena) -> None:
    """TLS does not even take the two; on an open link the signature does not fit."""
    bob_like = arena.new_member()
    mine = authority.private_pem(arena.mallory.key)
    with pytest.raises(ssl.SSLError):
        fetching_context(Identity(bob_like.logged_in.certificate_pem, mine, bob_like.tracker.welcome.authority_pem))
    plain = socket.create_connection((LOOPBACK, arena.world.port_of("ann")), 5)
    plain.sendall(encode(Hello(PROTOCOL_VERSION, Role.FETCHER, bytes(32))))
    plain.sendall(encode(Prove(bob_like.logged_in.certificate_pem, arena.mallory.key.sign(b"anything"))))
    plain.sendall(encode(Open(1, GROUP, arena.manifest.root, bob_like.ticket(GROUP))))
    decoder, said = Decoder(), []
    with plain, contextlib.suppress(OSError):
        while count := plain.recv_into(decoder.buffer()):
            decoder.received(count)
            said += [type(message) for message in decoder.messages()]
    assert set(said) <= {Hello, Prove, Bye}
    bob_like.close()


def test_plaintext_gets_no_file_of_a_sealed_group(arena: Arena) -> None:
    """A member who proves its key over an open link is still told that this group is sealed."""
    identity = arena.mallory.identity
    thumbprint = next(peer.thumbprint for peer in _peers(arena) if peer.user_id == "ann")
    prover = Prover(identity, Role.FETCHER, thumbprint)
    plain = socket.create_connection((LOOPBACK, arena.world.port_of("ann")), 5)
    plain.sendall(encode(Hello(PROTOCOL_VERSION, Role.FETCHER, prover.nonce)))
    decoder = Decoder()

    def receive() -> object:
        while True:
            for message in decoder.messages():
                return message
            decoder.received(plain.recv_into(decoder.buffer()))

    greeting = receive()
    assert isinstance(greeting, Hello)
    plain.sendall(encode(prover.prove(greeting.nonce)))
    assert isinstance(receive(), Prove)
    plain.sendall(encode(Open(1, GROUP, arena.manifest.root, arena.mallory.ticket(GROUP))))
    answer = receive()
    assert isinstance(answer, Refused)
    assert answer.code == "sealed_group"
    plain.close()


def _peers(arena: Arena) -> list[events.Peer]:
    answer = arena.mallory.tracker.ask(requests.FindPeers(GROUP, arena.manifest.root, 10))
    assert isinstance(answer, results.Peers)
    return answer.peers


@pytest.mark.parametrize("port_of", ["ann", "tracker"])
def test_an_older_tls_is_not_spoken(arena: Arena, port_of: str) -> None:
    port = arena.address.port if port_of == "tracker" else arena.world.port_of("ann")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((LOOPBACK, port), 5) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain)


@pytest.mark.parametrize("port_of", ["ann", "tracker"])
@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, b"\xff" * 5000, b"\x16\x03\x01"])
def test_plaintext_on_a_tls_port_is_hung_up_on(arena: Arena, port_of: str, said: bytes) -> None:
    assert said[0] != HELLO_TYPE
    port = arena.address.port if port_of == "tracker" else arena.world.port_of("ann")
    with socket.create_connection((LOOPBACK, port), 5) as plain:
        answer = b""
        with contextlib.suppress(OSError):  # it may have hung up before we are done
            plain.sendall(said)
            plain.shutdown(socket.SHUT_WR)
            while chunk := plain.recv(4096):
                answer += chunk
    assert len(answer) <= 7, "at most a TLS alert"


def test_a_trackers_certificate_is_no_members_and_the_other_way_round(arena: Arena) -> None:
    context = fetching_context(arena.mallory.identity)
    plain = socket.create_connection((arena.address.host, arena.address.port), 5)
    with pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname=MEMBER_NAME)
    plain.close()


def test_a_login_proof_of_another_connection_is_refused(arena: Arena) -> None:
    one, other = RawMember(arena.address, "mallory"), RawMember(arena.address, "mallory")
    answer = other.tracker.ask(one.login_request(PASSWORD))
    assert isinstance(answer, results.Refused)
    assert answer.code == "login_failed"
    one.close()
    other.close()


def test_claims_are_not_believed_before_their_signature(arena: Arena) -> None:
    """A ticket of a tracker of one's own, that says all the right things."""
    key = Ed25519PrivateKey.generate()
    kid = jwt.get_unverified_header(arena.mallory.ticket(GROUP))["kid"]
    thumbprint = tickets.thumbprint_of(arena.mallory.key.public_key().public_bytes_raw())
    made = tickets.sign(
        key, kid, user_id="mallory", group_id=GROUP, epoch=2**40, thumbprint=thumbprint, now_s=time.time(), life_s=600
    )
    assert refusal(arena, arena.mallory, made) == "bad_ticket"
    # And its huge epoch did not lock the others out:
    assert refusal_or_none(arena, arena.mallory, arena.mallory.ticket(GROUP)) is None


def test_an_expired_ticket_is_refused(arena: Arena) -> None:
    """Signed by the right key, from the tracker's own database."""
    with contextlib.closing(sqlite3.connect(arena.world.folder / "tracker" / "tracker.db")) as database:
        (pem,) = database.execute("SELECT key_pem FROM ticket_keys").fetchone()
    key = load_pem_private_key(pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    kid = jwt.get_unverified_header(arena.mallory.ticket(GROUP))["kid"]
    thumbprint = tickets.thumbprint_of(arena.mallory.key.public_key().public_bytes_raw())
    epoch = int(str(parts(arena.mallory.ticket(GROUP))["epoch"]))
    for age_s, expected in ((0.0, None), (601.0, "bad_ticket"), (-3600.0, "bad_ticket")):
        made = tickets.sign(
            key, kid, user_id="mallory", group_id=GROUP, epoch=epoch, thumbprint=thumbprint,
            now_s=time.time() - age_s, life_s=600,
        )  # fmt: skip
        assert refusal_or_none(arena, arena.mallory, made) == expected
