"""Requests about groups and their members: making, joining, leaving, removing, accepting, handing over.

Invariants. A group always has an owner who is its member, and ends with its last member. When a member goes, the epoch
is raised, and every member that is online hears of it at once.

Not here: the files of a group (files), whether a caller may (rules.permissions).
"""

from tracker.protocol.events import GroupEpoch, OwnerChanged, RequestAnswered, RequestArrived
from tracker.protocol.names import check_new_id, choose_spelling, find_id, shown_id
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
from tracker.protocol.results import Audit, AuditEntry, Done, GroupEntry, Groups, Left, Requests
from tracker.rules import quotas
from tracker.rules.permissions import Refusal
from tracker.service.context import RequestContext
from tracker.service.handlers import handles
from tracker.store import groups
from tracker.store.accounts import list_alike
from tracker.store.audit import list_records
from tracker.store.files import remove_files_of


@handles(CreateGroup, least_standing=None, is_change=True)
async def create_group(context: RequestContext, request: CreateGroup) -> Done:
    group_id = check_new_id("group id", request.group_id)
    quotas.check_owner(context.user_id, await groups.count_groups_owned(context.db, context.user_id), is_asking=True)
    if not await groups.add_group(context.db, group_id, context.user_id, request.is_open, context.now_s):
        _, known = await groups.find_standing(context.db, context.user_id, group_id)
        taken = known.group_id if known is not None else group_id
        raise Refusal("group_taken", f"there is a group {taken} already; capital letters make no difference")
    context.note("group_created", group_id)
    return Done()


@handles(JoinGroup, least_standing="none", is_change=True)
async def join_group(context: RequestContext, request: JoinGroup) -> Done:
    group = context.group
    if group.standing in ("owner", "member"):
        raise Refusal("already_member", f"you are a member of {group.group_id} already")
    if group.standing == "requested":
        raise Refusal("already_requested", f"you have asked already; {shown_id(group.owner)} has to let you in")
    quotas.check_asker(await groups.count_requests(context.db, context.user_id))
    await groups.add_request(context.db, group.group_id, context.user_id, context.now_s)
    context.note("join_requested", group.group_id)
    context.tell([group.owner], RequestArrived(group.group_id, context.user_id))
    return Done(group.group_id)


@handles(LeaveGroup, least_standing="member", is_change=True)
async def leave_group(context: RequestContext, request: LeaveGroup) -> Left:
    group_id, leaver = context.group.group_id, context.user_id
    members_before = await groups.list_members(context.db, group_id)
    if members_before == [leaver]:
        askers = await groups.list_requests(context.db, group_id)
        await remove_files_of(context.db, group_id)
        epoch = await groups.remove_group(context.db, group_id)
        context.note("group_removed", group_id)
        context.tell(askers, RequestAnswered(group_id, False))
        context.tell([leaver], GroupEpoch(group_id, epoch, leaver))
        return Left(None, True)
    await _put_out(context, leaver, members_before)
    context.note("member_left", group_id)
    if context.group.standing != "owner":
        return Left(None, False)
    staying = [user_id for user_id in members_before if user_id != leaver]
    await groups.change_owner(context.db, group_id, staying[0])
    context.note("ownership_transferred", group_id, staying[0])
    context.tell(staying, OwnerChanged(group_id, staying[0]))
    return Left(staying[0], False)


@handles(RemoveMember, least_standing="owner", is_change=True)
async def remove_member(context: RequestContext, request: RemoveMember) -> Done:
    group_id = context.group.group_id
    members_before = await groups.list_members(context.db, group_id)
    leaver = await _member_called(context, request.user_id, members_before)
    if leaver == context.user_id:
        raise Refusal("bad_request", f"you own {group_id}; give it away first (transfer_ownership)")
    await _put_out(context, leaver, members_before)
    context.note("member_removed", group_id, leaver)
    return Done(group_id, leaver)


@handles(TransferOwnership, least_standing="owner", is_change=True)
async def transfer_ownership(context: RequestContext, request: TransferOwnership) -> Done:
    group_id = context.group.group_id
    members = await groups.list_members(context.db, group_id)
    owner = await _member_called(context, request.user_id, members)
    if owner == context.user_id:
        raise Refusal("bad_request", f"you own {group_id} already")
    quotas.check_owner(owner, await groups.count_groups_owned(context.db, owner), is_asking=False)
    await groups.change_owner(context.db, group_id, owner)
    context.note("ownership_transferred", group_id, owner)
    context.tell(members, OwnerChanged(group_id, owner))
    return Done(group_id, owner)


@handles(FetchAudit, least_standing="owner", is_change=False)
async def fetch_audit(context: RequestContext, request: FetchAudit) -> Audit:
    group_id = context.group.group_id
    records = await list_records(context.db, group_id)
    entries = [AuditEntry(each.at_s, each.actor, each.action, each.subject, each.host) for each in records]
    return Audit(entries, group_id)


@handles(ListRequests, least_standing="owner", is_change=False)
async def list_requests(context: RequestContext, request: ListRequests) -> Requests:
    group_id = context.group.group_id
    return Requests(await groups.list_requests(context.db, group_id), group_id)


@handles(AcceptRequest, least_standing="owner", is_change=True)
async def accept_request(context: RequestContext, request: AcceptRequest) -> Done:
    asker = await _answer_request(context, request.user_id, is_accepted=True)
    await groups.add_member(context.db, context.group.group_id, asker, context.now_s)
    return Done(context.group.group_id, asker)


@handles(RejectRequest, least_standing="owner", is_change=True)
async def reject_request(context: RequestContext, request: RejectRequest) -> Done:
    asker = await _answer_request(context, request.user_id, is_accepted=False)
    return Done(context.group.group_id, asker)


@handles(ListGroups, least_standing=None, is_change=False)
async def list_groups(context: RequestContext, request: ListGroups) -> Groups:
    return Groups([GroupEntry(*listed) for listed in await groups.list_groups(context.db, context.user_id)])


async def _put_out(context: RequestContext, leaver: str, members_before: list[str]) -> None:
    """Removes the member and raises the epoch. Everybody with files of the group hears whom to cut off."""
    group_id = context.group.group_id
    await groups.remove_member(context.db, group_id, leaver)
    epoch = await groups.raise_epoch(context.db, group_id)
    context.tell(members_before, GroupEpoch(group_id, epoch, leaver))


async def _member_called(context: RequestContext, user_id: str, members: list[str]) -> str:
    """The member that this id means, as it is spelled."""
    member = find_id(user_id, members)
    if member is None:
        who = await _spelled(context, user_id)
        raise Refusal("no_such_member", f"{shown_id(who)} is not a member of {context.group.group_id}")
    return member


async def _spelled(context: RequestContext, user_id: str) -> str:
    """As the account's maker spelled it, or as it was typed if there is no such account."""
    return choose_spelling(user_id, await list_alike(context.db, user_id)) or user_id


async def _answer_request(context: RequestContext, user_id: str, is_accepted: bool) -> str:
    """Removes the request, tells the account that had asked, and returns it as it is spelled."""
    group_id = context.group.group_id
    asker = await groups.find_asker(context.db, group_id, user_id)
    if asker is None or not await groups.remove_request(context.db, group_id, asker):
        who = await _spelled(context, user_id)
        raise Refusal("no_such_request", f"{shown_id(who)} has not asked to join {group_id}")
    context.note("request_accepted" if is_accepted else "request_rejected", group_id, asker)
    context.tell([asker], RequestAnswered(group_id, is_accepted))
    return asker
