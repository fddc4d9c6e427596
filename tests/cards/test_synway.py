"""Synway's cards, on a library of our own that answers as the vendor's is documented to."""

import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from numpy.typing import NDArray

from cffi_bindings.errors import LibraryMissing, SynwayError
from cffi_bindings.synway import Library, Ring, dword_bits, installed
from dsp.g711 import IDLE
from firmware.cards import BLOCK, Block, CardError, ChannelStatus, LineEventKind
from firmware.cards.synway import SynwayCard
from firmware.clock import raw_ns
from recorder.catalogue import Catalogue
from recorder.model import Direction, Query, Recording, State
from recorder.wav import load
from tests.box import Box, wait_for
from tests.cards.synway_line import audio, blocks, compiled, events, lines_of, playing, position, start


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("synway"))


@pytest.fixture
def lines(library: Path) -> Any:
    return lines_of(library)


@pytest.fixture
def card(library: Path, lines: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SynwayCard]:
    """Time is the test's (`line_play`), not the clock's."""
    monkeypatch.setattr("firmware.cards.synway._LOST_SAMPLES", 1 << 40)
    made = SynwayCard("synway0", (1, 2, 3), (0, 1, 4), library=str(library), folder=library.parent, volts_every_s=0.01)
    with playing(made, lines):
        yield made


def test_when_audio_came_is_told_by_the_machines_oscillator() -> None:
    """With the clock that time servers put right, a card would seem to lose samples whenever they do."""
    ring, ffi = Ring(1), FFI()
    callback, place = ring.target(0)
    bring = ffi.cast("void (*)(int, uint8_t *, uint32_t, void *)", callback)
    ring.open(0)
    before_ns = raw_ns()
    bring(0, ffi.from_buffer(bytes(2 * BLOCK)), 2 * BLOCK, ffi.cast("void *", place))
    after_ns = raw_ns()
    assert ring.read(1000, 0, IDLE["alaw"]) == 1
    ahead, came_ns = ring.newest
    assert ahead == BLOCK and before_ns <= came_ns <= after_ns
    ring.close()


def until(card: SynwayCard, lines: Any, *kinds: LineEventKind) -> list[Block]:
    """Blocks up to one that tells such an event."""
    read: list[Block] = []

    def told() -> bool:
        read.extend(blocks(card, lines, 1))
        return bool(events(read[-1:], *kinds))

    wait_for(f"one of {kinds}", told)
    return read


def is_beside(channel: int, heard: NDArray[np.uint8], first: NDArray[np.uint8]) -> bool:
    """Bit-exact, and to a piece where channel 0 stands, which is what is promised of one that began anew."""
    place, there = position(channel, heard), position(0, first)
    return place >= 0 and there >= 0 and abs(place - there) <= 160


def blocks_without_end(card: SynwayCard) -> None:
    while True:
        card.read()


def test_every_channel_is_heard_bit_for_bit(card: SynwayCard, lines: Any) -> None:
    read = blocks(card, lines, 200)
    assert [block.first_sample for block in read] == list(range(0, 200 * 160, 160))
    assert not np.concatenate([block.status for block in read]).any()
    assert not events(read)
    places = [position(channel, heard) for channel, heard in zip(card.channels, audio(read), strict=True)]
    # How they stand to each other is known to the block: by when pieces came, on a machine that may be busy just then.
    assert min(places) >= 0 and max(places) - min(places) <= BLOCK
    assert lines.line_file() is not None


def test_a_library_whose_dword_has_64_bits(tmp_path: Path) -> None:
    (tmp_path / "shpa3api.h").write_text("typedef unsigned short WORD;\ntypedef unsigned long DWORD;\n")
    library = compiled(tmp_path, "-DDWORD=unsigned long")
    lines = lines_of(library)
    card = SynwayCard("synway0", (1, 2), (0, 3), library=str(library), folder=tmp_path)
    with playing(card, lines):
        read = blocks(card, lines, 50)
        places = [position(0, audio(read)[0]), position(3, audio(read)[1])]
        assert min(places) >= 0 and abs(places[0] - places[1]) <= BLOCK
        lines.line_state(3, 2)
        assert [e.channel for e in events(until(card, lines, LineEventKind.RING_ON))] == [1]


