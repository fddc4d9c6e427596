"""The configuration file: everything it may say comes back, everything else is refused by key and line."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.config import (
    BoxConfig,
    CardConfig,
    Config,
    ConfigError,
    LineConfig,
    LineKind,
    RecordingConfig,
    Role,
    StorageConfig,
)
from firmware.config_file import as_text, default_text, load, parse, save

texts = st.text(st.characters(blacklist_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=20).filter(
    str.isprintable
)
recordings = st.builds(
    RecordingConfig,
    trigger=st.sampled_from(["voltage", "vox", "key", "always"]),
    off_hook_volts=st.floats(10, 60),
    cut_volts=st.floats(0, 9),
    release_ms=st.integers(100, 10_000),
    vox_level_dbm0=st.floats(-60, 0),
    pre_roll_s=st.floats(0, 24),
    hangover_s=st.floats(0.5, 120),
    busy_tone_s=st.floats(0, 600),
    longest_s=st.floats(3601, 86_400),
    shortest_s=st.floats(0, 3600),
    access_numbers=st.lists(st.from_regex(r"[0-9*#]{2,20}", fullmatch=True), max_size=4).map(tuple),
)


SYNWAY = CardConfig(
    kind="synway",
    name="synway0",
    lines=3,
    channels=(0, 1, 7),
    vendor_library="/opt/三汇/libshpa3api.so",
    folder="/opt/三汇",
)


@st.composite
def real_cards(draw: st.DrawFn, first: int) -> CardConfig:
    channels = tuple(draw(st.lists(st.integers(first, first + 99), min_size=1, max_size=5, unique=True)))
    return CardConfig(
        kind="dahdi", name=f"dahdi{first}", lines=len(channels), channels=channels, volts_every_s=draw(st.floats(0, 60))
    )


@st.composite
def line_configs(draw: st.DrawFn, number: int, real: bool, some: list[RecordingConfig]) -> LineConfig:
    kind = draw(st.sampled_from(get_args(LineKind)))
    recording = draw(st.sampled_from(some))
    return LineConfig(
        number=number,
        name=draw(st.just("") | texts),
        enabled=draw(st.booleans()),
        role=draw(st.sampled_from(get_args(Role))) if real else "tap",
        kind=kind,
        recording=replace(recording, trigger="vox") if kind == "handset" else recording,
    )


@st.composite
def configs(draw: st.DrawFn) -> Config:
    simulated = tuple(
        CardConfig(
            name=f"sim{n}",
            lines=draw(st.integers(1, 5)),
            law=draw(st.sampled_from(["alaw", "ulaw"])),
            zone=draw(st.sampled_from(["cn", "us", "eu", "uk", "hk"])),
            seed=draw(st.integers(0, 2**63 - 1)),
            paced=draw(st.booleans()),
            start_utc=draw(st.sampled_from(["", "2026-01-31T08:00:00"])),
        )
        for n in range(draw(st.integers(0, 3)))
    )
    cards = simulated + tuple(draw(real_cards(first)) for first in range(1, 1 + 100 * draw(st.integers(0, 2)), 100))
    cards += tuple(draw(st.lists(st.just(SYNWAY), max_size=1)))
    real = [card.kind == "dahdi" for card in cards for _ in range(card.lines)]
    some = draw(st.lists(recordings, min_size=1, max_size=2))
    return Config(
        box=BoxConfig(name=draw(texts), zone=draw(st.sampled_from(["", "UTC"])), language="en"),
        storage=StorageConfig(minimum_free_mb=draw(st.integers(1, 10**9)), trash_days=draw(st.floats(0, 36_500))),
        cards=cards,
        lines=tuple(draw(line_configs(n, on_real, some)) for n, on_real in enumerate(real, 1)),
    )


@settings(max_examples=60)
@given(configs())
def test_what_is_written_is_read_back(config: Config) -> None:
    text = as_text(config)
    again = parse(text)
    assert again.lines == config.lines
    assert again == config
    assert as_text(again) == text


def test_an_empty_file_is_the_default_box() -> None:
    assert parse("") == Config()
    assert parse(default_text("UTC")) == Config(box=BoxConfig(zone="UTC"))


def test_a_line_takes_the_defaults_and_differs_where_it_says_so() -> None:
    config = parse('[recording]\nhangover_s = 9\n[[line]]\nnumber = 3\nname = "值班"\ntrigger = "vox"\n')
    assert config.lines[2] == LineConfig(
        number=3, name="值班", recording=RecordingConfig(trigger="vox", hangover_s=9.0)
    )
    assert config.lines[1].recording == RecordingConfig(hangover_s=9.0)


def test_the_lines_of_a_dahdi_card_follow_from_its_channels() -> None:
    config = parse("[[card]]\n[[card]]\nkind = 'dahdi'\nchannels = [33, 2, '5-8']\nlaw = 'ulaw'\n")
    assert config.cards[1] == CardConfig(
        kind="dahdi", name="dahdi0", lines=6, law="ulaw", channels=(33, 2, 5, 6, 7, 8), volts_every_s=0.1
    )
    assert [line.number for line in config.lines] == list(range(1, 15))
    text = as_text(config)
    assert 'channels = [33, 2, "5-8"]' in text
    assert text.count("seed = ") == 1, "keys of the simulated card are written for that one alone"
    assert parse("[[card]]\nkind = 'dahdi'\nchannels = ['1-30']\nlines = 30\n").cards[0].lines == 30


def test_what_a_line_is_stands_between_the_box_and_its_own_keys() -> None:
    lines = parse(
        "[recording]\noff_hook_volts = 20\nhangover_s = 7\n"
        "[[line]]\nnumber = 1\nkind = 'extension'\n"
        "[[line]]\nnumber = 2\nkind = 'extension'\noff_hook_volts = 11\n"
        "[[line]]\nnumber = 3\nkind = 'handset'\n"
        "[[line]]\nnumber = 4\nkind = 'handset'\ntrigger = 'key'\n"
        "[[line]]\nnumber = 5\nkind = 'trunk'\n"
    ).lines
    shared = RecordingConfig(off_hook_volts=20.0, hangover_s=7.0)
    assert lines[0].recording == replace(shared, off_hook_volts=14.0, release_ms=1000)
    assert lines[1].recording == replace(shared, off_hook_volts=11.0, release_ms=1000)
    assert lines[2].recording == replace(shared, trigger="vox", off_hook_volts=0.0, cut_volts=0.0)
    assert lines[3].recording.trigger == "key"
    assert lines[4].recording == lines[5].recording == shared
    assert [line.kind for line in lines[:6]] == ["extension", "extension", "handset", "handset", "trunk", "direct"]


_DAHDI = "[[card]]\nkind = 'dahdi'\n"

REFUSED = {
    _DAHDI: (1, "a dahdi card needs its channels"),
    _DAHDI + "channels = []\n": (3, 'ranges such as "5-30", none twice'),
    _DAHDI + "channels = [0]\n": (3, "a list of numbers from 1 to 1024"),
    _DAHDI + "channels = ['1-1025']\n": (3, "a list of numbers from 1 to 1024"),
    _DAHDI + "channels = ['30-5']\n": (3, "none twice"),
    _DAHDI + "channels = [7, '5-9']\n": (3, "none twice"),
    _DAHDI + "channels = [true]\n": (3, "none twice"),
    _DAHDI + "channels = '1-4'\n": (3, "none twice"),
    _DAHDI + "lines = 5\nchannels = ['1-4']\n": (3, "lines is 5, but there are 4 channels; leave lines out"),
    _DAHDI + "channels = [1]\nseed = 3\n": (4, "seed is for cards of kind simulated; this one is dahdi"),
    _DAHDI + "channels = [1]\nchanels = [1]\n": (4, "perhaps channels is meant"),
    "[[card]]\nchannels = [1]\n": (2, "channels is for cards of kind dahdi, synway; this one is simulated"),
    "[[card]]\nkind = 'analog'\n": (2, 'it must be one of "simulated", "dahdi", "synway"'),
    "[[card]]\nkind = 'synway'\nchannels = [0]\n": (1, "a synway card needs its folder"),
    "[[card]]\nkind = 'synway'\nchannels = [0]\nfolder = 'conf'\n": (4, "it must be an absolute path"),
    _DAHDI + "channels = [1]\nfolder = '/x'\n": (4, "folder is for cards of kind synway; this one is dahdi"),
    "[[card]]\nkind = 'synway'\nchannels = [0]\nfolder = '/x'\n[[line]]\nnumber = 1\nrole = 'trunk'\n": (
        7,
        'line 1 is on synway card "synway0", whose lines are taps',
    ),
    _DAHDI + "channels = [1, 2]\n" + _DAHDI + "name = 'b'\nchannels = ['2-3']\n": (
        7,
        'channel 2 is already one of card "dahdi0"',
    ),
    "[[line]]\nnumber = 1\nrole = 'trunk'\n": (3, 'line 1 is on simulated card "sim0", whose lines are taps'),
    "[[line]]\nnumber = 1\nkind = 'handset'\ntrigger = 'voltage'\n": (4, "a handset has no loop voltage"),
    "[[line]]\nnumber = 1\nkind = 'cord'\n": (3, 'one of "direct", "trunk", "extension", "handset"'),
    '[box]\n\nnmae = "x"\n': (3, "perhaps name is meant"),
    "[bx]\n": (1, 'no table "bx"'),
    "# first\n[recording]\naccess_numbers = [\n  '163',\n  '1x',\n]\n": (3, "access_numbers"),
    '[box]\nname = """\nzone = 3"""\nzone = 3\n': (4, "zone in [box] is 3"),
    "[recording]\nrelease_ms = 99\n": (2, "a whole number from 100 to 10000 milliseconds"),
    "[recording]\nrelease_ms = true\n": (2, "release_ms in [recording] is True"),
    "[recording]\nvox_level_dbm0 = nan\n": (2, "a number from -60 to 0 dBm0"),
    "[recording]\n\ncut_volts = 20.0\n": (1, "cut_volts (20) must be below off_hook_volts (18)"),
    '[storage]\ntrash_days = "30"\n': (2, "trash_days"),
    '[box]\nzone = "Mars/Olympus"\n': (2, "an IANA time zone"),
    '[box]\nzone = "../../etc/passwd"\n': (2, "an IANA time zone"),
    '[[line]]\nname = "a"\n': (1, "needs its number"),
    "[[line]]\nnumber = 2\n\n[[line]]\nnumber = 2\n": (5, "line 2 is described twice"),
    "[[line]]\nnumber = 9\n": (2, "there is no line 9; the cards have 8"),
    "[[card]]\nlines = 2\n[[line]]\nnumber = 1\n[[line]]\nnumber = 2\ntriger = 'vox'\n": (7, "[[line]] number 2"),
    "[[card]]\n[[card]]\n": (2, 'two cards named "sim0"'),
    "[[card]]\nlines = 4096\n[[card]]\nname = 'b'\n": (3, "more than 4096 lines"),
    "[[card]]\nname = 'A B'\n": (2, "small letters"),
    "[[card]]\nstart_utc = 'noon'\n": (2, "a UTC time"),
    "[card]\n": (1, "[[card]] (two brackets)"),
    "box = 1\n": (1, "[box]"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_mistake_is_named_with_its_line(text: str) -> None:
    line, words = REFUSED[text]
    with pytest.raises(ConfigError) as refused:
        parse(text, "box.toml")
    assert str(refused.value).startswith(f"box.toml, line {line}: ")
    assert words in str(refused.value)


def test_what_is_not_toml_is_said_so_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"not TOML: .*line 2"):
        parse("[box]\nname = x\n")


@settings(max_examples=150)
@given(
    st.text()
    | st.lists(
        st.sampled_from(
            [
                "[box]",
                "[recording]",
                "[[line]]",
                "[[card]]",
                "number = 1",
                "name = 'x'",
                "lines = 3",
                "zone = 'cn'",
                "= [",
            ]
        )
    ).map("\n".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        config = parse(text)
    except ConfigError:
        return
    assert [line.number for line in config.lines] == list(range(1, 1 + sum(card.lines for card in config.cards)))


def test_saving_keeps_the_former_version_and_refuses_before_it_touches_anything(tmp_path: Path) -> None:
    path = tmp_path / "linekeep.toml"
    save(path, default_text("UTC"))
    save(path, '[box]\nname = "Second"\n')
    assert load(path).box.name == "Second"
    assert load(tmp_path / "linekeep.toml.1") == Config(box=BoxConfig(zone="UTC"))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ConfigError):
        save(path, "[box]\nname = 5\n")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert set(before) == {"linekeep.toml", "linekeep.toml.1"}


def test_the_documentation_shows_the_file_that_a_first_start_writes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert default_text("Asia/Shanghai") in page


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read"):
        load(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"latin\.toml: cannot be read"):
        load(tmp_path / "latin.toml")
