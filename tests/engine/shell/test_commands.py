import inspect

import pytest

from engine.errors import LocalError
from engine.shell.actions import ACTIONS
from engine.shell.commands import COMMANDS, Command, parse


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: str(command.name))
def test_every_command_takes_as_many_words_as_its_usage_says(command: Command) -> None:
    for count in range(command.most_words + 2):
        words = [command.name, *["word"] * count]
        if command.fewest_words <= count <= command.most_words:
            assert parse(words).arguments == words[1:]
        else:
            with pytest.raises(LocalError, match="wrong number of words") as caught:
                parse(words)
            assert caught.value.code == "usage"
            assert command.usage in str(caught.value)


def test_every_command_has_an_action_that_takes_its_words() -> None:
    assert ACTIONS.keys() == COMMANDS.keys()
    for name, action in ACTIONS.items():
        _context, *parameters = inspect.signature(action).parameters.values()
        needed = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
        assert (needed, len(parameters)) == (COMMANDS[name].fewest_words, COMMANDS[name].most_words), name


def test_other_ways_to_type_a_command() -> None:
    assert parse(["requests", "list_requests", "lab"]) == parse(["list_requests", "lab"])
    assert parse(["quit"]).command.name == "exit"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["lgoin", "alice"], "did you mean login"),
        (["xyzzy"], "help lists all commands"),
        (["requests", "lab"], "requests list_requests <group_id>"),
    ],
)
def test_a_mistake_is_answered_with_a_way_out(words: list[str], hint: str) -> None:
    with pytest.raises(LocalError, match=hint):
        parse(words)
