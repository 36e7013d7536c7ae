"""Which action carries out which command of the table.

An action decides nothing and keeps nothing. The client refuses what must be refused, with its own sentence; an action
only turns typed words into arguments, and a report into an answer.

Invariant: ACTIONS has one action for each command of the table, which takes that command's words.
Not for: checking the number of words (commands), catching errors (runner).
"""

from collections.abc import Awaitable, Callable

from engine.shell import account_actions, file_actions, group_actions
from engine.shell.answers import sentences
from engine.shell.answers.output import Result
from engine.shell.commands import COMMANDS, find_command
from engine.shell.context import Context


async def show_help(context: Context, command_name: str | None = None) -> Result:
    commands = list(COMMANDS.values()) if command_name is None else [find_command(command_name)]
    text = sentences.all_commands() if command_name is None else sentences.one_command(commands[0])
    fields = [{"name": c.name, "usage": c.usage, "summary": c.summary, "details": c.details} for c in commands]
    return Result(text, {"commands": fields})


async def leave(context: Context) -> Result:
    return Result("")


ACTIONS: dict[str, Callable[..., Awaitable[Result]]] = {
    "create_user": account_actions.create_user,
    "login": account_actions.login,
    "logout": account_actions.logout,
    "change_password": account_actions.change_password,
    "revoke_sessions": account_actions.revoke_sessions,
    "create_invite": account_actions.create_invite,
    "create_group": group_actions.create_group,
    "join_group": group_actions.join_group,
    "leave_group": group_actions.leave_group,
    "list_requests": group_actions.list_requests,
    "accept_request": group_actions.accept_request,
    "reject_request": group_actions.reject_request,
    "remove_member": group_actions.remove_member,
    "transfer_ownership": group_actions.transfer_ownership,
    "audit": group_actions.audit,
    "list_groups": group_actions.list_groups,
    "list_files": group_actions.list_files,
    "upload_file": file_actions.upload_file,
    "download_file": file_actions.download_file,
    "show_downloads": file_actions.show_downloads,
    "cancel_download": file_actions.cancel_download,
    "show_shares": file_actions.show_shares,
    "stop_share": file_actions.stop_share,
    "serve": file_actions.serve,
    "help": show_help,
    "exit": leave,
}
