"""Requests about groups and who is in them: one function each, from a Turn to a result.

Invariants. A group always has an owner who is its member, and ends with its last member. Whoever leaves raises the
epoch, and every member that is online hears of it at once.
"""

from tracker.protocol.events import GroupEpoch, OwnerChanged, RequestAnswered, RequestArrived
from tracker.protocol.names import check_new_id, find_id, shown_id
from tracker.protocol.requests import (
    AcceptRequest,
    CreateGroup,
    FetchAudit,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    ListRequests,
    RejectRequest,
    RemoveMember,
    TransferOwnership,
)
from tracker.protocol.results import Audit, Done, Groups, Left, Requests
from tracker.rules import quotas
from tracker.rules.permissions import Refusal
from tracker.service.context import Turn
from tracker.store import groups
from tracker.store.audit import read_deeds
from tracker.store.files import remove_files_of


async def create_group(turn: Turn, request: CreateGroup) -> Done:
    group_id = check_new_id("group id", request.group_id)
    quotas.check_owner(turn.user_id, await groups.count_groups_owned(turn.db, turn.user_id), is_asking=True)
    if not await groups.add_group(turn.db, group_id, turn.user_id, request.is_open, turn.now_s):
        raise Refusal("group_taken", f"there is a group {group_id} already; capital letters make no difference")
    turn.note("group_created", group_id)
    return Done()


async def join_group(turn: Turn, request: JoinGroup) -> Done:
    group = turn.group
    if group.standing in ("owner", "member"):
        raise Refusal("already_member", f"you are a member of {group.group_id} already")
    if group.standing == "requested":
        raise Refusal("already_requested", f"you have asked already; {shown_id(group.owner)} has to let you in")
    quotas.check_asker(await groups.count_requests(turn.db, turn.user_id))
    await groups.add_request(turn.db, group.group_id, turn.user_id, turn.now_s)
    turn.note("join_requested", group.group_id)
    turn.tell([group.owner], RequestArrived(group.group_id, turn.user_id))
    return Done()


async def leave_group(turn: Turn, request: LeaveGroup) -> Left:
    group_id, leaver = turn.group.group_id, turn.user_id
    members_before = await groups.list_members(turn.db, group_id)
    if members_before == [leaver]:
        askers = await groups.list_requests(turn.db, group_id)
        await remove_files_of(turn.db, group_id)
        epoch = await groups.remove_group(turn.db, group_id)
        turn.note("group_removed", group_id)
        turn.tell(askers, RequestAnswered(group_id, False))
        turn.tell([leaver], GroupEpoch(group_id, epoch, leaver))
        return Left(None, True)
    await _put_out(turn, leaver, members_before)
    turn.note("member_left", group_id)
    if turn.group.standing != "owner":
        return Left(None, False)
    staying = [user_id for user_id in members_before if user_id != leaver]
    await groups.change_owner(turn.db, group_id, staying[0])
    turn.note("ownership_transferred", group_id, staying[0])
    turn.tell(staying, OwnerChanged(group_id, staying[0]))
    return Left(staying[0], False)


async def remove_member(turn: Turn, request: RemoveMember) -> Done:
    group_id = turn.group.group_id
    members_before = await groups.list_members(turn.db, group_id)
    leaver = _member_called(request.user_id, members_before, group_id)
    if leaver == turn.user_id:
        raise Refusal("bad_request", f"you own {group_id}; give it away first (transfer_ownership)")
    await _put_out(turn, leaver, members_before)
    turn.note("member_removed", group_id, leaver)
    return Done()


async def transfer_ownership(turn: Turn, request: TransferOwnership) -> Done:
    group_id = turn.group.group_id
    members = await groups.list_members(turn.db, group_id)
    owner = _member_called(request.user_id, members, group_id)
    if owner == turn.user_id:
        raise Refusal("bad_request", f"you own {group_id} already")
    quotas.check_owner(owner, await groups.count_groups_owned(turn.db, owner), is_asking=False)
    await groups.change_owner(turn.db, group_id, owner)
    turn.note("ownership_transferred", group_id, owner)
    turn.tell(members, OwnerChanged(group_id, owner))
    return Done()


async def fetch_audit(turn: Turn, request: FetchAudit) -> Audit:
    return Audit(await read_deeds(turn.db, turn.group.group_id))


async def list_requests(turn: Turn, request: ListRequests) -> Requests:
    return Requests(await groups.list_requests(turn.db, turn.group.group_id))


async def accept_request(turn: Turn, request: AcceptRequest) -> Done:
    asker = await _answer_request(turn, request.user_id, is_accepted=True)
    await groups.add_member(turn.db, turn.group.group_id, asker, turn.now_s)
    return Done()


async def reject_request(turn: Turn, request: RejectRequest) -> Done:
    await _answer_request(turn, request.user_id, is_accepted=False)
    return Done()


async def list_groups(turn: Turn, request: ListGroups) -> Groups:
    return Groups(await groups.list_groups(turn.db, turn.user_id))


async def _put_out(turn: Turn, leaver: str, members_before: list[str]) -> None:
    """No member any more; everybody who has files of the group hears whom to cut off."""
    group_id = turn.group.group_id
    await groups.remove_member(turn.db, group_id, leaver)
    epoch = await groups.raise_epoch(turn.db, group_id)
    turn.tell(members_before, GroupEpoch(group_id, epoch, leaver))


def _member_called(user_id: str, members: list[str], group_id: str) -> str:
    """How the member is spelled that is meant by this id."""
    member = find_id(user_id, members)
    if member is None:
        raise Refusal("no_such_member", f"{shown_id(user_id)} is not a member of {group_id}")
    return member


async def _answer_request(turn: Turn, user_id: str, is_accepted: bool) -> str:
    """How the account is spelled that had asked."""
    group_id = turn.group.group_id
    asker = await groups.find_asker(turn.db, group_id, user_id)
    if asker is None or not await groups.remove_request(turn.db, group_id, asker):
        raise Refusal("no_such_request", f"{shown_id(user_id)} has not asked to join {group_id}")
    turn.note("request_accepted" if is_accepted else "request_rejected", group_id, asker)
    turn.tell([asker], RequestAnswered(group_id, is_accepted))
    return asker
