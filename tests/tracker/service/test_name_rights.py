"""Whose a name is, and who can free it: withdrawing and replacing, at one tracker."""

from typing import TYPE_CHECKING

import pytest

from tests.tracker.service.test_dispatch import a_file, announce
from tracker.protocol import requests, results
from tracker.protocol.manifests import Published
from tracker.protocol.requests import Withdraw
from tracker.protocol.results import Refused, Withdrawn
from tracker.protocol.types import HOLDERS_NAMED_MAX

if TYPE_CHECKING:
    from tests.tracker.conftest import Office, Person

OLD, NEW = bytes(32), b"\x02" * 32


def holding(*, is_complete: bool = True, has_pieces: bool = True) -> requests.Announce:
    return announce(requests.Share("lab", OLD, is_complete, has_pieces))


async def listed(person: "Person") -> list[tuple[str, bytes, str]]:
    answer = await person.ask(requests.ListFiles("lab"))
    assert isinstance(answer, results.Files)
    return [(entry.name, entry.root, entry.publisher) for entry in answer.files]


async def refusal(person: "Person", request: requests.Request) -> str:
    answer = await person.ask(request)
    assert isinstance(answer, Refused), answer
    return answer.message


async def test_its_publisher_replaces_what_nobody_else_serves(office: "Office") -> None:
    _, bob = await office.gather("lab", "ann", "bob")
    await bob.ask(a_file("lab", "data"))
    await bob.ask(holding())
    assert await bob.ask(a_file("lab", "data", NEW)) == Published(False, has_replaced=True)
    assert await listed(bob) == [("data", NEW, "bob")]
    assert await bob.ask(requests.Announce("", 4000, [requests.Share("lab", OLD, True)])) != results.Announced([])


async def test_the_owner_replaces_it_too_and_is_its_publisher_then(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await bob.ask(a_file("lab", "data"))
    assert await ann.ask(a_file("lab", "data", NEW)) == Published(False, has_replaced=True)
    assert await listed(ann) == [("data", NEW, "ann")]
    assert "ann published another file" in await refusal(bob, a_file("lab", "data"))


async def test_nobody_else_does(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    said = await refusal(cy, a_file("lab", "data", NEW))
    assert "bob published another file as 'data' in lab" in said
    assert "bob and ann can withdraw it" in said
    assert await cy.ask(Withdraw("lab", "data")) == Withdrawn(False, may_withdraw=["bob", "ann"])
    assert await listed(ann) == [("data", OLD, "bob")]


async def test_what_somebody_else_has_whole_is_not_replaced_and_it_is_said_who_has_it(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    await cy.ask(holding())
    said = await refusal(bob, a_file("lab", "data", NEW))
    assert said.startswith("you published another file as 'data' in lab, and cy still shares it")
    assert (await refusal(ann, a_file("lab", "data", NEW))).startswith("bob published another file")
    assert await listed(bob) == [("data", OLD, "bob")]


async def test_another_client_of_the_same_account_is_not_overlooked(office: "Office") -> None:
    _, bob = await office.gather("lab", "ann", "bob")
    await bob.ask(a_file("lab", "data"))
    elsewhere = office.stranger()
    await elsewhere.login("bob", "pw bob")
    await elsewhere.ask(holding())
    assert "another client of yours still shares it" in await refusal(bob, a_file("lab", "data", NEW))
    assert await bob.ask(Withdraw("lab", "data")) == Withdrawn(False, still_shared_by=["bob"])
    await elsewhere.ask(requests.Logout())
    assert await bob.ask(Withdraw("lab", "data")) == Withdrawn(True)


async def test_who_has_a_part_keeps_a_file_listed_but_its_publisher_may_replace_it(office: "Office") -> None:
    _, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    await cy.ask(holding(is_complete=False))
    assert await bob.ask(Withdraw("lab", "data")) == Withdrawn(False, still_shared_by=["cy"])
    assert await bob.ask(a_file("lab", "data", NEW)) == Published(False, has_replaced=True)
    assert await cy.code(requests.FindPeers("lab", OLD, 5)) == "no_such_file"


async def test_who_waits_without_a_piece_keeps_nothing_listed(office: "Office") -> None:
    _, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    await cy.ask(holding(is_complete=False, has_pieces=False))
    assert await bob.ask(Withdraw("lab", "data")) == Withdrawn(True)


async def test_a_late_withdrawal_leaves_what_has_the_name_now(office: "Office") -> None:
    _, bob = await office.gather("lab", "ann", "bob")
    await bob.ask(a_file("lab", "data"))
    await bob.ask(a_file("lab", "data", NEW))
    assert await bob.code(Withdraw("lab", "data", OLD)) == "no_such_file"
    assert await bob.ask(Withdraw("lab", "data", NEW)) == Withdrawn(True)


@pytest.mark.parametrize("is_removed", [True, False])
async def test_a_name_whose_publisher_left_is_the_owners(office: "Office", is_removed: bool) -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    await bob.ask(holding())
    if is_removed:
        await ann.ask(requests.RemoveMember("lab", "bob"))
    else:
        await bob.ask(requests.LeaveGroup("lab"))
    assert await cy.ask(Withdraw("lab", "data")) == Withdrawn(False, may_withdraw=["ann"])
    assert "ann can withdraw it" in await refusal(cy, a_file("lab", "data", NEW))
    await ann.ask(requests.TransferOwnership("lab", "cy"))
    assert await ann.ask(Withdraw("lab", "data")) == Withdrawn(False, may_withdraw=["cy"])
    assert await cy.ask(a_file("lab", "data", NEW)) == Published(False, has_replaced=True)


async def test_a_replaced_file_counts_for_nobody_any_more(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await bob.ask(a_file("lab", "data"))
    await bob.ask(holding())
    await ann.ask(requests.Withdraw("lab", "data"))
    await bob.ask(requests.Announce("", 4000, []))
    await ann.ask(a_file("lab", "data", NEW))
    await ann.ask(a_file("lab", "other", OLD))
    answer = await ann.ask(requests.ListFiles("lab"))
    assert isinstance(answer, results.Files)
    assert [entry.sharers_online for entry in answer.files] == [0, 0]


async def test_a_few_of_many_holders_are_named(office: "Office") -> None:
    ann, *others = await office.gather("lab", "ann", *(f"user{number:02}" for number in range(HOLDERS_NAMED_MAX + 2)))
    await ann.ask(a_file("lab", "data"))
    for other in others:
        await other.ask(holding())
    answer = await ann.ask(Withdraw("lab", "data"))
    assert isinstance(answer, Withdrawn)
    assert len(answer.still_shared_by) == HOLDERS_NAMED_MAX
    assert "2 more" in await refusal(ann, a_file("lab", "data", NEW))
