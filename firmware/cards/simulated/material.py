"""Real talk for simulated calls: recorded prompts in three languages, music on hold, Mandarin by espeak-ng.

Prompts and music come from Debian's Asterisk sound packages; Mandarin sentences are spoken once by espeak-ng and kept
in a cache folder. A conversation strings prompts of one language together: two parties take turns, pause, now and then
interrupt each other, and sometimes one is put on hold with music.
"""

import hashlib
import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr

from firmware.cards import CardError
from firmware.cards.simulated.plant import RATE, Signal, gain

_ASTERISK = Path("/usr/share/asterisk")
_PACKAGES = "asterisk-core-sounds-{en,fr,es}-wav asterisk-moh-opsound-wav"
_PROMPT_BYTES = range(24_000, 140_000)
"""Files of 1.5 to 9 s: shorter ones are words for putting numbers together."""
_NOT_TALK = ("beep", "tone", "silence", "tt-", "spy-")
_VOICES = ("cmn+m3", "cmn+f3")
_SENTENCES = (
    "你好,调度室,请讲。", "三号线路已经恢复供电,请确认开关位置。", "收到,我马上通知现场值班人员。",
    "今天下午两点的检修计划有没有变化?", "没有变化,按照原来的方案执行。", "请把操作票的编号再报一遍。",
    "编号是二零二六一一二二零零七。", "好的,我复诵一遍,请核对。", "现场风比较大,吊装作业要推迟半个小时。",
    "请注意安全,有情况随时联系我们。", "客户反映电话里有杂音,麻烦派人去看一下。",
    "维修人员已经出发,大概二十分钟以后到。",
    "上午的货已经装船,单据明天寄给你们。", "价格我们再商量一下,晚上给你答复。", "请问王主任在办公室吗?",
    "他正在开会,您方便留个电话吗?", "列车预计晚点十二分钟,请做好旅客解释工作。", "明白,我们会及时广播通知。",
    "水位比昨天高了三十公分,目前还在警戒线以下。", "继续观察,每小时报一次数据。",
    "对不起,刚才没有听清楚,请您再说一遍。", "行,那就先这样,再见。",
)  # fmt: skip


def can_speak() -> bool:
    """Is everything installed that the scenario's callers speak with?"""
    try:
        Material(Path()).check()
    except CardError:
        return False
    return True


class Material:
    """The clips, loaded as they are needed. `cache` is the folder for what espeak-ng said."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._clips: dict[str, Signal] = {}

    def check(self) -> None:
        """Raises CardError naming the package that is missing."""
        if not all(self._prompts.values()) or not self._music:
            raise CardError(
                f"The simulated callers have no recorded speech or music: too few sound files under {_ASTERISK}. "
                f'Remedy: apt-get install {_PACKAGES}, or scenario = "none" in the card\'s configuration'
            )
        if shutil.which("espeak-ng") is None:
            raise CardError(
                "The simulated callers cannot speak Mandarin: espeak-ng is not installed. "
                'Remedy: apt-get install espeak-ng, or scenario = "none" in the card\'s configuration'
            )

    def conversation(self, rng: np.random.Generator, samples: int, language: str) -> tuple[Signal, Signal]:
        """Two parties talking for `samples`: near and far, at some -18 dBm0 where they speak."""
        parties = np.zeros((2, samples), np.float32)
        at, who = int(rng.integers(0, RATE // 2)), int(rng.integers(0, 2))
        while at < samples:
            clip = self._clip(rng, language, who)[: samples - at]
            parties[who, at : at + clip.size] += clip
            at += clip.size + int(rng.uniform(-0.2, 1.0) * RATE)
            who ^= int(rng.random() < 0.75)
            at = max(at, 0)
        if samples > 25 * RATE and rng.random() < 0.15:
            self._hold(rng, parties)
        return parties[0], parties[1]

    def _hold(self, rng: np.random.Generator, parties: Signal) -> None:
        samples = int(rng.uniform(8, 15) * RATE)
        at = int(rng.integers(5 * RATE, parties.shape[1] - samples))
        parties[0, at : at + samples] = 0
        music = self._load(self._music[rng.integers(len(self._music))])
        begin = int(rng.integers(0, music.size - samples))
        parties[1, at : at + samples] = music[begin : begin + samples]

    def _clip(self, rng: np.random.Generator, language: str, who: int) -> Signal:
        if language == "zh":
            return self._load(self._spoken(_VOICES[who], _SENTENCES[rng.integers(len(_SENTENCES))]))
        prompts = self._prompts[language]
        # Two parties of one recorded speaker: each has her own half of the prompts.
        return self._load(prompts[2 * int(rng.integers(len(prompts) // 2)) + who])

    @cached_property
    def _prompts(self) -> dict[str, list[Path]]:
        return {
            language: [
                path
                for path in sorted(_ASTERISK.glob(f"sounds/{language}_*/*.wav"))
                if path.stat().st_size in _PROMPT_BYTES and not any(word in path.stem for word in _NOT_TALK)
            ]
            for language in ("en", "fr", "es")
        }

    @cached_property
    def _music(self) -> list[Path]:
        return sorted(_ASTERISK.glob("moh/*.wav"))

    def _spoken(self, voice: str, sentence: str) -> Path:
        name = hashlib.sha256(f"{voice} {sentence}".encode()).hexdigest()[:16]
        path = self._cache / f"{voice}-{name}.wav"
        if not path.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            done = subprocess.run(
                ["espeak-ng", "-v", voice, "-s", "170", "-w", str(part), sentence],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise CardError(f"espeak-ng could not speak as {voice}: {done.stderr.strip()}. Remedy: reinstall it")
            part.rename(path)
        return path

    def _load(self, path: Path) -> Signal:
        clip = self._clips.get(str(path))
        if clip is None:
            clip = self._clips[str(path)] = _normalised(path)
        return clip


def _normalised(path: Path) -> Signal:
    """The file at 8 kHz, its louder half at -18 dBm0."""
    audio, rate = soundfile.read(path, dtype="float32")
    audio = soxr.resample(audio, rate, RATE) if rate != RATE else audio
    frames = np.square(audio[: audio.size // 160 * 160]).reshape(-1, 160).mean(1)
    loud = float(np.mean(frames[frames >= np.median(frames)])) if frames.size else 1.0
    clip: Signal = (audio * (gain(-18.0) / np.sqrt(max(loud, 1e-9)))).astype(np.float32)
    return clip
