"""Hooks out of voltages and sound out of levels: exact samples, every channel for itself."""

import numpy as np

from dsp.g711 import IDLE
from firmware.analysis import Analysis, BlindWatch, Heard, Hook, LoopWatch, VoxWatch, What
from firmware.cards import Block, ChannelStatus
from firmware.config import RecordingConfig

ON, OFF, CUT = 48.0, 8.5, 0.3
LINE = RecordingConfig(off_hook_volts=18, cut_volts=3, release_ms=400)


def run(volts: list[float], lines: int = 1, config: RecordingConfig = LINE) -> list[Heard]:
    """Feeds one voltage a block to every line."""
    watch = LoopWatch([config] * lines)
    heard: list[Heard] = []
    for block, value in enumerate(volts):
        heard += watch.feed(np.full(lines, value, np.float32), block * 160, (block + 1) * 160)
    return heard


def told(heard: list[Heard]) -> list[tuple[str, int]]:
    return [(h.what.value, h.sample) for h in heard]


def test_off_hook_is_dated_back_to_the_first_block_and_release_to_the_end_of_the_block() -> None:
    heard = run([ON] * 10 + [OFF] * 50 + [ON] * 30)
    assert told(heard) == [("off_hook", 1600), ("break", 61 * 160), ("released", 61 * 160)]
    assert heard[0].volts == 8.5 and heard[2].volts == 48.0


def test_one_block_of_another_class_is_not_off_hook() -> None:
    assert told(run([ON] * 10 + [OFF] + [ON] * 10)) == []


def test_a_line_that_is_off_hook_at_the_start_is_found_off_hook() -> None:
    assert told(run([OFF] * 5)) == [("off_hook", 0)]


def test_a_pair_connected_the_other_way_round_has_the_same_hook() -> None:
    analysis = Analysis("alaw", "cn", [LINE] * 2)
    law, status = np.full((2, 160), IDLE["alaw"], np.uint8), np.zeros(2, np.uint8)
    heard: list[Heard] = []
    for block, volts in enumerate([ON] * 10 + [OFF] * 10):
        heard += analysis.feed(Block(block * 160, law, status, np.array([volts, -volts], np.float32)))
    assert [(h.what, h.channel, h.volts) for h in heard if h.event is None] == [
        (What.OFF_HOOK, 0, OFF), (What.OFF_HOOK, 1, OFF),
    ]  # fmt: skip


def test_other_thresholds_hold_from_the_next_block_on_and_for_their_line_alone() -> None:
    """A PBX's 24 V look lifted below 30 V; below 14 V they are what they are."""
    watch = LoopWatch([RecordingConfig(off_hook_volts=30)] * 2)
    volts = np.full(2, 24, np.float32)
    heard = [each for block in range(10) for each in watch.feed(volts, block * 160, (block + 1) * 160)]
    assert [(h.what, h.channel) for h in heard] == [(What.OFF_HOOK, 0), (What.OFF_HOOK, 1)]
    watch.configure(1, RecordingConfig(off_hook_volts=14))
    heard = [each for block in range(10, 40) for each in watch.feed(volts, block * 160, (block + 1) * 160)]
    assert [(h.what, h.channel, h.sample) for h in heard] == [(What.BREAK, 1, 1760), (What.RELEASED, 1, 1760)]


def test_another_trigger_and_level_of_sound_hold_from_the_next_block_on() -> None:
    watch = VoxWatch([RecordingConfig()])
    level, seen = np.array([-40], np.float32), np.zeros(1, np.bool_)
    assert [watch.feed(level, (block + 1) * 160, seen) for block in range(4)] == [[]] * 4
    watch.configure(0, RecordingConfig(trigger="vox", vox_level_dbm0=-45))
    heard = [each for block in range(4, 8) for each in watch.feed(level, (block + 1) * 160, seen)]
    assert [(h.what, h.sample) for h in heard] == [(What.SOUND, 4 * 160)]
    watch.configure(0, RecordingConfig(trigger="vox", vox_level_dbm0=-35))
    heard = [each for block in range(8, 220) for each in watch.feed(level, (block + 1) * 160, seen)]
    assert [h.what for h in heard] == [What.SILENCE]


def test_pulses_are_counted_as_digits_and_are_no_release() -> None:
    """60 ms break, 40 ms make, 10 a second: `3`, a pause, `10` pulses for `0`."""
    digit = [ON] * 3 + [OFF] * 2
    heard = run([ON] * 5 + [OFF] * 30 + digit * 3 + [OFF] * 35 + digit * 10 + [OFF] * 30)
    pulses = [h for h in heard if h.what is What.PULSE]
    assert [(h.value, h.sample, h.end) for h in pulses] == [("3", 35 * 160, 48 * 160), ("0", 85 * 160, 133 * 160)]
    assert not [h for h in heard if h.what in (What.RELEASED, What.FLASH)]
    assert sum(h.what is What.BREAK for h in heard) == sum(h.what is What.MADE for h in heard) == 13


def test_a_flash_is_longer_than_a_pulse_and_shorter_than_a_release() -> None:
    heard = run([ON] * 5 + [OFF] * 20 + [ON] * 12 + [OFF] * 20)
    assert told(heard) == [("off_hook", 800), ("break", 26 * 160), ("made", 37 * 160), ("flash", 25 * 160)]
    assert heard[-1].end == 37 * 160


