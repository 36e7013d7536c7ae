"""Which function answers which request, and what its caller must be: said by a decorator above the function.

    @handles(RemoveMember, least_standing="owner", is_change=True)
    async def remove_member(context: RequestContext, request: RemoveMember) -> Done: ...

Most requests are answered inside one transaction, by `handles`. The few that work on passwords, or that need nothing
but the session itself, use `handles_in_own_transactions`; they check for themselves, so they name no standing.

Invariant: a request type has one handler (`collect`), and one without a handler is refused to everybody (dispatch).

Not here: judging whether a caller is what a handler requires (rules.permissions).
"""

from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from tracker.protocol.results import Result
from tracker.rules.permissions import Standing
from tracker.service.context import LoginContext, RequestContext

_Request = TypeVar("_Request")


class Handler(NamedTuple):
    """Answers inside one transaction.

    `least_standing`: what the caller must at least be in the group that the request names ("none": any account). It is
    None where the request names no group, or several, which the function then checks one by one. `is_change`: whether
    it writes to the store. If so, its outcome is kept, and a retry gets the same answer.
    """

    request_type: type
    answer: Callable[[RequestContext, Any], Awaitable[Result]]
    least_standing: Standing | None
    is_change: bool


class OwnTransactionsHandler(NamedTuple):
    """Answers in transactions of its own, or in none."""

    request_type: type
    answer: Callable[[LoginContext, Any], Awaitable[Result]]


def handles(
    request_type: type[_Request], *, least_standing: Standing | None, is_change: bool
) -> Callable[[Callable[[RequestContext, _Request], Awaitable[Result]]], Handler]:
    def decorate(answer: Callable[[RequestContext, _Request], Awaitable[Result]]) -> Handler:
        return Handler(request_type, answer, least_standing, is_change)

    return decorate


def handles_in_own_transactions(
    request_type: type[_Request],
) -> Callable[[Callable[[LoginContext, _Request], Awaitable[Result]]], OwnTransactionsHandler]:
    def decorate(answer: Callable[[LoginContext, _Request], Awaitable[Result]]) -> OwnTransactionsHandler:
        return OwnTransactionsHandler(request_type, answer)

    return decorate


def collect(modules: Iterable[ModuleType]) -> dict[type, Handler | OwnTransactionsHandler]:
    """The handlers in these modules, by request type. Raises ValueError if a request type has two."""
    found: dict[type, Handler | OwnTransactionsHandler] = {}
    for module in modules:
        for each in vars(module).values():
            if isinstance(each, Handler | OwnTransactionsHandler):
                if each.request_type in found:
                    raise ValueError(f"two handlers for {each.request_type.__name__}, one in {module.__name__}")
                found[each.request_type] = each
    return found
