"""Digital spans that have clocks of their own, as two E1 cards have: B channels in A-law, drift, alarms."""

import ctypes
import fcntl
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import dahdi
from cffi_bindings.dahdi import Signalling
from firmware.cards.dahdi import DahdiCard, Port
from recorder.model import Recording, StopReason, Trigger
from recorder.wav import RecordingFile, load
from tests.box import Box, wait_for
from tests.dahdi.guest.far_end import TALK_S, address, far_ends, sound
from tests.dahdi.guest.rig import SPAN, place_of, reading
from tests.dahdi.guest.test_daemon import rows

CHANNELS = 8
"""Of each of the two spans."""
FIRST = (2 * SPAN + 1, 2 * SPAN + 1 + CHANNELS)
PPM = 195
S = 8000


@pytest.fixture(scope="module", autouse=True)
def _spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    up_flags = struct.pack("16sh14x", b"lo", 1)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, up_flags)  # SIOCSIFFLAGS
    numbers = f"{FIRST[0]}-{FIRST[1] + CHANNELS - 1}"
    spans = "".join(f"dynamic=eth,lo/{address(span)},{CHANNELS},0\n" for span in (0, 1))
    conf = tmp_path_factory.mktemp("spans") / "system.conf"
    conf.write_text(f"{spans}bchan={numbers}\nalaw={numbers}\nloadzone=cn\ndefaultzone=cn\n")
    subprocess.run(["dahdi_cfg", "-c", conf], check=True)
    yield
    subprocess.run(["dahdi_cfg", "-s", "-c", conf], check=False)  # It does so, and answers 1.
    assert len(dahdi.spans()) == 2


def card_on(name: str, *channels: int) -> str:
    numbers = ", ".join(map(str, channels))
    return f'[[card]]\nkind = "dahdi"\nname = "{name}"\nlaw = "alaw"\nchannels = [{numbers}]\n'


def by_sound(*lines: int) -> str:
    return "".join(f'[[line]]\nnumber = {line}\ntrigger = "vox"\n' for line in lines)


@contextmanager
def box_on(data: Path, *parts: str) -> Iterator[Box]:
    """A daemon that runs on these cards and records everything, where nothing else is said."""
    with Box(data, "\n".join((*parts, '[recording]\ntrigger = "always"\n'))) as box:
        wait_for("the cards", lambda: {card["state"] for card in cards(box)} == {"running"})
        yield box


def cards(box: Box) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = box.call("status")["cards"]
    return found


def alarms(box: Box) -> dict[tuple[str, str], dict[str, Any]]:
    """Those that are open."""
    told = [alarm for alarm in box.call("alarm.list")["alarms"] if alarm["resolved_utc_ns"] is None]
    return {(alarm["code"], alarm["object"]): alarm for alarm in told}


def recordings(data: Path, line: int) -> list[tuple[RecordingFile, NDArray[np.uint8]]]:
    """Of a line, in order, each with its audio."""
    own: list[Recording] = sorted((row for row in rows(data) if row.line == line), key=lambda row: row.start_utc_ns)
    files = [load(data / row.path) for row in own]
    return [(file, np.fromfile(file.path, np.uint8, file.samples, offset=file.audio_offset)) for file in files]


def part_of(sent: NDArray[np.uint8], audio: NDArray[np.uint8]) -> int:
    """Where in `sent` all of `audio` stands; an AssertionError says where they begin to differ."""
    at = sent.tobytes().find(audio[:64].tobytes())
    assert at >= 0, f"it begins with {audio[:64].tolist()}, which was not sent"
    wrong = np.flatnonzero(audio != sent[at : at + audio.size])
    assert not wrong.size, f"{wrong.size} of {audio.size} samples differ, from {wrong[0]} on; it begins at {at}"
    return at


def without_gaps(file: RecordingFile, audio: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.uint8]]]:
    """The pieces between the gaps, each with its first sample in the card's time."""
    at, pieces = 0, []
    for gap in file.gaps:
        pieces.append((at, audio[at : gap.start_sample]))
        at = gap.start_sample + gap.samples
    pieces.append((at, audio[at:]))
    return [(file.start.first_sample + at, piece) for at, piece in pieces if piece.size]


def test_two_cards_that_drift_apart_are_each_heard_bit_for_bit(tmp_path: Path) -> None:
    """A minute and more, in which the fast card gives more than a block more than the slow one."""
    assert {dahdi.channel(first).signalling for first in FIRST} == {Signalling.CLEAR}
    daemon = [range(first, first + 4) for first in FIRST]
    apart = [DahdiCard(f"apart{n}", (1,), [Port(first + 4)], law="alaw") for n, first in enumerate(FIRST)]
    talks = [first + CHANNELS - 1 for first in FIRST]
    with far_ends(CHANNELS, 75, PPM, -PPM) as ends:
        parts = [card_on(f"e{n}", *daemon[n], talks[n]) for n in (0, 1)]
        with box_on(tmp_path / "box", *parts, by_sound(5, 10)) as box, reading(*apart) as readers:
            ends.play(66)
            told = cards(box)
            assert not {code for code, _ in alarms(box)} & {"frames_lost", "card_stopped", "line_alarm", "clocks_apart"}
            box.stop()
        drifts = [-reader.card._time.drift * 1e6 for reader in readers]
    print(f"the cards' own time says {drifts} ppm")
    assert drifts == pytest.approx([PPM, -PPM], abs=10)
    assert [(card["lost_samples"], card["gaps"], card["counts"]["slips"]) for card in told] == [(0, 0, 0)] * 2
    for span in (0, 1):
        sent = sound(span, CHANNELS, 75)
        for place in range(4):
            ((file, audio),) = recordings(tmp_path / "box", 1 + 5 * span + place)
            assert (file.gaps, file.start.law, file.end and file.end.stop_reason) == ((), "alaw", StopReason.SHUTDOWN)
            part_of(sent[place], audio)
        ((file, audio),) = recordings(tmp_path / "box", 5 + 5 * span)
        assert (file.start.trigger, file.gaps) == (Trigger.VOX, ())
        place_of(sent[-1, TALK_S * S : (TALK_S + 5) * S], audio)


