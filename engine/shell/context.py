"""What an action works with: the client, the output, and a way to ask for a password."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.shell.answers.output import Output

if TYPE_CHECKING:
    from engine.client.client import Client

AskPassword = Callable[[str], Awaitable[str]]


@dataclass
class Context:
    client: "Client"
    output: Output
    ask_password: AskPassword
