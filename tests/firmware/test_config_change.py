"""The configuration file is changed where it was asked for, and nowhere else."""

import difflib

import pytest

from firmware.config import ConfigError
from firmware.config_change import with_cards, with_line, with_lines, without_last_card
from firmware.config_file import default_text, parse

VALUES: dict[str, float | str] = {
    "trigger": "voltage",
    "off_hook_volts": 13.5,
    "cut_volts": 2.0,
    "vox_level_dbm0": -41.0,
}
TWO = """# Of the depot.
[recording]
vox_level_dbm0 = -35   # measured in May

[[card]]
kind = "dahdi"
channels = [1, "3-4"]

# the dispatcher
[[line]]
number = 3
name = "调度 3"
off_hook_volts = 18   # as it came
kind = "extension"

[[line]]
number = 1
enabled = false
"""


def changes(before: str, after: str) -> list[str]:
    differing = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in list(differing)[2:] if not line.startswith("@@")]


def test_a_line_that_is_described_keeps_its_comments_and_the_others_theirs() -> None:
    assert changes(TWO, with_line(TWO, 3, VALUES)) == [
        "-off_hook_volts = 18   # as it came",
        "+off_hook_volts = 13.5   # as it came",
        '+trigger = "voltage"',
        "+cut_volts = 2.0",
        "+vox_level_dbm0 = -41.0",
    ]


def test_a_line_that_is_not_described_is_added_at_the_end() -> None:
    text = default_text("Asia/Shanghai")
    changed = with_line(text, 5, VALUES)
    assert [line for line in changes(text, changed) if line.startswith("-")] == []
    assert [line for line in changes(text, changed) if line.strip("+")] == [
        "+[[line]]", "+number = 5", '+trigger = "voltage"', "+off_hook_volts = 13.5", "+cut_volts = 2.0",
        "+vox_level_dbm0 = -41.0",
    ]  # fmt: skip
    assert parse(changed).lines[4].recording.off_hook_volts == 13.5
    assert parse(changed).lines[3] == parse(text).lines[3]


MIXED = """[[line]]   # of the first card
number = 1

# the director, never to be moved
[[line]]
number = 2
# nothing else is known of it

[[card]]   # bought in May
kind = "simulated"
lines = 3

[[line]]
number = 3
# the end
"""


@pytest.mark.parametrize(("number", "header"), [(1, "number = 1"), (2, "number = 2"), (3, "number = 3")])
def test_tables_stay_in_their_order_and_comments_above_what_they_speak_of(number: int, header: str) -> None:
    assert with_line(MIXED, number, {"cut_volts": 2.0}) == MIXED.replace(header, f"{header}\ncut_volts = 2.0")


@pytest.mark.parametrize("text", ["line = []\n", "line = [\n  {number = 2}, # the second\n]\n", "[[line]]\nnumber = 2"])
def test_a_line_is_added_to_whatever_there_is(text: str) -> None:
    changed = with_line(text, 1, {"cut_volts": 2.0})
    assert [line for line in changes(text, changed) if line.startswith("-") and "[]" not in line] == []
    assert parse(changed).lines[0].recording.cut_volts == 2.0
    assert parse(changed).lines[1:] == parse(text).lines[1:]


@pytest.mark.parametrize(
    "text",
    [
        'line = [{number = 1, name = "a"}, {number = 2}]\n',
        '[[line]]\nnumber = 2\n[[card]]\nkind = "simulated"\nlines = 2\n[[line]]\nnumber = 1\n',
        "[[line]]\r\nnumber = 2\r\n",
    ],
)
@pytest.mark.parametrize("number", [1, 2])
def test_however_the_lines_are_written(text: str, number: int) -> None:
    before, after = parse(text), parse(with_line(text, number, VALUES))
    for old, new in zip(before.lines, after.lines, strict=True):
        assert (old == new) is (old.number != number)
    assert after.lines[number - 1].recording.cut_volts == 2.0


@pytest.mark.parametrize(
    ("text", "number", "values", "words"),
    [
        (TWO, 4, VALUES, "there is no line 4"),
        (TWO, 1, {"off_hook_volts": 99.0}, "a number from 0 to 60"),
        (TWO, 1, {"cut_volts": 30.0}, "must be below off_hook_volts"),
        (TWO + "[nonsense]\n", 1, VALUES, "no table"),
        ("not toml", 1, VALUES, "not TOML"),
        ('[[line]]\nnumber = 1\nkind = "handset"\n', 1, {"trigger": "voltage"}, "no loop voltage"),
    ],
)  # fmt: skip
def test_what_may_not_stand_there_is_refused(
    text: str, number: int, values: dict[str, float | str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        with_line(text, number, values, "box.toml")


# What lines are, and which cards there are ----------------------------------------------------------------------------

NO_CARD = """card = []  # none yet

[box]
name = "Linekeep"
"""
STANZA = """# Digium, Wildcard TDM400P
[[card]]
kind = "dahdi"
name = "dahdi0"
channels = ["1-4"]
law = "alaw"
"""


def test_lines_get_names_and_kinds_and_nothing_else_changes() -> None:
    text = with_lines(TWO, {1: {"name": "Gate", "enabled": True}, 2: {"kind": "handset"}})
    assert changes(TWO, text) == ["-enabled = false", "+enabled = true", '+name = "Gate"', "+", "+[[line]]",
                                  "+number = 2", '+kind = "handset"']  # fmt: skip
    lines = parse(text).lines
    assert (lines[0].name, lines[0].enabled, lines[1].recording.trigger) == ("Gate", True, "vox")
    assert lines[2] == parse(TWO).lines[2]


@pytest.mark.parametrize("values", [{"kind": "nonsense"}, {"role": "station", "kind": 3}, {"name": "a\nb"}])
def test_what_a_line_cannot_be_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        with_lines(TWO, {1: values})


def test_the_first_card_takes_the_place_of_none_and_the_next_comes_after_it() -> None:
    first = with_cards(NO_CARD, STANZA)
    assert "none yet" not in first and parse(first).cards[0].channels == (1, 2, 3, 4)
    second = with_cards(first, STANZA.replace("dahdi0", "dahdi1").replace("1-4", "5-8"))
    assert [card.name for card in parse(second).cards] == ["dahdi0", "dahdi1"]
    with pytest.raises(ConfigError, match="already"):
        with_cards(second, STANZA.replace("dahdi0", "dahdi2"))


def test_a_card_added_after_described_lines_leaves_them_theirs() -> None:
    text = with_cards(TWO, '[[card]]\nkind = "simulated"\nlines = 2\n')
    assert [line for line in changes(TWO, text) if line.startswith("-")] == []
    assert parse(text).lines[:3] == parse(TWO).lines and len(parse(text).lines) == 5


def test_the_last_card_goes_with_what_was_said_of_its_lines() -> None:
    both = with_lines(with_cards(TWO, '[[card]]\nkind = "simulated"\nlines = 2\n'), {5: {"name": "Show"}})
    assert without_last_card(both).split() == TWO.split()
    alone = with_lines(with_cards(NO_CARD, '[[card]]\nkind = "simulated"\n'), {2: {"name": "Show"}})
    emptied = parse(without_last_card(alone))
    assert emptied.cards == () and emptied.lines == () and emptied.box == parse(NO_CARD).box
    assert parse(without_last_card(default_text("Asia/Shanghai"))).cards == ()
