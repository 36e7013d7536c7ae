"""Who may free a name of a group, and what the answer is when it stays taken: the rules of withdrawing and replacing.

A name stands for one content until it is withdrawn or replaced. Its publisher and the owner of the group may do either,
but only while nobody else serves that content: nothing is taken from somebody who shares it. So a name whose publisher
left the group, or never comes back, can be freed by the owner.

Invariant: the asking session never counts among the holders of a content.

Not here: publishing (files), who serves what (rules.presence).
"""

from collections.abc import Sequence

from tracker.protocol.names import shown_id
from tracker.protocol.requests import Withdraw
from tracker.protocol.results import Withdrawn
from tracker.protocol.types import HOLDERS_NAMED_MAX
from tracker.rules.permissions import Refusal
from tracker.rules.presence import Holding
from tracker.service.context import RequestContext
from tracker.service.handlers import handles
from tracker.store import files, groups
from tracker.store.files import KnownFile


@handles(Withdraw, least_standing="member", is_change=True)
async def withdraw(context: RequestContext, request: Withdraw) -> Withdrawn:
    group_id, name = request.group_id, request.name
    known = await files.find_file(context.db, group_id, name)
    if known is None or (request.root and request.root != known.root):
        raise no_such_file(group_id, name)
    if not is_entitled(context, known):
        return Withdrawn(False, may_withdraw=await _entitled(context, known))
    holders = _holders(context, known, Holding.SOME)
    if holders:
        return Withdrawn(False, still_shared_by=holders[:HOLDERS_NAMED_MAX])
    await free(context, known)
    return Withdrawn(True)


async def check_replaceable(context: RequestContext, known: KnownFile, name: str, alike: int) -> None:
    """Raises Refusal unless the caller may publish another content under this name. `alike` is how many files of the
    group have the name in any normal form. Those who have only a part of the old content do not prevent it, since it
    may never be whole again.
    """
    group_id = context.group.group_id
    holders = _holders(context, known, Holding.ALL)
    is_own = known.publisher == context.user_id
    what = f"{'you' if is_own else shown_id(known.publisher)} published another file as {name!r} in {group_id}"
    if not is_entitled(context, known):
        by = " and ".join(map(shown_id, await _entitled(context, known)))
        raise Refusal("file_conflict", f"{what}; rename yours (once nobody shares it, {by} can withdraw it)")
    if holders == [context.user_id]:
        why = "another client of yours still shares it: stop_share there first, or rename this one"
    elif holders:
        verb = "shares" if len(holders) == 1 else "share"
        why = f"{_named(holders, context.user_id)} still {verb} it: rename this one, or wait until nobody does"
    elif alike > 1:
        why = "other spellings of its name are taken too: withdraw them first (stop_share)"
    else:
        return
    raise Refusal("file_conflict", f"{what}, and {why}")


async def free(context: RequestContext, known: KnownFile) -> None:
    """Removes the name. A content without a name left has no swarm any more."""
    group_id, root = context.group.group_id, known.root
    await files.remove_file(context.db, group_id, known.name)
    if not await files.has_root(context.db, group_id, root):
        context.afterwards(lambda: context.state.presence.drop_swarm((group_id, root)))


def is_entitled(context: RequestContext, known: KnownFile) -> bool:
    return context.user_id in (known.publisher, context.group.owner)


def no_such_file(group_id: str, name: str) -> Refusal:
    return Refusal("no_such_file", f"there is no file {name!r} in {group_id}")


async def _entitled(context: RequestContext, known: KnownFile) -> list[str]:
    """Those who could free the name: its publisher, while a member, and the group's owner."""
    owner = context.group.owner
    members = await groups.members_among(context.db, context.group.group_id, {known.publisher})
    return [owner] if known.publisher == owner or known.publisher not in members else [known.publisher, owner]


def _holders(context: RequestContext, known: KnownFile, least: Holding) -> list[str]:
    return context.state.presence.list_holders(context.session.number, (context.group.group_id, known.root), least)


def _named(holders: Sequence[str], connection: str) -> str:
    names = [
        "another client of yours" if each == connection else shown_id(each) for each in holders[:HOLDERS_NAMED_MAX]
    ]
    more = len(holders) - len(names)
    return " and ".join([*names, f"{more} more"] if more else names)
