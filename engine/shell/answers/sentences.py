"""Reports of the client in words. Pure.

Kept apart from the commands, so that every sentence a user can read is on one page.

Invariant: every name and every foreign text in a sentence went through safe_text.
Not for: errors, which bring their own sentence, and programs, which get fields (output).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.reports import (
    DownloadState,
    DownloadStatus,
    InviteReport,
    LeaveReport,
    LoginReport,
    ShareStatus,
    StopReport,
    UploadReport,
)
from engine.shell.answers import figures
from engine.shell.answers.safe_text import file_names, identifier, name, printable, table
from engine.shell.commands import COMMANDS, Command

if TYPE_CHECKING:
    from engine.client.client import AuditEntry, FileEntry, GroupEntry

_LETTERS: dict[DownloadState, str] = {
    "following": "[W]",
    "checking": "[D]",
    "copying": "[D]",
    "downloading": "[D]",
    "finishing": "[D]",
    "waiting": "[W]",
    "no_space": "[W]",
    "paused": "[P]",
    "complete": "[C]",
    "stuck": "[S]",
    "failed": "[F]",
    "cancelled": "[X]",
}
_STANDINGS = {"owner": "you own it", "member": "you are a member", "requested": "you asked to join", "none": "-"}


def logged_in(report: LoginReport) -> str:
    lines = [f"logged in as {identifier(report.user_id)}"]
    if report.shares_resumed:
        lines.append(f"{figures.count(report.shares_resumed, 'share')} resumed")
    if report.downloads_resumed:
        lines.append(f"{figures.count(report.downloads_resumed, 'download')} resumed; see show_downloads")
    for share in report.shares_dropped:
        lines.append(
            f"no longer shared: {name(share.name)} in {identifier(share.group_id)} "
            f"({name(share.path)}): {printable(share.reason)}"
        )
    for waiting in report.shares_waiting:
        lines.append(f"not served yet: {name(waiting.name)} in {name(waiting.group_id)} ({_share_remark(waiting)})")
    return "\n".join(lines)


def left(report: LeaveReport) -> str:
    group = identifier(report.group_id)
    if report.is_removed:
        return f"left {group}; you were its last member, so the group was removed"
    if report.new_owner is not None:
        return f"left {group}; it is owned by {identifier(report.new_owner)} now"
    return f"left {group}"


def requests(group_id: str, user_ids: Sequence[str]) -> str:
    if not user_ids:
        return f"nobody is waiting to join {identifier(group_id)}"
    return "\n".join(map(identifier, user_ids))


def invited(report: InviteReport) -> str:
    until = _when(report.expires_at_s)
    return f"{report.code}\nlets one person make an account until {until}; it is shown this once"


def audit(entries: "Sequence[AuditEntry]") -> str:
    return table(
        [
            (
                _when(e.at_s),
                identifier(e.actor),
                e.action.replace("_", " "),
                identifier(e.subject) if e.subject else "",
                e.host,
            )
            for e in entries
        ]
    )


def groups(entries: "Sequence[GroupEntry]") -> str:
    if not entries:
        return "there are no groups yet; create_group makes one"
    rows = [("GROUP", "OWNER", "MEMBERS", "LINKS", "YOU")]
    rows += [
        (
            identifier(entry.group_id),
            identifier(entry.owner),
            str(entry.member_count),
            "open" if entry.is_open else "sealed",
            _STANDINGS.get(entry.standing, "-"),
        )
        for entry in entries
    ]
    return table(rows)


def files(group_id: str, entries: "Sequence[FileEntry]") -> str:
    if not entries:
        return f"there are no files in {identifier(group_id)} yet; upload_file shares one"
    rows = [("FILE", "SIZE", "SHARERS ONLINE", "WITH A PART", "PUBLISHED BY")]
    rows += [
        (
            shown,
            figures.size(entry.size_bytes),
            str(entry.sharers_online),
            str(entry.partial_online),
            identifier(entry.publisher),
        )
        for entry, shown in zip(entries, file_names([entry.name for entry in entries]), strict=True)
    ]
    return table(rows)


def uploaded(report: UploadReport) -> str:
    file, group = name(report.name), identifier(report.group_id)
    work = figures.work(report.size_bytes, report.seconds)
    if not report.hashed_bytes:
        work = figures.size(report.size_bytes)  # nothing was read, so there is no rate
    if report.was_known:
        return f"{group} already has {file} with this content: you became another sharer of it ({work})"
    if report.has_replaced:
        return f"sharing {file} in {group} ({work}), in place of another of that name, which is shared no more"
    return f"sharing {file} in {group} ({work})"


def downloaded(status: DownloadStatus) -> str:
    lines = [f"downloaded {name(status.name)}: {_fetched(status)}, verified"]
    if status.bytes_by_peer:
        largest_first = sorted(status.bytes_by_peer.items(), key=lambda share: (-share[1], share[0]))
        shares = (f"{identifier(peer)} {figures.size(size_bytes)}" for peer, size_bytes in largest_first)
        lines.append(f"  from {', '.join(shares)}")
    if status.copied_from is not None:
        lines.append(f"  copied from {name(status.copied_from)}, which has the same content")
    lines.append(f"  to {name(status.path)}, shared in {identifier(status.group_id)} from there")
    return "\n".join(lines)


def _fetched(status: DownloadStatus) -> str:
    """How much was fetched in this run, and how fast while bytes could move."""
    work = figures.work(status.fetched_bytes, status.seconds)
    if status.reused_bytes == status.size_bytes > 0:
        work = f"{figures.size(status.size_bytes)}, all of it from this disk"
    elif status.reused_bytes:
        here = figures.size(status.reused_bytes)
        work = f"{figures.size(status.size_bytes)}, of which {here} were here already and {work}"
    return f"{work} (and {figures.duration(status.waiting_s)} of waiting)" if status.waiting_s >= 1 else work


def not_in_time(status: DownloadStatus) -> str:
    done = figures.percent(status.verified_bytes, status.size_bytes)
    why = f"; {printable(status.why_waiting)}" if status.why_waiting else ""
    return (
        f"{name(status.name)} did not arrive in time: {done} % is here{why}. The download "
        "goes on while this client runs, and the same command or the next login goes on with it later"
    )


def already_there(status: DownloadStatus) -> str:
    return (
        f"{name(status.path)} already is {name(status.name)}: {figures.size(status.size_bytes)}, verified; "
        f"it is shared in {identifier(status.group_id)} now"
    )


def downloads(statuses: Sequence[DownloadStatus]) -> str:
    if not statuses:
        return "there are no downloads"
    shown = file_names([status.name for status in statuses])
    return table([_download_row(status, file_name) for status, file_name in zip(statuses, shown, strict=True)])


def shares(statuses: Sequence[ShareStatus]) -> str:
    if not statuses:
        return "you share no files from here; upload_file shares one"
    rows = [("GROUP", "FILE", "SIZE", "STATE", "PATH")]
    rows += [
        (name(one.group_id), shown, figures.size(one.size_bytes), _share_remark(one), name(one.path))
        for one, shown in zip(statuses, file_names([one.name for one in statuses]), strict=True)
    ]
    return table(rows)


def stopped(report: StopReport) -> str:
    file, group = name(report.name), identifier(report.group_id)
    if not report.was_shared:
        return f"withdrew {file} from the list of {group}; nobody online has it, and this client did not share it"
    sentence = f"stopped sharing {file} in {group}"
    if report.is_removed:
        return f"{sentence}; nobody else online has it, so it left the group's list"
    if report.is_pending:
        return f"{sentence}; no tracker answers, so the group's list is told when one does, also after a restart"
    holders = [identifier(user_id) for user_id in report.still_shared_by]
    if report.is_shared_elsewhere:
        holders.append("another client of yours")
    if holders:
        return f"{sentence}; it stays in the group's list, and is shared by {' and '.join(holders)}"
    return sentence


def all_commands() -> str:
    rows = [(command.usage, command.summary) for command in COMMANDS.values()]
    return f"{table(rows)}\nQuote a word that has spaces in it or begins with #, as in a shell; # starts a comment."


def one_command(command: Command) -> str:
    return "\n".join(filter(None, (f"{command.usage}: {command.summary}", command.details)))


def _checking(status: DownloadStatus) -> str:
    """A download that continues reads what is on the disk, as far as its journal does not have it."""
    if not status.check_bytes:
        return "checking"
    done = figures.percent(status.checked_bytes, status.check_bytes)
    return f"checking what is here already: {done} % of {figures.size(status.check_bytes)}"


def _share_remark(status: ShareStatus) -> str:
    if status.state == "rereading":
        done = figures.percent(status.checked_bytes, status.size_bytes)
        return f"rereading, {done} %: {printable(status.reason)}"
    return f"{status.state}: {printable(status.reason)}" if status.reason else status.state


def _when(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).strftime("%Y-%m-%d %H:%M:%S")


def _download_row(status: DownloadStatus, file_name: str) -> tuple[str, ...]:
    done = f"{figures.percent(status.verified_bytes, status.size_bytes)} %"
    remark = {
        "downloading": "",
        "complete": "",
        "following": f"waits for {name(status.copied_from or '')}, which will have the same content",
        "checking": _checking(status),
        "copying": f"copying {name(status.copied_from or '')}, which has the same content",
        "waiting": f"waiting: {printable(status.why_waiting or 'nobody online has it')}",
        "no_space": f"waiting for space: {printable(status.error or '')}",
        "paused": f"paused{': ' + printable(status.error) if status.error else ''}",
        "stuck": f"stuck: {printable(status.error or '')}",
        "failed": f"failed: {printable(status.error or 'no reason was given')}",
    }.get(status.state, status.state)
    return (
        _LETTERS[status.state],
        identifier(status.group_id),
        file_name,
        done,
        f"of {figures.size(status.size_bytes)}",
        figures.rate(status.rate_bytes_per_s) if status.state == "downloading" else "-",
        figures.count(status.peers_connected, "peer"),
        remark,
    )