def test_pieces_may_be_of_any_length(library: Path, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.cards.synway_driver.PIECE_MS", 73)
    card = SynwayCard("synway0", (1, 2), (2, 3), library=str(library), folder=library.parent)
    with playing(card, lines):
        lines.line_play(100)
        read = [block.law.copy() for block in (card.read() for _ in range(90))]
    heard = np.concatenate(read, axis=1)
    places = [position(2, heard[0]), position(3, heard[1])]
    assert min(places) >= 0 and abs(places[0] - places[1]) < 73 * 8


def test_line_voltage_and_polarity(card: SynwayCard, lines: Any) -> None:
    assert blocks(card, lines, 1)[0].volts.tolist() == [48, 48, 48]  # type: ignore[union-attr]
    lines.line_volts(1, -9)

    def fallen() -> bool:
        volts = blocks(card, lines, 1)[0].volts
        assert volts is not None and volts[0] == volts[2] == 48
        return bool(volts[1] == 9)

    wait_for("9 volts", fallen)
    lines.line_polarity(4, 1)
    (event,) = events(until(card, lines, LineEventKind.POLARITY))
    assert (event.channel, event.value) == (2, 1)


def test_ringing_is_told_by_its_level_and_the_caller_by_the_card(card: SynwayCard, lines: Any) -> None:
    lines.line_caller(1, b"")
    lines.line_ring(1, 1)
    lines.line_state(1, 2)
    assert [e.kind for e in events(until(card, lines, LineEventKind.RING_ON))] == [LineEventKind.RING_ON]
    lines.line_ring(1, 0)
    until(card, lines, LineEventKind.RING_OFF)
    lines.line_caller(1, b"02161234567")
    lines.line_ring(1, 1)
    (told,) = events(until(card, lines, LineEventKind.CALLER_ID), LineEventKind.CALLER_ID)
    assert (told.channel, told.text) == (1, "02161234567")
    lines.line_ring(1, 0)
    until(card, lines, LineEventKind.RING_OFF)
    lines.line_ring(1, 1)  # The number was told once.
    lines.line_ring(1, 0)
    assert [e.kind for e in events(until(card, lines, LineEventKind.RING_OFF))] == ["ring_on", "ring_off"]


def test_ringing_is_told_by_the_state_where_no_level_comes(card: SynwayCard, lines: Any) -> None:
    lines.line_state(0, 2)
    until(card, lines, LineEventKind.RING_ON)
    lines.line_state(0, 0)
    assert [e.channel for e in events(until(card, lines, LineEventKind.RING_OFF))] == [0]


def test_hook_of_a_channel_without_voltage_comes_of_its_state(card: SynwayCard, lines: Any) -> None:
    lines.line_volts(0, -1)
    wait_for("no volts", lambda: bool(np.isnan(blocks(card, lines, 1)[0].volts[0])))  # type: ignore[index]
    for state in (1, 0):
        for channel in (0, 1):  # The other has a voltage, which tells its hook.
            lines.line_state(channel, state)
        kind = LineEventKind.OFF_HOOK if state else LineEventKind.ON_HOOK
        assert [e.channel for e in events(until(card, lines, kind))] == [0]


def test_digits_are_counted(card: SynwayCard, lines: Any) -> None:
    for digit in b"112":
        lines.line_digit(1, digit)
    wait_for("three digits", lambda: blocks(card, lines, 1) and card.counts.digits == 3)


def test_a_channel_that_is_not_usable_is_down_until_it_is(card: SynwayCard, lines: Any) -> None:
    lines.line_state(4, 11)
    read = until(card, lines, LineEventKind.ALARM)
    assert read[-1].status.tolist() == [ChannelStatus.OK, ChannelStatus.OK, ChannelStatus.DOWN]
    lines.line_state(4, 0)
    assert not until(card, lines, LineEventKind.CLEAR)[-1].status.any()


def test_a_silent_channel_disturbs_no_other_and_comes_back_beside_them(card: SynwayCard, lines: Any) -> None:
    before = blocks(card, lines, 1)
    lines.line_silent(1, 1)
    read = blocks(card, lines, 260)
    status = np.array([block.status for block in read])
    assert not status[:, [0, 2]].any()
    assert position(0, audio(before + read)[0]) >= 0
    assert set(status[:99, 1]) == {ChannelStatus.LATE} and set(status[99:, 1]) == {ChannelStatus.DOWN}
    assert set(audio(read)[1].tolist()) == {IDLE["alaw"]}
    assert [(e.kind, e.channel) for e in events(read)] == [(LineEventKind.ALARM, 1)]
    assert card.counts.begun_anew == 2
    wait_for("both, which another thread does", lambda: lines.line_begun(1) == 3)
    lines.line_silent(1, 0)
    back = until(card, lines, LineEventKind.CLEAR)
    after = audio(blocks(card, lines, 50))
    assert len(back) <= 2
    assert is_beside(1, after[1], after[0])


def test_a_recording_that_ends_by_itself_is_begun_anew(card: SynwayCard, lines: Any) -> None:
    blocks(card, lines, 5)
    lines.line_ends(4)
    assert card.read().status.tolist() == [ChannelStatus.OK, ChannelStatus.OK, ChannelStatus.LATE]
    read: list[Block] = []

    def healed() -> bool:
        read.extend(blocks(card, lines, 1))
        return bool(read[-1].status[2] == ChannelStatus.OK)

    wait_for("the channel to be recorded again", healed)
    after = audio(blocks(card, lines, 50))
    assert is_beside(4, after[2], after[0])


def test_what_finds_no_room_is_a_hole_of_known_length(card: SynwayCard, lines: Any) -> None:
    queued = blocks(card, lines, 1)
    lines.line_play(500)
    room = (1 << 16) // 160
    for _ in range(room):
        block = card.read()
        queued.append(Block(block.first_sample, block.law.copy(), block.status.copy(), None, block.events))
    rest = [card.read() for _ in range(500 - room)]
    assert not np.array([block.status for block in queued]).any()
    assert {int(s) for block in rest for s in block.status} == {ChannelStatus.LOST}
    assert [e.kind for e in events(rest)] == [LineEventKind.OVERRUN] * 3
    assert card.counts.overruns == 3
    assert card.counts.lost_samples == 3 * 160 * (500 - room)
    after = blocks(card, lines, 20)
    assert not np.array([block.status for block in after]).any()
    begin, end = (position(0, audio(part)[0]) for part in (queued[:2], after))
    assert (end - begin) % 64_256 == after[0].first_sample % 64_256


def test_samples_that_the_board_loses_are_measured_against_the_clock(library: Path, lines: Any) -> None:
    card = SynwayCard("synway0", (1, 2), (0, 1), library=str(library), folder=library.parent)
    with playing(card, lines):
        lines.line_run()
        for _ in range(75):
            card.read()
        lines.line_skips(1600)
        read = [card.read() for _ in range(60)]
    jumps = [(b.first_sample - a.first_sample - 160) for a, b in pairwise(read)]
    assert sum(jumps) == pytest.approx(1600, abs=80)
    assert {e.value for e in events(read, LineEventKind.OVERRUN)} == {sum(jumps)}


def test_a_board_that_stops_is_said_and_taken_back(card: SynwayCard, lines: Any) -> None:
    lines.line_play(1)
    card.read()
    with pytest.raises(CardError, match="Card synway0: none of its 3 channels gave a sample for 1000 ms"):
        blocks_without_end(card)
    card.close()
    before = lines.line_starts()
    start(card, lines)
    assert lines.line_starts() == before + 1
    assert not blocks(card, lines, 3)[-1].status.any()


def test_a_library_that_does_not_wait_keeps_no_processor_busy(card: SynwayCard, lines: Any) -> None:
    lines.line_impatient()
    for _ in range(20):
        lines.line_pass()
    assert lines.line_impatient() < 50


def test_two_cards_share_the_library(card: SynwayCard, library: Path, lines: Any) -> None:
    other = SynwayCard("synway1", (4,), (5,), library=str(library), folder=library.parent)
    with playing(other, lines):
        lines.line_play(3)
        other.read()
    assert not blocks(card, lines, 50)[-1].status.any()
    elsewhere = SynwayCard("synway2", (4,), (5,), library=str(library), folder=Path("/nonexistent"))
    with pytest.raises(CardError, match="the same library and folder"):
        elsewhere.start()


@pytest.mark.parametrize(
    ("channels", "says"),
    [((0, 8), "channel 8 is not there, there are 8 \\(0 to 7\\)"), ((7,), "channel 7 is of type 0, not a recording")],
)
def test_channels_that_cannot_be_recorded_are_named(library: Path, channels: tuple[int, ...], says: str) -> None:
    lines = tuple(range(1, len(channels) + 1))
    card = SynwayCard("synway0", lines, channels, library=str(library), folder=library.parent)
    with pytest.raises(CardError, match=says):
        card.start()
    card.close()


def test_what_is_not_installed_is_named(library: Path, tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"has no ShConfig.ini and no ShIndex.ini. Remedy"):
        SynwayCard("synway0", (1,), (0,), library=str(library), folder=tmp_path).start()
    for name in ("ShConfig.ini", "ShIndex.ini"):
        (tmp_path / name).touch()
    with pytest.raises(CardError, match=r"cannot be loaded .*Remedy: install"):
        SynwayCard("synway0", (1,), (0,), library=str(tmp_path / "none.so"), folder=tmp_path).start()
    bare = tmp_path / "bare.so"
    subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o", str(bare)], check=True)
    with pytest.raises(LibraryMissing, match=r"has no SsmStartCti, SsmCloseCti, .*Remedy"):
        Library(str(bare))
    assert installed(str(library)) and not installed(str(bare))


def test_the_library_refuses_with_its_own_words(library: Path) -> None:
    with pytest.raises(SynwayError, match=r"ShIndex.ini failed \(error 0, 配置文件\)"):
        Library(str(library)).start(Path("/nonexistent/ShConfig.ini"), Path("/nonexistent/ShIndex.ini"))


@pytest.mark.parametrize(
    ("header", "bits"),
    [
        ("typedef unsigned long DWORD;", 64),
        ("typedef unsigned long ULONG, DWORD, *PDWORD;", 64),
        ("#define DWORD unsigned int", 32),
        ("typedef uint32_t DWORD;", 32),
        ("#define WORD short", 32),
        (None, 32),
    ],
)
def test_the_width_of_dword_is_what_the_header_says(tmp_path: Path, header: str | None, bits: int) -> None:
    if header is not None:
        (tmp_path / "shpa3api.h").write_text(f"/* \xb0\xe6 */\ntypedef char CHAR;\n{header}\n", encoding="latin-1")
    assert dword_bits([tmp_path / "not there", tmp_path]) == bits


def test_the_daemon_records_a_call_sample_for_sample(tmp_path: Path) -> None:
    library = compiled(tmp_path)
    (tmp_path / "ShConfig.ini").write_text(
        "1000 ring 1 1\n1800 ring 1 0\n2000 caller 1 02161234567\n3000 ring 1 1\n3500 volts 1 9\n3520 ring 1 0\n"
        "6000 volts 1 48\n"
    )
    configuration = (
        f'[[card]]\nkind = "synway"\nchannels = ["0-2"]\nvendor_library = "{library}"\nfolder = "{tmp_path}"\n'
    )
    data = tmp_path / "data"
    with Box(data, configuration) as box:
        wait_for("a sealed recording", lambda: bool(sealed(data)))
        (card,) = box.call("status")["cards"]
    (row,) = sealed(data)
    assert (card["kind"], card["simulated"], card["lost_samples"]) == ("synway", False, 0)
    assert (row.line, row.law, row.simulated, row.gaps) == (2, "alaw", False, 0)
    assert (row.direction, row.number, row.answered) == (Direction.IN, "02161234567", True)
    assert row.samples == pytest.approx(2.5 * 8000, abs=4000)
    file = load(data / row.path)
    assert position(1, np.fromfile(file.path, np.uint8, file.samples, offset=file.audio_offset)) >= 0


def sealed(data: Path) -> list[Recording]:
    catalogue = Catalogue.open_readonly(data)
    try:
        return list(catalogue.search(Query(states=(State.SEALED,))).rows)
    finally:
        catalogue.close()