def test_cut_in_a_call_and_on_hook_and_mended() -> None:
    heard = run([ON] * 5 + [OFF] * 20 + [CUT] * 30 + [ON] * 10 + [CUT] * 30)
    assert told(heard) == [
        ("off_hook", 800), ("break", 26 * 160), ("cut", 26 * 160), ("battery", 55 * 160), ("cut", 65 * 160),
    ]  # fmt: skip


def test_a_short_loss_of_battery_in_a_call_is_a_flash() -> None:
    """Exchanges open the loop for some 300 ms when the far end hangs up."""
    assert What.CUT not in {h.what for h in run([ON] * 5 + [OFF] * 20 + [CUT] * 15 + [OFF] * 20)}


def test_unknown_voltages_change_nothing() -> None:
    nan = float("nan")
    assert told(run([ON] * 5 + [OFF] * 5 + [nan] * 50 + [OFF] * 5)) == [("off_hook", 800)]
    assert told(run([nan] * 20)) == []


def test_each_line_has_its_thresholds_and_release() -> None:
    watch = LoopWatch([LINE, RecordingConfig(off_hook_volts=5, release_ms=100)])
    heard: list[Heard] = []
    for block, volts in enumerate([ON] * 5 + [6.0] * 20 + [ON] * 40):
        heard += watch.feed(np.array([volts, volts - 2], np.float32), block * 160, (block + 1) * 160)
    assert [h.channel for h in heard if h.what is What.OFF_HOOK] == [0, 1]
    released = [h for h in heard if h.what is What.RELEASED]
    assert [(h.channel, h.sample) for h in released] == [(1, 26 * 160), (0, 26 * 160)]


def test_permuting_lines_permutes_answers() -> None:
    rng = np.random.default_rng(1)
    volts = rng.choice(np.array([ON, OFF, CUT], np.float32), (60, 16)).repeat(4, 0)
    order = rng.permutation(16)

    def heard(polls: np.ndarray) -> list[list[Heard]]:
        watch = LoopWatch([LINE] * 16)
        all_heard = [h for b, v in enumerate(polls) for h in watch.feed(v, b * 160, b * 160 + 160)]
        return [[h for h in all_heard if h.channel == channel] for channel in range(16)]

    def bare(many: list[Heard]) -> list[tuple[What, int, str]]:
        return [(h.what, h.sample, h.value) for h in many]

    straight, permuted = heard(volts), heard(volts[:, order])
    assert [bare(permuted[i]) for i in range(16)] == [bare(straight[c]) for c in order]
    assert sum(map(len, straight)) > 100


def test_a_card_that_reports_the_hook_itself() -> None:
    watch = LoopWatch([LINE])
    heard = watch.report(0, Hook.OFF, 1000) + watch.feed(None, 960, 1120) + watch.feed(None, 1120, 1280)
    heard += watch.feed(None, 1280, 1440)
    assert told(heard) == [("off_hook", 1000)]
    heard = watch.report(0, Hook.ON, 2000)
    for block in range(13, 40):
        heard += watch.feed(None, block * 160, block * 160 + 160)
    assert told(heard) == [("break", 2000), ("released", 2000)]


def test_vox_begins_with_two_loud_blocks_and_ends_after_the_hangover() -> None:
    config = RecordingConfig(trigger="vox", vox_level_dbm0=-38, hangover_s=0.2)
    watch = VoxWatch([config, LINE])
    levels = [-60.0] * 5 + [-20] + [-60] * 5 + [-20] * 3 + [-60] * 5 + [-37] + [-60] * 15
    heard: list[Heard] = []
    for block, level in enumerate(levels):
        heard += watch.feed(np.array([level, level], np.float32), (block + 1) * 160, np.zeros(2, np.bool_))
    assert [(h.what, h.channel, h.sample) for h in heard] == [
        (What.SOUND, 0, 11 * 160), (What.SILENCE, 0, 20 * 160 + 1600),
    ]  # fmt: skip


def test_a_voltage_that_says_nothing_is_not_looked_at() -> None:
    """A handset's cord on a port that measures: its 0 V are no cut."""
    assert told(run([0.0] * 200 + [ON] * 50 + [OFF] * 50, config=RecordingConfig(off_hook_volts=0, cut_volts=0))) == []


def blinded(volts: list[float], config: RecordingConfig = LINE, status: int = 0) -> list[tuple[str, int]]:
    loop = LoopWatch([config])
    watch, heard = BlindWatch([config], loop), []
    for block, value in enumerate(volts):
        polled = np.full(1, value, np.float32)
        loop.feed(polled, block * 160, block * 160 + 160)
        heard += watch.feed(polled, np.full(1, status, np.uint8), 160, block * 160 + 160)
    return told(heard)


def test_a_line_is_blind_when_nothing_showed_its_hook_for_two_seconds() -> None:
    nan = float("nan")
    assert blinded([nan] * 98 + [ON] * 5) == []
    assert blinded([nan] * 300 + [ON] * 5) == [("blind", 101 * 160), ("seen", 302 * 160)]
    assert blinded([nan] * 9, RecordingConfig(trigger="vox")) == [("blind", 160)], "sound needs no patience"
    assert blinded([nan] * 300, status=ChannelStatus.DOWN) == [], "a channel that is down has its own alarm"


def test_a_voltage_that_stopped_coming_tells_no_hook() -> None:
    nan = float("nan")
    assert blinded([ON] * 10 + [nan] * 499 + [ON] * 10) == []
    assert blinded([ON] * 10 + [nan] * 700 + [ON] * 10) == [("blind", 610 * 160), ("seen", 712 * 160)]
