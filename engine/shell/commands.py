"""The table of commands: what each is called, which words it takes, and its help. Pure.

It is a table because everything that differs between commands before they run is data. Help, completion, the check of
the number of words, and the history read it.

Invariant: an Invocation has as many arguments as its command takes.
Not for: what a command does (actions, under the same names).
"""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from engine.errors import LocalError
from engine.shell.lines import is_plain_comment


class Command(NamedTuple):
    """`parameters`: a name in angle brackets each; one in square brackets may be left out. `options`: what may stand
    anywhere behind the command as `--name VALUE` or `--name=VALUE`; by name, what the value is.
    """

    name: str
    parameters: tuple[str, ...]
    summary: str
    details: str = ""
    is_long: bool = False
    """May take as long as a file is large: at the prompt it goes on in the background."""
    options: Mapping[str, str] = MappingProxyType({})

    @property
    def usage(self) -> str:
        options = (f"[--{option} {value}]" for option, value in self.options.items())
        return " ".join((self.name, *self.parameters, *options))

    @property
    def most_words(self) -> int:
        return len(self.parameters)

    @property
    def fewest_words(self) -> int:
        return sum(not parameter.startswith("[") for parameter in self.parameters)


class Invocation(NamedTuple):
    command: Command
    arguments: list[str]
    options: Mapping[str, str] = MappingProxyType({})


_ALL = (
    Command(
        "create_user",
        ("<user_id>", "[<passwd>]", "[<invitation>]"),
        "make an account",
        "Refused if the id is taken. A password that is left out is asked for, twice and without echo; so is an "
        "invitation, if the tracker wants one.",
    ),
    Command(
        "login",
        ("<user_id>", "[<passwd>]"),
        "start a session; earlier shares and downloads go on",
        "What this account shared from this client is shared again after a quick check. A file that changed meanwhile "
        "is not shared any more, and the answer says so. A file that is not there is served when it is back (see "
        "show_shares). A password that is left out is asked for without echo.",
    ),
    Command(
        "logout",
        (),
        "stop serving at once; downloads pause until the next login",
    ),
    Command(
        "change_password",
        ("[<old_passwd>]", "[<new_passwd>]"),
        "change your password; your other sessions end",
        "Every other session of your account is logged out, on every machine. Passwords that are left out are asked "
        "for without echo.",
    ),
    Command(
        "revoke_sessions",
        (),
        "log out your other sessions, on every machine",
        "Their keys are void at once: trackers refuse them, and everyone who serves you files drops their links.",
    ),
    Command(
        "create_invite",
        ("[<hours>]",),
        "invite one person to make an account, where the tracker asks for that",
        "Prints a code that works once, within so many hours (a week unless given, a month at most). Hand it on "
        "privately: it is shown this once and kept nowhere.",
    ),
    Command(
        "create_group",
        ("<group_id>", "[--open]"),
        "make a group that you own",
        "With --open, for a network you trust, its files cross it unencrypted, which is faster. Members still prove "
        "who they are to each other, and every piece is verified.",
    ),
    Command(
        "join_group",
        ("<group_id>",),
        "ask to be let into a group",
        "The owner sees the request with list_requests and accepts or rejects it.",
    ),
    Command(
        "leave_group",
        ("<group_id>",),
        "leave a group; its shares and downloads stop",
        "If you own it, it passes to the longest-standing member. If you are the last member, it is removed.",
    ),
    Command(
        "list_requests",
        ("<group_id>",),
        "who asks to join a group that you own",
        "Also typed as: requests list_requests <group_id>",
    ),
    Command("accept_request", ("<group_id>", "<user_id>"), "let somebody into a group that you own"),
    Command("reject_request", ("<group_id>", "<user_id>"), "turn down somebody who asked to join"),
    Command(
        "remove_member",
        ("<group_id>", "<user_id>"),
        "put somebody out of a group that you own",
        "Everyone who serves files of the group drops that account's links at once. What it has received it keeps; "
        "nothing can prevent that.",
    ),
    Command(
        "transfer_ownership",
        ("<group_id>", "<user_id>"),
        "give a group that you own to another member",
        "You stay a member.",
    ),
    Command(
        "audit",
        ("<group_id>",),
        "what happened to a group that you own: who did what, when and from where",
        "Who asked, was let in, left, was put out or became the owner; oldest first, at most the latest thousand.",
    ),
    Command("list_groups", (), "all groups: owner, members, and where you stand"),
    Command(
        "list_files",
        ("<group_id>",),
        "files of a group: size, and how many online have all or a part of it",
    ),
    Command(
        "upload_file",
        ("<file_path>", "<group_id>"),
        "share a file in a group",
        "The file stays where it is and is served from there. If the group has the same content under this name, you "
        "become another sharer. Other content under this name is refused, unless you published the old one, or own the "
        "group, and nobody else online has the old one: then yours takes its place.",
        is_long=True,
    ),
    Command(
        "download_file",
        ("<group_id>", "<file_name>", "<destination_path>"),
        "fetch a file from everyone who shares it",
        "The destination is a folder or the path of the new file; one that ends in / is made as a folder. A file "
        "that is there already is never overwritten: it is refused, unless it is this very file, which is then "
        "verified and shared. If nobody online has the file, the download waits and starts by itself. While it runs "
        "you serve the pieces that you have, and afterwards the whole. With --timeout the command fails when the file "
        "is not complete after so many seconds; the download goes on while the client runs, and the same command or "
        "the next login goes on with it later.",
        is_long=True,
        options={"timeout": "SECONDS"},
    ),
    Command(
        "show_downloads",
        (),
        "all downloads: [D]ownloading, [W]aiting, [P]aused, [S]tuck, [C]omplete, [F]ailed",
        "A paused one is tried again by itself. A stuck one needs you: its folder, its partial file or its place is "
        "not what it was; download_file begins it anew, here or at another place, and cancel_download ends it. One "
        "that failed because you are not a member of the group goes on when you are let in again.",
    ),
    Command(
        "cancel_download",
        ("<group_id>", "<file_name>"),
        "give up a download, whatever its state, and remove its partial file",
    ),
    Command(
        "show_shares",
        (),
        "all files that you share from here, and whether each is served now",
        "A file whose times changed is read again before it is served any further (rereading). One that is not there "
        "(missing) or cannot be read (unreadable) is looked for now and then, and served again when it is back. "
        "stop_share ends a share, wherever its file is.",
    ),
    Command(
        "stop_share",
        ("<group_id>", "<file_name>"),
        "stop serving a file; the file itself stays",
        "If you published it, or own the group, and nobody else online has it, it leaves the group's list. You free a "
        "name that way too if this client does not share it. While no tracker answers, serving stops, and the list is "
        "told later.",
    ),
    Command(
        "serve",
        (),
        "keep sharing until interrupted (Ctrl-C, SIGTERM), then leave",
        "For the last line of a script: without it, the end of the input logs out and leaves.",
    ),
    Command("help", ("[<command>]",), "this list, or more about one command"),
    Command("exit", (), "log out and leave (also quit, and Ctrl-D at the prompt)"),
)

