"""A member without a client: the test or bench that uses it chooses every message it sends to trackers and peers.

It does what no client of Shoal would do: it goes on asking when it should stop, asks for what it may not have, sends
what makes no sense. By itself it does TLS and framing only. It has blocking sockets and one thread.
"""

import secrets
import socket
import ssl
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.net.proof import Prover
from engine.net.tls import MEMBER_NAME, Identity, fetching_context
from engine.wire.codec import Decoder, encode
from engine.wire.messages import PROTOCOL_VERSION, Bye, Hello, Message, PieceHeader, Prove, Role
from tracker.protocol import events, framing, requests, results
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.authority import private_pem

_TIMEOUT_S = 20.0


class RawTracker:
    """One connection to a tracker, past its welcome. It trusts any tracker that answers."""

    def __init__(self, address: TrackerAddress, source: str = "127.0.0.1") -> None:
        """`source`: the local address to come from; any of 127/8 will do on Linux. Raises OSError."""
        plain = socket.create_connection((address.host, address.port), _TIMEOUT_S, (source, 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(plain)
        self.events: list[results.FromTracker] = []
        welcome = self.receive()
        assert isinstance(welcome, events.Welcome), welcome
        self.welcome = welcome

    def receive(self) -> results.FromTracker:
        """The next message; raises EOFError at the end of the connection."""
        length = int.from_bytes(read_exactly(self.socket, framing.FRAME_HEADER_BYTES), "big")
        return framing.decode_from_tracker(read_exactly(self.socket, length))

    def ask(self, request: requests.Request, request_id: bytes | None = None) -> results.Result:
        """The answer, a refusal included. What comes in between is kept in `events`."""
        self.socket.sendall(framing.encode_frame(requests.Call(1, request_id or secrets.token_bytes(16), request)))
        while not isinstance(message := self.receive(), results.Reply):
            self.events.append(message)
        return message.result

    def close(self) -> None:
        self.socket.close()


class RawMember:
    """An account, logged in by `enter`."""

    def __init__(self, address: TrackerAddress, user_id: str, source: str = "127.0.0.1") -> None:
        self.user_id = user_id
        self.tracker = RawTracker(address, source)
        self.key = Ed25519PrivateKey.generate()

    def enter(self, password: str, *, is_new: bool = True) -> results.LoggedIn:
        """Makes the account if it `is_new`, and logs in."""
        if is_new:
            answer = self.tracker.ask(requests.CreateUser(self.user_id, password))
            assert answer == results.Done(), answer
        logged_in = self.tracker.ask(self.login_request(password))
        assert isinstance(logged_in, results.LoggedIn), logged_in
        self.logged_in = logged_in
        return logged_in

    def login_request(self, password: str) -> requests.Login:
        proof = self.key.sign(requests.login_challenge(self.tracker.welcome.nonce, self.user_id))
        return requests.Login(self.user_id, password, self.key.public_key().public_bytes_raw(), proof)

    @property
    def identity(self) -> Identity:
        """What this member shows to peers."""
        return Identity(self.logged_in.certificate_pem, private_pem(self.key), self.tracker.welcome.authority_pem)

    def ticket(self, group_id: str) -> str:
        answer = self.tracker.ask(requests.GetTicket(group_id))
        assert isinstance(answer, results.Ticket), answer
        return answer.ticket

    def close(self) -> None:
        self.tracker.close()


class RawLink:
    """The fetching end of a link, past both greetings unless told otherwise."""

    def __init__(
        self,
        identity: Identity,
        host: str,
        port: int,
        *,
        greets: bool = True,
        source: str = "127.0.0.1",
        open_to: bytes | None = None,
    ) -> None:
        """`open_to`: not a sealed but an open link, to who has the key of this thumbprint.

        Raises OSError, of which ssl.SSLError is one.
        """
        self.socket = socket.create_connection((host, port), _TIMEOUT_S, (source, 0))
        if open_to is None:
            self.socket = fetching_context(identity).wrap_socket(self.socket, server_hostname=MEMBER_NAME)
        self._prover = None if open_to is None else Prover(identity, Role.FETCHER, open_to)
        self._decoder = Decoder()
        self._messages: Iterator[Message] = iter(())
        self.body_bytes = 0
        """Bytes of pieces received so far."""
        if greets:
            try:
                greeting = self.greet()
                if self._prover is not None:
                    self.send(self._prover.prove(greeting.nonce))
                    proof = self.receive()
                    assert isinstance(proof, Prove), proof
            except BaseException:
                self.close()
                raise

    def greet(self) -> Hello:
        """The other side's greeting. On an open link nothing is proven yet."""
        self.send(Hello(PROTOCOL_VERSION, Role.FETCHER, self._prover.nonce if self._prover is not None else b""))
        greeting = self.receive()
        assert isinstance(greeting, Hello), greeting
        return greeting

    def send(self, message: Message) -> None:
        self.socket.sendall(encode(message))

    def receive(self) -> Message:
        """The next message; the bytes of a piece are read and counted. Raises EOFError, OSError."""
        while True:
            for message in self._decoder.messages():
                if isinstance(message, PieceHeader):
                    self._read_body()
                return message
            count = self.socket.recv_into(self._decoder.buffer())
            if not count:
                raise EOFError("the link was closed")
            self._decoder.received(count)

    def is_ended_by_peer(self) -> bool:
        """Whether the peer says goodbye or hangs up before it falls silent."""
        try:
            while not isinstance(self.receive(), Bye):
                pass
        except TimeoutError:
            return False
        except (EOFError, OSError):
            pass
        return True

    def close(self) -> None:
        self.socket.close()

    def _read_body(self) -> None:
        scratch = memoryview(bytearray(1 << 18))
        while self._decoder.body_left:
            count = self._decoder.take_body(scratch)
            if not count:
                count = self.socket.recv_into(scratch[: self._decoder.body_left])
                if not count:
                    raise EOFError("the link was closed in the middle of a piece")
                self._decoder.body_received(count)
            self.body_bytes += count


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """Raises EOFError."""
    received = bytearray()
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise EOFError(f"closed after {len(received)} of {count} bytes")
        received += chunk
    return bytes(received)
