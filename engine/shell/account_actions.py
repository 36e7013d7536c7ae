"""The commands about an account: each is one call of the client, and its report as a Result.

A password that was left out is asked for. Not for: which words a command takes (commands), errors (runner).
"""

from msgspec import to_builtins

from engine.errors import LocalError, RefusedByTracker
from engine.shell.answers import sentences
from engine.shell.answers.output import Result
from engine.shell.answers.safe_text import name
from engine.shell.context import Context


async def create_user(context: Context, user_id: str, password: str | None = None, invitation: str = "") -> Result:
    asks = password is None
    if password is None:
        password = await _new_password(context, f"new password for {name(user_id)}: ")
    try:
        await context.client.create_user(user_id, password, invitation)
    except RefusedByTracker as refusal:
        if refusal.code != "invite_needed" or not asks:
            raise
        invitation = await context.ask_password("this tracker asks for an invitation: ")
        await context.client.create_user(user_id, password, invitation)
    return Result(f"made the account {name(user_id)}; log in with: login {name(user_id)}", {"user_id": user_id})


async def login(context: Context, user_id: str, password: str | None = None) -> Result:
    if password is None:
        password = await context.ask_password(f"password of {name(user_id)}: ")
    report = await context.client.login(user_id, password)
    return Result(sentences.logged_in(report), to_builtins(report))


async def logout(context: Context) -> Result:
    await context.client.logout()
    return Result("logged out; nothing is served any more")


async def change_password(context: Context, old: str | None = None, new: str | None = None) -> Result:
    if old is None:
        old = await context.ask_password("old password: ")
    if new is None:
        new = await _new_password(context, "new password: ")
    await context.client.change_password(old, new)
    return Result("changed your password; your other sessions were logged out")


async def revoke_sessions(context: Context) -> Result:
    await context.client.revoke_sessions()
    return Result("your other sessions were logged out; this one goes on")


async def create_invite(context: Context, hours: str = "168") -> Result:
    try:
        life_s = float(hours) * 3600
    except ValueError:
        life_s = 0.0
    if not 60 <= life_s <= 30 * 86400:
        raise LocalError(f"an invitation lasts 1 to 720 hours, not {name(hours)}", "usage")
    report = await context.client.create_invite(life_s)
    return Result(sentences.invited(report), to_builtins(report))


async def _new_password(context: Context, question: str) -> str:
    password = await context.ask_password(question)
    # Asked twice, because no one can reset a password that was mistyped.
    if await context.ask_password("the same again: ") != password:
        raise LocalError("the two passwords differ; nothing was done, try again", code="password_differs")
    return password
