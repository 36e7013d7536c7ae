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
        _context, *words = inspect.signature(action).parameters.values()
        parameters = [word for word in words if word.kind is not inspect.Parameter.KEYWORD_ONLY]
        options = {word.name for word in words} - {word.name for word in parameters}
        assert options == COMMANDS[name].options.keys(), name
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


@pytest.mark.parametrize(
    "line",
    [
        "download_file lab f.bin . --timeout 5",
        "download_file --timeout 5 lab f.bin .",
        "download_file lab f.bin --timeout=5 .",
    ],
)
def test_an_option_may_stand_anywhere_behind_its_command(line: str) -> None:
    _, arguments, options = parse(line.split())
    assert (arguments, options) == (["lab", "f.bin", "."], {"timeout": "5"})


@pytest.mark.parametrize("end", ["--timeout", "--timeout 5 --timeout 6"])
def test_an_option_takes_one_value_once(end: str) -> None:
    with pytest.raises(LocalError, match="--timeout takes one SECONDS"):
        parse(f"download_file lab f.bin . {end}".split())


def test_what_is_no_option_of_a_command_is_a_word_of_it() -> None:
    assert parse(["stop_share", "lab", "--timeout"]).arguments == ["lab", "--timeout"]
