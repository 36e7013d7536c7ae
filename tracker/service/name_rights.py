"""Who may free a name of a group, and what is said when it stays taken: the rules of withdrawing and replacing.

A name stands for one content until it is withdrawn or replaced. Both are for its publisher and for the owner of the
group, and only while nobody else serves that content: nothing is taken from somebody who shares it. So a name whose
publisher left the group, or never comes back, is the owner's to free.

Invariant: `holders` are others than the asking session. Not here: requests themselves (service_files).
"""

from collections.abc import Sequence

from tracker.protocol.names import shown_id
from tracker.protocol.requests import Withdraw
from tracker.protocol.results import Withdrawn
from tracker.protocol.types import HOLDERS_NAMED_MAX
from tracker.rules.permissions import Refusal
from tracker.rules.presence import Holding
from tracker.service.context import Turn
from tracker.store import files, groups
from tracker.store.files import KnownFile


async def withdraw(turn: Turn, request: Withdraw) -> Withdrawn:
    group_id, name = request.group_id, request.name
    known = await files.find_file(turn.db, group_id, name)
    if known is None or (request.root and request.root != known.root):
        raise no_such_file(group_id, name)
    if not is_entitled(turn, known):
        return Withdrawn(False, may_withdraw=await _entitled(turn, known))
    holders = _holders(turn, known, Holding.SOME)
    if holders:
        return Withdrawn(False, still_shared_by=holders[:HOLDERS_NAMED_MAX])
    await free(turn, known)
    return Withdrawn(True)


async def check_replaceable(turn: Turn, known: KnownFile, name: str, alike: int) -> None:
    """Raises Refusal unless the caller may publish another content under this name, of which the group has so many in
    other normal forms. Who has only a part of the old one is in nobody's way: it may never be whole again.
    """
    group_id = turn.group.group_id
    holders = _holders(turn, known, Holding.ALL)
    is_own = known.publisher == turn.user_id
    what = f"{'you' if is_own else shown_id(known.publisher)} published another file as {name!r} in {group_id}"
    if not is_entitled(turn, known):
        by = " and ".join(map(shown_id, await _entitled(turn, known)))
        raise Refusal("file_conflict", f"{what}; rename yours (once nobody shares it, {by} can withdraw it)")
    if holders == [turn.user_id]:
        why = "another client of yours still shares it: stop_share there first, or rename this one"
    elif holders:
        verb = "shares" if len(holders) == 1 else "share"
        why = f"{_named(holders, turn.user_id)} still {verb} it: rename this one, or wait until nobody does"
    elif alike > 1:
        why = "other spellings of its name are taken too: withdraw them first (stop_share)"
    else:
        return
    raise Refusal("file_conflict", f"{what}, and {why}")


async def free(turn: Turn, known: KnownFile) -> None:
    """The name is nobody's from now on; who still has a part of the content is in no swarm of it any more."""
    group_id, root = turn.group.group_id, known.root
    await files.remove_file(turn.db, group_id, known.name)
    if not await files.has_root(turn.db, group_id, root):
        turn.afterwards(lambda: turn.desk.presence.drop_swarm((group_id, root)))


def is_entitled(turn: Turn, known: KnownFile) -> bool:
    return turn.user_id in (known.publisher, turn.group.owner)


def no_such_file(group_id: str, name: str) -> Refusal:
    return Refusal("no_such_file", f"there is no file {name!r} in {group_id}")


async def _entitled(turn: Turn, known: KnownFile) -> list[str]:
    """Who could free the name: its publisher, while a member, and the group's owner."""
    owner = turn.group.owner
    members = await groups.members_among(turn.db, turn.group.group_id, {known.publisher})
    return [owner] if known.publisher == owner or known.publisher not in members else [known.publisher, owner]


def _holders(turn: Turn, known: KnownFile, least: Holding) -> list[str]:
    return turn.desk.presence.list_holders(turn.session.number, (turn.group.group_id, known.root), least)


def _named(holders: Sequence[str], caller: str) -> str:
    names = ["another client of yours" if each == caller else shown_id(each) for each in holders[:HOLDERS_NAMED_MAX]]
    more = len(holders) - len(names)
    return " and ".join([*names, f"{more} more"] if more else names)