def test_spans_of_two_clocks_in_one_card_lose_nothing_and_the_user_is_told(tmp_path: Path) -> None:
    """The second span is slow by a block in four seconds: where it falls behind stands a marked gap, around which all
    is there."""
    with far_ends(CHANNELS, 40, 0, -5000) as ends:
        with box_on(tmp_path / "box", card_on("both", FIRST[0], FIRST[1], FIRST[1] + 1)) as box:
            ends.play(24)
            (card,) = cards(box)
            open_ = alarms(box)
            box.stop()
    assert ("clocks_apart", "card both") in open_
    assert open_["frames_lost", "card both"]["values"] == {"lines": "2-3", "reason": "late"}
    slips = card["counts"]["slips"]
    assert slips >= 4
    ((file, audio),) = recordings(tmp_path / "box", 1)
    assert file.gaps == ()
    part_of(sound(0, CHANNELS, 40)[0], audio)
    for line in (2, 3):
        ((file, audio),) = recordings(tmp_path / "box", line)
        assert len(file.gaps) >= slips and {(gap.samples, gap.reason) for gap in file.gaps} == {(160, "late")}
        part_of(sound(1, CHANNELS, 40)[line - 2], np.concatenate([piece for _, piece in without_gaps(file, audio)]))


def test_a_span_in_alarm_is_said_and_taken_back_while_the_others_go_on(tmp_path: Path) -> None:
    """Lines 1 to 3 share a card with a span that goes on, line 4; line 5 is on a card that has the bad span alone, and
    nothing else by which to tell the time."""
    first, second = FIRST
    parts = card_on("both", first, first + 1, first + 2, second), card_on("alone", first + 3)
    with far_ends(CHANNELS, 60, 0, 0) as ends, box_on(tmp_path / "box", *parts) as box:
        ends.play(8)
        began = ends.order(0, "yellow", True)
        wait_for("yellow", lambda: cards(box)[1]["spans"][0]["alarms"] == ["yellow"])
        ends.play(3, began)
        ended = ends.order(0, "yellow", False)
        wait_for("no yellow", lambda: cards(box)[1]["spans"][0]["alarms"] == [])
        assert [card["lost_samples"] for card in cards(box)] == [0, 0], "who is not heard can still be heard"
        ends.play(2, ended)
        short = [ends.order(0, "on", False)]
        ends.play(0.6, short[0])
        short.append(ends.order(0, "on", True))
        ends.play(2, short[1])
        assert ("frames_lost", "card both") in alarms(box)

        long = [ends.order(0, "on", False)]
        wait_for("the lines' alarm", lambda: ("line_alarm", "card both") in alarms(box))
        assert alarms(box)["line_alarm", "card both"]["values"] == {"count": 3, "lines": "1-3"}
        wait_for("the line's alarm", lambda: ("line_alarm", "card alone") in alarms(box))
        assert alarms(box)["line_alarm", "card alone"]["values"] == {"count": 1, "lines": "5"}
        assert cards(box)[1]["spans"][0]["alarms"] == ["red"]
        ends.play(6, long[0])
        long.append(ends.order(0, "on", True))
        wait_for("all well", lambda: not {code for code, _ in alarms(box)} & {"line_alarm", "card_stopped"})
        ends.play(5, long[1])
        box.stop()
    ((file, audio),) = recordings(tmp_path / "box", 4)
    assert file.gaps == ()
    part_of(sound(1, CHANNELS, 60)[0], audio)
    for line, place in ((1, 0), (2, 1), (3, 2), (5, 3)):
        sent = sound(0, CHANNELS, 60)[place]
        heard = [piece for file, audio in recordings(tmp_path / "box", line) for piece in without_gaps(file, audio)]
        places = [part_of(sent, piece) for _, piece in heard]
        assert len(heard) == 3
        for n, (span_off, span_on) in enumerate((short, long)):
            (before, piece), (after, _) = heard[n : n + 2]
            true, told = places[n + 1] - places[n] - piece.size, after - before - piece.size
            print(
                f"line {line}: a gap of {told} samples; {true} were lost, the span was silent for {span_on - span_off}"
            )
            assert abs(told - true) <= 320 and true == pytest.approx(span_on - span_off, abs=320)


def test_a_clock_that_is_put_right_makes_no_gap() -> None:
    """A time server's word may make CLOCK_MONOTONIC run a tenth fast; the card's samples are counted against the
    machine's oscillator."""
    card = DahdiCard("e0", (1,), [Port(FIRST[0])], law="alaw")
    with far_ends(CHANNELS, 40, 0, 0) as ends, reading(card) as (reader,):
        reader.wait_blocks(300)
        slew(11_000)
        try:
            reader.wait_blocks(300)
        finally:
            slew(10_000)
        assert reader.card.counts.lost_samples == reader.missing() == 0
        heard = reader.heard(1)
        assert ends.play(0) > 12 * S
    part_of(sound(0, CHANNELS, 40)[0], heard)


def slew(tick_us: int) -> None:
    """How long the kernel's clock lets a hundredth of a second be: 10,000 is right."""
    timex = bytearray(208)
    struct.pack_into("I", timex, 0, 0x4000)  # ADJ_TICK
    struct.pack_into("q", timex, 88, tick_us)
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.adjtimex((ctypes.c_char * len(timex)).from_buffer(timex))
    assert done >= 0, ctypes.get_errno()