COMMANDS: dict[str, Command] = {command.name: command for command in _ALL}
LEAVING = frozenset({"exit", "serve"})
"""After these succeeded there is nothing more to do."""
WORDS_BEFORE_PASSWORD = {"create_user": 2, "login": 2, "change_password": 1}
"""The command and the words after it, up to the first that is a password."""

_PREFIXED = ("requests", "list_requests")
_ALIASES = {"quit": "exit"}


def parse(words: list[str], comment: str = "") -> Invocation:
    """The command that a line asks for; raises LocalError (codes "unknown_command", "usage").

    `comment`: what follows the words. `#word` may be a word that should have been quoted, even a password. It is
    refused where the command takes another word, and it is never shown.
    """
    name, *arguments = _without_prefix(words)
    command = find_command(name)
    arguments, options = _without_options(command, arguments)
    fits = command.fewest_words <= len(arguments) <= command.most_words
    if comment and len(arguments) < command.most_words and not (fits and is_plain_comment(comment)):
        raise LocalError(
            f"the # begins a comment, so {command.name} has {_count(len(arguments))} after it. Quote a word that "
            f"begins with #, as in '#1', or put a blank behind the # of a comment. Usage: {command.usage}",
            code="usage",
        )
    if not fits:
        raise LocalError(
            f"wrong number of words: {command.name} takes {_amount(command)}, not {len(arguments)}. "
            f"Usage: {command.usage} (quote a name that has spaces in it)",
            code="usage",
        )
    return Invocation(command, arguments, options)


def find_command(name: str) -> Command:
    command = COMMANDS.get(_ALIASES.get(name, name))
    if command is None:
        nearest = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "help lists all commands"
        if not _is_utf8(name):
            hint = "it is not UTF-8 text; save the commands as UTF-8"
        raise LocalError(f"there is no command '{name}'; {hint}", code="unknown_command")
    return command


def _is_utf8(word: str) -> bool:
    """False if bytes that are not UTF-8 were read as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _without_prefix(words: list[str]) -> list[str]:
    if words[0] != _PREFIXED[0]:
        return words
    if tuple(words[:2]) != _PREFIXED:
        raise LocalError("usage: requests list_requests <group_id>", code="usage")
    return words[1:]


def _without_options(command: Command, words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The other words, and the options by name; raises LocalError (code "usage")."""
    arguments: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or option not in command.options:
            arguments.append(word)
            continue
        given = value if equals else next(rest, None)
        if given is None or option in options:
            raise LocalError(f"--{option} takes one {command.options[option]}. Usage: {command.usage}", code="usage")
        options[option] = given
    return arguments, options


def _amount(command: Command) -> str:
    fewest, most = command.fewest_words, command.most_words
    if most == 0:
        return "no words after it"
    return f"{_count(most) if fewest == most else f'{fewest} or {_count(most)}'} after it"


def _count(words: int) -> str:
    return f"{words or 'no'} word{'' if words == 1 else 's'}"
