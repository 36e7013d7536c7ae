"""The commands about groups, their members and their lists: each is one call of the client, and its report as a Result.

Not for: which words a command takes (commands), errors (runner).
"""

from msgspec import to_builtins

from engine.errors import LocalError
from engine.shell.answers import sentences
from engine.shell.answers.output import Result
from engine.shell.answers.safe_text import identifier, name
from engine.shell.context import Context


async def create_group(context: Context, group_id: str, option: str | None = None) -> Result:
    if option not in (None, "--open"):
        raise LocalError(f"create_group knows the option --open, not {name(option)}", "usage")
    is_open = option is not None
    await context.client.create_group(group_id, is_open)
    kind = "; its files cross the network unencrypted" if is_open else ""
    return Result(f"made the group {name(group_id)}; you own it{kind}", {"group_id": group_id, "is_open": is_open})


async def join_group(context: Context, group_id: str) -> Result:
    group_id = await context.client.join_group(group_id)
    return Result(f"asked to join {identifier(group_id)}; its owner decides", {"group_id": group_id})


async def leave_group(context: Context, group_id: str) -> Result:
    report = await context.client.leave_group(group_id)
    return Result(sentences.left(report), to_builtins(report))


async def list_requests(context: Context, group_id: str) -> Result:
    listed = await context.client.list_requests(group_id)
    sentence = sentences.requests(listed.group_id, listed.user_ids)
    return Result(sentence, {"group_id": listed.group_id, "requests": listed.user_ids})


async def accept_request(context: Context, group_id: str, user_id: str) -> Result:
    report = await context.client.accept_request(group_id, user_id)
    sentence = f"{identifier(report.user_id)} is a member of {identifier(report.group_id)} now"
    return Result(sentence, to_builtins(report))


async def reject_request(context: Context, group_id: str, user_id: str) -> Result:
    report = await context.client.reject_request(group_id, user_id)
    sentence = f"turned {identifier(report.user_id)} down for {identifier(report.group_id)}"
    return Result(sentence, to_builtins(report))


async def remove_member(context: Context, group_id: str, user_id: str) -> Result:
    report = await context.client.remove_member(group_id, user_id)
    sentence = f"{identifier(report.user_id)} is not a member of {identifier(report.group_id)} any more"
    return Result(sentence, to_builtins(report))


async def transfer_ownership(context: Context, group_id: str, user_id: str) -> Result:
    report = await context.client.transfer_ownership(group_id, user_id)
    sentence = f"{identifier(report.group_id)} belongs to {identifier(report.user_id)} now; you are a member"
    return Result(sentence, to_builtins(report))


async def audit(context: Context, group_id: str) -> Result:
    log = await context.client.audit(group_id)
    fields = [
        {"at_s": e.at_s, "actor": e.actor, "action": e.action, "subject": e.subject, "host": e.host}
        for e in log.entries
    ]
    return Result(sentences.audit(log.entries), {"group_id": log.group_id, "entries": fields})


async def list_groups(context: Context) -> Result:
    entries = await context.client.list_groups()
    fields = [
        {
            "group_id": entry.group_id,
            "owner": entry.owner,
            "member_count": entry.member_count,
            "standing": entry.standing,
            "is_open": entry.is_open,
        }
        for entry in entries
    ]
    return Result(sentences.groups(entries), {"groups": fields})


async def list_files(context: Context, group_id: str) -> Result:
    listed = await context.client.list_files(group_id)
    fields = [
        {
            "name": entry.name,
            "size_bytes": entry.size_bytes,
            "root": entry.root.hex(),
            "publisher": entry.publisher,
            "sharers_online": entry.sharers_online,
            "partial_online": entry.partial_online,
        }
        for entry in listed.files
    ]
    return Result(sentences.files(listed.group_id, listed.files), {"group_id": listed.group_id, "files": fields})
