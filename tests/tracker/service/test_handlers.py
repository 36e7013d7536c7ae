import inspect
from types import ModuleType
from typing import get_args

import pytest

from tests.tracker.conftest import Office
from tracker.protocol import requests
from tracker.protocol.requests import Call, Login
from tracker.protocol.results import Done, Refused
from tracker.service.context import LoginContext
from tracker.service.dispatch import HANDLERS
from tracker.service.handlers import Handler, collect, handles_in_own_transactions


def test_every_request_has_one_handler_and_nothing_else_has_one() -> None:
    assert set(HANDLERS) == set(get_args(requests.Request))


@pytest.mark.parametrize("request_type", HANDLERS, ids=lambda kind: kind.__name__)
def test_a_handler_takes_the_request_it_is_registered_for(request_type: type) -> None:
    _, request = inspect.signature(HANDLERS[request_type].answer).parameters.values()
    assert request.annotation is request_type


def test_a_standing_is_asked_for_by_what_names_a_group() -> None:
    """Else the group would be looked up without being named, or named without being looked up."""
    asking = {kind for kind, each in HANDLERS.items() if isinstance(each, Handler) and each.least_standing is not None}
    naming = {kind for kind in get_args(requests.Request) if "group_id" in kind.__struct_fields__}
    assert asking == naming - {requests.CreateGroup}


def test_what_may_be_asked_before_a_login_runs_in_no_transaction_of_a_session() -> None:
    assert not [kind for kind in requests.BEFORE_LOGIN if isinstance(HANDLERS[kind], Handler)]


def test_two_handlers_for_one_request_are_refused_at_the_start() -> None:
    def module_with_a_handler(name: str) -> ModuleType:
        @handles_in_own_transactions(Login)
        async def login(context: LoginContext, request: Login) -> Done:
            return Done()

        module = ModuleType(name)
        setattr(module, name, login)
        return module

    first, second = module_with_a_handler("first"), module_with_a_handler("second")
    assert list(collect([first])) == [Login]
    with pytest.raises(ValueError, match="two handlers for Login, one in second"):
        collect([first, second])


async def test_a_request_without_a_handler_is_denied(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await office.enter("ann")
    monkeypatch.delitem(HANDLERS, requests.ListGroups)
    answer = await office.service.answer(ann.connection, Call(1, bytes(16), requests.ListGroups()))
    assert answer == Refused("bad_request", "this tracker does not know that request")
