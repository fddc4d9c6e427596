"""The threshold wizard: from what a line measures in four states to its thresholds.

An installer lays the telephone down, lifts it, keeps silent in a call, and talks. Each step is measured (`measured`),
refused with a remedy where it contradicts what should have been done (`check`), and at the end thresholds are proposed
(`propose`), each with its reason. Values in, values out; where the samples come from is the business of `learning`.

- **off_hook_volts** stands between the lowest voltage on-hook and the highest off-hook, nearer to the latter: a
  telephone takes 5 to 15 V whatever the loop, while a battery sags under ringing and along the loop. A second
  telephone in parallel only lowers the voltage.
- **cut_volts** stays below half of the lowest voltage off-hook, so that this second telephone is not taken for a cut.
- **vox_level_dbm0** stands in the middle between 6 dB over the noise, which is taken where it is loudest (on-hook or in
  a silent call, the twentieth part of its 20 ms frames), and 10 dB under the active speech level of ITU-T P.56, where
  soft syllables are. Where there is no room for both margins it stands in the middle between noise and talk.
- **trigger** is the voltage where it falls clearly, else sound. Recording by key or always is somebody's decision, not
  the line's, and stays.

A card that measures no voltage has no off-hook step. Polarity does not matter: magnitudes are compared.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dsp.detectors import Detectors
from dsp.levels import FLOOR_DBM0, dbm0, expansion
from dsp.measure import measure
from firmware.cards import BLOCK, Law
from firmware.clock import RATE
from firmware.config import LineKind, RecordingConfig, Role, ToneZone, Trigger
from firmware.wire import Measurement, Proposal, Proposed, Spread, Verdict


class Step(StrEnum):
    ON_HOOK = "on_hook"
    OFF_HOOK = "off_hook"
    SILENCE = "silence"
    TALK = "talk"


Measured = Mapping[Step, Measurement]

NO_BATTERY_VOLTS = 5.0
LITTLE_BATTERY_VOLTS = 16.0
"""Behind a PBX of 24 V some 18 are left on-hook on a long line."""
DEAD_VOLTS = 1.0
LEAST_DROP_VOLTS = 3.0
CLEAR_DROP_VOLTS = 6.0
CLEAR_DROP_SHARE = 0.25
NEAR_OFF_HOOK = 0.35
"""Where the threshold stands between off-hook (0) and on-hook (1): 22 V for 8 and 48, 13 V for 7 and 24."""
UNSTEADY_VOLTS = 5.0
CUT_SHARE = 0.4
MOST_CUT_VOLTS = 3.0
STEP_VOLTS = 0.5
"""To which thresholds are rounded."""
HIGHEST_VOLTS = 60.0
LOWEST_VOX_DBM0 = -60.0
"""What the configuration allows."""
OVER_NOISE_DB, UNDER_TALK_DB = 6.0, 10.0
LEAST_GAP_DB = 6.0
"""With less between noise and talk sound tells nothing."""
FAINTEST_TALK_DBM0 = -50.0
LEAST_TALK_SHARE = 0.1
NOISY_DBM0, HUMMING_DBM0, RINGING_DBM0 = -45.0, -55.0, -50.0
QUIET_TALK_DBM0, TALK_DBM0, LOUD_TALK_DBM0 = -30.0, -20.0, -10.0
CLIPPED_SHARE = 0.0005
CLIPPED_GAIN_DB = -6

Severity = Literal["good", "note", "warning", "refused"]
WORDS: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "no_battery": (
        "refused", "{volts} V with the telephone down: there is no battery.",
        "Is the line cut, or the tap on another pair? Mend it and measure again.",
    ),
    "rang": ("refused", "The line rang while it was measured.", "Wait until it is still and measure again."),
    "unsteady": (
        "refused", "The voltage moved between {low} and {high} V while it was measured.",
        "Leave the telephone as it is for the whole time and measure again.",
    ),
    "volts_gone": (
        "refused", "The card gives no voltage for this line any more.", "Look at the card's alarms and measure again.",
    ),
    "volts_unchanged": (
        "refused", "On-hook and off-hook differ by only {drop} V ({on} and {off} V).",
        "Was the telephone lifted? Is the tap on the right pair? Measure again.",
    ),
    "volts_rose": (
        "refused", "The voltage rose from {on} to {off} V when the telephone was lifted.",
        "Perhaps it was off the hook in the first step. Begin again with the telephone down.",
    ),
    "line_dead": (
        "refused", "{off} V with the telephone lifted: the line is dead.",
        "It is cut or short-circuited. Check the wiring and measure again.",
    ),
    "laid_down": (
        "refused", "{volts} V is the voltage of a telephone that is down.",
        "Lift it, make the call and measure again while it lasts.",
    ),
    "tone_there": (
        "refused", "A tone of the exchange is heard.",
        "Call somebody who answers and keeps silent, then measure again.",
    ),
    "somebody_spoke": (
        "refused", "Somebody spoke, at {speech} dBm0.", "Measure again while both sides keep silent.",
    ),
    "nobody_spoke": (
        "refused", "Nobody spoke.", "Measure again while both sides talk as usual, all the time.",
    ),
    "between_hooks": (
        "good", "{above} V above a lifted telephone ({off} V), {below} V below one that is down ({on} V).", "",
    ),
    "under_off_hook": (
        "good", "Less than half of the {off} V off-hook: a second telephone in parallel is not taken for a cut.", "",
    ),
    "between_noise_and_talk": (
        "good", "{above} dB above the noise ({noise} dBm0), {below} dB below talk ({talk} dBm0).", "",
    ),
    "volts_tell": ("good", "The voltage falls by {drop} V when a telephone is lifted.", ""),
    "sound_tells": ("good", "No voltage tells on-hook from off-hook; sound does.", ""),
    "kept": ("note", "The line stays recorded as somebody chose ({trigger}).", ""),
    "cut_untold": (
        "note", "Off-hook only {off} V are left: a cut line cannot be told from a lifted telephone.", "",
    ),
    "volts_out_of_range": (
        "warning", "Off-hook {off} V: no threshold up to {highest} V tells it from on-hook.",
        "Is the voltage scaled as the driver says? Compare it with a meter.",
    ),
    "little_battery": (
        "warning", "On-hook only {volts} V.", "Is another telephone on the line lifted? Is it a very long loop?",
    ),
    "small_drop": (
        "warning", "The voltage falls by {drop} V only: it does not surely tell a lifted telephone.",
        "Look for a second telephone, a bad contact or a wrong pair. Until then the line is recorded by sound.",
    ),
    "hum": (
        "warning", "Hum of {hz} Hz at {hum} dBm0.", "Check the earth of box and PBX; keep the cable away from mains.",
    ),
    "noisy": ("warning", "Noise of {noise} dBm0 in silence.", "Check contacts, screen and earth of the pair."),
    "noise_near_talk": (
        "warning", "Only {gap} dB between noise and talk.",
        "Lower the noise or raise the gain, and learn again; sound alone starts recordings too often or too late.",
    ),
    "vox_impossible": (
        "warning", "Only {gap} dB between noise and talk: sound cannot tell a call on this line.",
        "Lower the noise first. The threshold for sound stays as it is.",
    ),
    "talk_quiet": (
        "warning", "Talk is quiet: {talk} dBm0.", "Raise the card's receive gain by about {gain} dB and learn again.",
    ),
    "talk_loud": (
        "warning", "Talk is loud: {talk} dBm0.", "Lower the card's receive gain by about {gain} dB and learn again.",
    ),
    "clipped": (
        "warning", "{percent} % of the samples are cut off: talk is too loud for the card.",
        "Lower the card's receive gain by about {gain} dB and learn again.",
    ),
    "all_good": ("good", "Volts, noise and talk are as they should be.", ""),
}  # fmt: skip
"""Every verdict: how grave it is, what was found, what to do."""


def verdict(code: str, **values: float | str) -> Verdict:
    """Numbers are rounded for reading: volts and decibels that matter to a tenth come as floats, levels as ints."""
    shown = {name: f"{value:.1f}" if isinstance(value, float) else str(value) for name, value in values.items()}
    severity, text, remedy = WORDS[code]
    return Verdict(
        code=code, severity=severity, values=shown, text=text.format_map(shown), remedy=remedy.format_map(shown)
    )


def steps(volts: bool) -> tuple[Step, ...]:
    """What is to be done on a line whose voltage is measured, or is not."""
    return tuple(step for step in Step if volts or step is not Step.OFF_HOOK)


# Measuring ------------------------------------------------------------------------------------------------------------


def measured(step: Step, law_bytes: NDArray[np.uint8], law: Law, zone: ToneZone, volts: Sequence[float]) -> Measurement:
    """Of `law_bytes[n]`, at least a second, and the loop voltages of the same time (none: the card has none)."""
    one = law_bytes[None]
    m = measure(one, law)
    frames = np.square(expansion(law)[law_bytes[: law_bytes.size // BLOCK * BLOCK]]).reshape(-1, BLOCK).mean(1)
    quiet, level, loud = np.percentile(dbm0(frames), (10, 50, 95)).tolist()
    detectors = Detectors(1, law, zone, ("progress",))
    heard = detectors.feed(one) + detectors.close()
    known = sorted(value for value in volts if value == value)
    return Measurement(
        step=step.value, seconds=round(law_bytes.size / RATE, 2),
        volts=Spread(low=_tenth(known[0]), mean=_tenth(sum(known) / len(known)), high=_tenth(known[-1]))
        if known else None,
        quiet_dbm0=_tenth(quiet), level_dbm0=_tenth(level), loud_dbm0=_tenth(loud),
        peak_dbm0=_tenth(float(m.peak_dbm0[0])), noise_dbm0=_level(m.noise_floor_dbm0), hum_dbm0=_level(m.hum_dbm0),
        hum_hz=int(m.hum_hz[0]), ringing_dbm0=_level(m.ringing_dbm0), clipped=float(m.clipped[0]),
        speech_dbm0=_level(m.speech_dbm0), speech_share=round(float(m.speech_share[0]), 3),
        tones=sorted({event.value for event in heard if event.kind == "progress"}),
    )  # fmt: skip


def _tenth(value: float) -> float:
    return round(value, 1)


def _level(values: NDArray[np.float32]) -> float | None:
    value = float(values[0])
    return _tenth(value) if value > FLOOR_DBM0 else None  # NaN is no level either.


# Was it what should have been done? -----------------------------------------------------------------------------------


def check(now: Measurement, before: Measured) -> Verdict | None:
    """Why this measurement is not that of its step, after those `before`; None where it is."""
    step = Step(now.step)
    if step is not Step.ON_HOOK and now.volts is None and (rest := before.get(Step.ON_HOOK)) and rest.volts is not None:
        return verdict("volts_gone")
    return CHECKS[step](now, before)


def _on_hook(now: Measurement, before: Measured) -> Verdict | None:
    if now.volts is not None:
        low, mean, high = _magnitudes(now.volts)
        if mean < NO_BATTERY_VOLTS:
            return verdict("no_battery", volts=mean)
        if high - low > UNSTEADY_VOLTS:
            return verdict("unsteady", low=low, high=high)
    if now.ringing_dbm0 is not None and now.ringing_dbm0 > RINGING_DBM0:
        return verdict("rang")
    return None


def _off_hook(now: Measurement, before: Measured) -> Verdict | None:
    rest = before.get(Step.ON_HOOK)
    if now.volts is None or rest is None or rest.volts is None:
        return None
    on, (low, off, high) = _magnitudes(rest.volts)[1], _magnitudes(now.volts)
    if off < DEAD_VOLTS:
        return verdict("line_dead", off=off)
    if off - on >= LEAST_DROP_VOLTS:
        return verdict("volts_rose", on=on, off=off)
    if on - off < LEAST_DROP_VOLTS or _magnitudes(rest.volts)[0] - high < LEAST_DROP_VOLTS:
        moved = high - low > UNSTEADY_VOLTS
        return verdict("unsteady", low=low, high=high) if moved else verdict(
            "volts_unchanged", on=on, off=off, drop=abs(on - off)
        )  # fmt: skip
    return None


def _silence(now: Measurement, before: Measured) -> Verdict | None:
    if (down := _laid_down(now, before)) is not None:
        return down
    if now.tones:
        return verdict("tone_there")
    if now.speech_dbm0 is not None and now.speech_dbm0 > FAINTEST_TALK_DBM0 and _stands_out(now, now.quiet_dbm0 + 12):
        return verdict("somebody_spoke", speech=round(now.speech_dbm0))
    return None


def _talk(now: Measurement, before: Measured) -> Verdict | None:
    if (down := _laid_down(now, before)) is not None:
        return down
    if now.speech_dbm0 is None or now.speech_dbm0 < FAINTEST_TALK_DBM0 or now.speech_share < LEAST_TALK_SHARE:
        return verdict("nobody_spoke")
    silence = before.get(Step.SILENCE)
    if not _stands_out(now, (now.quiet_dbm0 if silence is None else silence.level_dbm0) + 3):
        return verdict("nobody_spoke")
    return verdict("tone_there") if now.tones else None


CHECKS: Final[Mapping[Step, Callable[[Measurement, Measured], Verdict | None]]] = {
    Step.ON_HOOK: _on_hook,
    Step.OFF_HOOK: _off_hook,
    Step.SILENCE: _silence,
    Step.TALK: _talk,
}


def _stands_out(now: Measurement, over_dbm0: float) -> bool:
    return now.speech_dbm0 is not None and now.speech_dbm0 > over_dbm0 and now.loud_dbm0 > over_dbm0


def _laid_down(now: Measurement, before: Measured) -> Verdict | None:
    """A call is measured, but the telephone is not lifted."""
    rest, lifted = before.get(Step.ON_HOOK), before.get(Step.OFF_HOOK)
    if now.volts is None or rest is None or rest.volts is None or lifted is None or lifted.volts is None:
        return None
    middle = (_magnitudes(rest.volts)[0] + _magnitudes(lifted.volts)[2]) / 2
    low, mean, high = _magnitudes(now.volts)
    if mean < DEAD_VOLTS:
        return verdict("line_dead", off=mean)
    if mean > middle:
        return verdict("laid_down", volts=mean)
    return verdict("unsteady", low=low, high=high) if high > middle else None


def _magnitudes(volts: Spread) -> tuple[float, float, float]:
    """Lowest, mean, highest, whichever way the pair is connected."""
    if volts.low >= 0 or volts.high <= 0:
        ends = sorted((abs(volts.low), abs(volts.high)))
        return ends[0], abs(volts.mean), ends[1]
    return 0.0, abs(volts.mean), max(-volts.low, volts.high)


# Proposing ------------------------------------------------------------------------------------------------------------


def propose(done: Measured, now: RecordingConfig, kind: LineKind = "direct", role: Role = "tap") -> Proposal:
    """What the line should have, where it has `now`. `done` has passed `check`: all of `steps`."""
    proposed: list[Proposed] = []
    verdicts: list[Verdict] = []
    clear = kind != "handset" and _propose_volts(done, now, proposed, verdicts)
    _propose_vox(done, now, proposed, verdicts)
    # Of the box's own trunks and telephones the card itself tells the hook.
    told = clear or (role != "tap" and done[Step.ON_HOOK].volts is None)
    if now.trigger in ("key", "always"):
        verdicts.append(verdict("kept", trigger=now.trigger))
    elif told and not clear:
        pass
    else:
        trigger: Trigger = "voltage" if told else "vox"
        why = verdict("volts_tell", drop=_drop(done)) if told else verdict("sound_tells")
        proposed.insert(0, Proposed(key="trigger", now=now.trigger, value=trigger, why=why))
    gain_db = _examine_sound(done, verdicts)
    if not any(each.severity == "warning" for each in verdicts):
        verdicts.insert(0, verdict("all_good"))
    return Proposal(proposed=proposed, verdicts=verdicts, gain_db=gain_db)


def _drop(done: Measured) -> float:
    """From the lowest voltage on-hook to the highest in any state with the telephone lifted."""
    on, off = done[Step.ON_HOOK].volts, _off_volts(done)
    return 0.0 if on is None or off is None else _magnitudes(on)[0] - off[1]


def _off_volts(done: Measured) -> tuple[float, float] | None:
    """Lowest and highest with the telephone lifted."""
    seen = [
        _magnitudes(m.volts) for step in Step if step is not Step.ON_HOOK and (m := done.get(step)) and m.volts
    ]  # fmt: skip
    return (min(low for low, _, _ in seen), max(high for _, _, high in seen)) if seen else None


def _propose_volts(done: Measured, now: RecordingConfig, proposed: list[Proposed], verdicts: list[Verdict]) -> bool:
    """Thresholds of the loop; True where the voltage surely tells a lifted telephone."""
    rest, off = done[Step.ON_HOOK].volts, _off_volts(done)
    if rest is None or off is None:
        return False
    (on_low, on_mean, _), drop = _magnitudes(rest), _drop(done)
    if on_mean < LITTLE_BATTERY_VOLTS:
        verdicts.append(verdict("little_battery", volts=on_mean))
    clear = drop >= max(CLEAR_DROP_VOLTS, CLEAR_DROP_SHARE * on_low)
    if not clear:
        verdicts.append(verdict("small_drop", drop=max(drop, 0.0)))
    if drop < LEAST_DROP_VOLTS:
        return False
    threshold = min(_rounded(off[1] + NEAR_OFF_HOOK * drop), HIGHEST_VOLTS)
    if threshold <= off[1]:
        verdicts.append(verdict("volts_out_of_range", off=off[1], highest=HIGHEST_VOLTS))
        return False
    why = verdict("between_hooks", on=on_low, off=off[1], above=threshold - off[1], below=on_low - threshold)
    proposed.append(Proposed(key="off_hook_volts", now=now.off_hook_volts, value=threshold, why=why))
    cut = min(MOST_CUT_VOLTS, CUT_SHARE * off[0] // STEP_VOLTS * STEP_VOLTS)
    why = verdict("under_off_hook" if cut else "cut_untold", off=off[0])
    proposed.append(Proposed(key="cut_volts", now=now.cut_volts, value=cut, why=why))
    if not cut:
        verdicts.append(why)
    return clear


def _rounded(volts: float) -> float:
    return round(volts / STEP_VOLTS) * STEP_VOLTS


def _propose_vox(done: Measured, now: RecordingConfig, proposed: list[Proposed], verdicts: list[Verdict]) -> None:
    noise, talk = _noise(done), done[Step.TALK].speech_dbm0
    assert talk is not None, "a step of talk without talk has passed its check"
    if talk - noise < LEAST_GAP_DB:
        verdicts.append(verdict("vox_impossible", gap=round(max(talk - noise, 0.0))))
        return
    low, high = noise + OVER_NOISE_DB, talk - UNDER_TALK_DB
    if low > high:
        verdicts.append(verdict("noise_near_talk", gap=round(talk - noise)))
        low, high = noise, talk
    level = float(max(round((low + high) / 2), LOWEST_VOX_DBM0))
    why = verdict(
        "between_noise_and_talk", noise=round(noise), talk=round(talk), above=round(level - noise),
        below=round(talk - level),
    )  # fmt: skip
    proposed.append(Proposed(key="vox_level_dbm0", now=now.vox_level_dbm0, value=min(level, 0.0), why=why))


def _noise(done: Measured) -> float:
    """The loudest of what is not talk."""
    return max(done[step].loud_dbm0 for step in (Step.ON_HOOK, Step.SILENCE))


def _examine_sound(done: Measured, verdicts: list[Verdict]) -> int | None:
    """Hum, noise and the level of talk; by how much the gain should be changed."""
    silence, talk = done[Step.SILENCE], done[Step.TALK]
    hum = max(
        (done[step] for step in (Step.ON_HOOK, Step.SILENCE)),
        key=lambda m: FLOOR_DBM0 if m.hum_dbm0 is None else m.hum_dbm0,
    )
    if hum.hum_dbm0 is not None and hum.hum_dbm0 > HUMMING_DBM0:
        verdicts.append(verdict("hum", hz=hum.hum_hz, hum=round(hum.hum_dbm0)))
    if silence.level_dbm0 > NOISY_DBM0:
        verdicts.append(verdict("noisy", noise=round(silence.level_dbm0)))
    assert talk.speech_dbm0 is not None
    gain, level = round(TALK_DBM0 - talk.speech_dbm0), round(talk.speech_dbm0)
    if talk.clipped > CLIPPED_SHARE:
        gain = min(gain, CLIPPED_GAIN_DB)
        verdicts.append(verdict("clipped", percent=100 * talk.clipped, gain=-gain))
    elif talk.speech_dbm0 > LOUD_TALK_DBM0:
        verdicts.append(verdict("talk_loud", talk=level, gain=-gain))
    elif talk.speech_dbm0 < QUIET_TALK_DBM0:
        verdicts.append(verdict("talk_quiet", talk=level, gain=gain))
    else:
        return None
    return gain
