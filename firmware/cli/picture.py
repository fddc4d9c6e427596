"""The picture of `linekeep analyse --plot`: a panel a channel, with waveform, spectrogram and events in lanes.

Time runs to the right on one axis for all three; a panel is as wide whatever its length, so that a column of pixels is
from a fraction of a frame to many seconds. The spectrogram is a power spectrum of 32 ms with a Hann window, in dBm0 a
bin; where a column holds several frames it shows the loudest, so that a digit of 50 ms is still seen in an hour.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dsp import Event
from dsp.events import KINDS, RATE
from dsp.g711 import decode
from dsp.levels import FLOOR_DBM0, expansion
from firmware.cli.errors import Exit, Failure
from firmware.cli.heard import Heard, end_sample, summary

MOST_PANELS = 12
WIDTH: Final = 1800
LEFT, RIGHT = 110, 1690
"""First and one after the last column of pixels of the time axis."""
COLUMNS = RIGHT - LEFT
WAVE, SPECTRUM, LANE = 130, 280, 26
"""Heights."""
HEAD, AXIS, BETWEEN = 44, 30, 14
WINDOW: Final = 256
LOUD_DBM0, QUIET_DBM0 = -5.0, -65.0
"""Of a bin: the ends of the colours."""

PAPER, INK, SOFT, GRID = (255, 255, 255), (28, 32, 38), (110, 118, 128), (226, 230, 235)
WAVE_INK = (52, 101, 164)
STOPS = np.array(
    [(8, 10, 28), (40, 22, 92), (112, 30, 122), (188, 55, 100), (238, 105, 60), (252, 180, 60), (253, 250, 200)], float
)
"""Colours of the spectrogram from quiet to loud; lightness only rises, so that it reads in grey too."""
LANE_ORDER = ("class", "speech", "progress", "dtmf", "cid", *(k for k in KINDS if k not in {
    "class", "speech", "progress", "dtmf", "cid",
}))  # fmt: skip
LANE_INK = {
    "class": (52, 73, 94), "speech": (46, 134, 90), "progress": (196, 120, 20), "dtmf": (30, 100, 190),
    "cid": (20, 135, 150), "cng": (176, 48, 80), "answer_tone": (150, 40, 130), "calling_tone": (176, 90, 60),
    "v21": (110, 70, 170), "carrier": (95, 90, 30),
}  # fmt: skip
CJK = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
"""Drawn with where a name is not Latin and this font is installed (fonts-wqy-microhei)."""

Ink = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Place(NamedTuple):
    """A panel's top, and the samples that its axis spans."""

    top: int
    samples: int

    def x(self, sample: float) -> float:
        return LEFT + sample / self.samples * COLUMNS


def check(path: Path, channels: int) -> None:
    """Fails before anything is analysed where `draw` could only fail."""
    if channels > MOST_PANELS:
        raise Failure(Exit.REFUSED, f"{channels} channels do not fit one picture.", f"At most {MOST_PANELS} do.")
    if path.suffix.lower() != ".png":
        raise Failure(Exit.USAGE, f"{path}: the picture is a PNG.", "Give --plot a name that ends in .png.")
    if path.exists():
        raise Failure(Exit.REFUSED, f"{path} exists already.", "Name another file, or remove this one.")
    if not path.parent.is_dir():
        raise Failure(Exit.NOT_FOUND, f"{path.parent}: there is no such folder.", "Make it, or name another.")


def draw(results: Sequence[Heard], path: Path) -> None:
    """Draws every channel, the first on top, into a new file."""
    heights = [HEAD + WAVE + SPECTRUM + AXIS + LANE * len(lanes_of(one)) + 4 * BETWEEN for one in results]
    image = Image.new("RGB", (WIDTH, sum(heights) + BETWEEN), PAPER)
    top = 0
    for result, height in zip(results, heights, strict=True):
        _panel(image, result, top)
        top += height
    image.save(path, "PNG", optimize=True)


def lanes_of(result: Heard) -> list[str]:
    """The kinds that were heard, in their order."""
    kinds = {event.kind for event in result.events}
    return [kind for kind in LANE_ORDER if kind in kinds]


def _panel(image: Image.Image, result: Heard, top: int) -> None:
    pen = ImageDraw.Draw(image)
    law_bytes, law = result.channel.law_bytes, result.channel.law
    place = Place(top, law_bytes.size)
    # The font that Pillow carries has no µ.
    name, rest = Path(result.channel.name).name, summary(result).replace("µ", "u")
    head_ink = font(20, name)
    pen.text((LEFT, top + HEAD - 8), name, INK, head_ink, anchor="ls")
    at = LEFT + pen.textlength(name, head_ink) + 16
    pen.text((at, top + HEAD - 8), shortened(pen, rest, font(15, rest), WIDTH - at), SOFT, font(15, rest), anchor="ls")
    y = top + HEAD
    _waveform(image, pen, decode(law_bytes, law), y)
    y += WAVE + BETWEEN // 2
    image.paste(spectrogram(expansion(law)[law_bytes]), (LEFT, y))
    _frequency_axis(image, pen, y)
    y += SPECTRUM
    lanes_end = y + AXIS + LANE * len(lanes_of(result))
    _time_axis(pen, place, y, lanes_end)
    for i, kind in enumerate(lanes_of(result)):
        _lane(pen, place, result, kind, y + AXIS + i * LANE)


def _waveform(image: Image.Image, pen: ImageDraw.ImageDraw, linear: NDArray[np.int16], top: int) -> None:
    """Lowest and highest of each column; the scale is that of the file, and said."""
    edges = np.linspace(0, linear.size, COLUMNS + 1).astype(np.intp)[:-1]
    low, high = np.minimum.reduceat(linear, edges), np.maximum.reduceat(linear, edges)
    most = max(int(high.max()), -int(low.min()), 328)
    # A column reaches to the one before it, so that a few samples are a line and not dots.
    low[1:], high[1:] = np.minimum(low[1:], high[:-1]), np.maximum(high[1:], low[:-1])
    middle, half = top + WAVE // 2, WAVE // 2 - 2
    pixels = np.full((WAVE, COLUMNS, 3), 248, np.uint8)
    rows = np.arange(WAVE)[:, None] - WAVE // 2
    drawn = (rows >= np.floor(-high / most * half)) & (rows <= np.ceil(-low / most * half))
    pixels[drawn] = WAVE_INK
    image.paste(Image.fromarray(pixels), (LEFT, top))
    pen.text((LEFT - 8, top + 9), f"{100 * most / 32768:.0f} %", SOFT, font(13), anchor="rm")
    pen.text((LEFT - 8, middle), "0", SOFT, font(13), anchor="rm")


def spectrogram(x: NDArray[np.float32]) -> Image.Image:
    """`x` with 0 dBm0 at a mean square of 1: COLUMNS x SPECTRUM pixels, 0 Hz at the bottom, 4 kHz on top."""
    level = _levels(x)
    image = Image.fromarray(_colours((level[::-1] - QUIET_DBM0) / (LOUD_DBM0 - QUIET_DBM0)))
    return image.resize((COLUMNS, SPECTRUM), Image.Resampling.BILINEAR)


def _colours(share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Red, green and blue `[..., 3]` of 0 (quiet) to 1 (loud)."""
    at = np.linspace(0, 1, len(STOPS))
    return np.stack([np.interp(share, at, STOPS[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def _levels(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """dBm0 of each bin, `[bins, columns]`: the loudest frame of each column; as many columns as there are frames,
    COLUMNS at most."""
    padded = np.pad(x, (WINDOW // 2, WINDOW))
    columns = min(COLUMNS, max(1, x.size // (WINDOW // 8)))
    window = np.hanning(WINDOW).astype(np.float32)
    # A sine in the middle of a bin has its level there: mean square 1 (0 dBm0) gives (window.sum() ** 2) / 2.
    scale = np.float32(2 / np.square(window.sum()))
    loudest = np.empty((columns, WINDOW // 2 + 1), np.float32)
    edges = np.linspace(0, x.size, columns + 1)
    for c, (begin, end) in enumerate(pairwise(edges.tolist())):
        starts = np.arange(begin, max(end, begin + 1), WINDOW // 2).astype(np.intp)
        frames = padded[starts[:, None] + np.arange(WINDOW)] * window
        loudest[c] = (np.abs(np.fft.rfft(frames)) ** 2).max(0)
    level = 10 * np.log10(np.maximum(loudest.T * scale, 10 ** (FLOOR_DBM0 / 10)))
    shown: NDArray[np.float32] = level.astype(np.float32)
    return shown


def _frequency_axis(image: Image.Image, pen: ImageDraw.ImageDraw, top: int) -> None:
    """And the colours, with their levels."""
    for khz in range(5):
        y = top + SPECTRUM - 1 - khz * (SPECTRUM - 1) // 4
        pen.line((LEFT - 5, y, LEFT, y), SOFT)
        pen.text((LEFT - 8, y), f"{khz} kHz" if khz else "0", SOFT, font(13), anchor="rm")
    bar = _colours(np.linspace(1, 0, SPECTRUM))[:, None].repeat(12, 1)
    image.paste(Image.fromarray(bar), (RIGHT + 14, top))
    for level in range(round(LOUD_DBM0), round(QUIET_DBM0) - 1, -20):
        at = top + (LOUD_DBM0 - level) / (LOUD_DBM0 - QUIET_DBM0) * (SPECTRUM - 1)
        unit = " dBm0" if level == round(LOUD_DBM0) else ""
        pen.text((RIGHT + 32, at), f"{level}{unit}", SOFT, font(13), anchor="lm")


def _time_axis(pen: ImageDraw.ImageDraw, place: Place, top: int, lanes_end: int) -> None:
    seconds = place.samples / RATE
    step = _tick_s(seconds)
    count = int(seconds / step + 1e-9)
    for i in range(count + 1):
        x = place.x(i * step * RATE)
        pen.line((x, top, x, top + 5), SOFT)
        pen.line((x, top + AXIS, x, lanes_end), GRID)
        pen.text((x, top + 8), _tick_text(i * step, step), SOFT, font(13), anchor="ma")


def _tick_s(seconds: float) -> float:
    """A round step that gives some ten to twenty ticks."""
    for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600):
        if seconds / step <= 20:
            return step
    return 7200


def _tick_text(seconds: float, step: float) -> str:
    if step < 30:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# Lanes ---------------------------------------------------------------------------------------------------------------


def _lane(pen: ImageDraw.ImageDraw, place: Place, result: Heard, kind: str, top: int) -> None:
    """Bars, with their value in them where it fits, else behind them where there is room before the next one."""
    ink = LANE_INK[kind]
    pen.text((LEFT - 8, top + LANE / 2), kind.replace("_", " "), INK, font(14), anchor="rm")
    pen.line((LEFT, top + LANE - 1, RIGHT, top + LANE - 1), GRID)
    events = [event for event in result.events if event.kind == kind]
    bars = [
        (place.x(e.start_sample), max(place.x(end_sample(e, result.channel)), place.x(e.start_sample) + 2))
        for e in events
    ]
    for begin, end in bars:
        pen.rectangle((begin, top + 3, end - 1, top + LANE - 5), ink)
    for begin, room, inside, text in labels(pen, kind, events, bars):
        face = font(14, text)
        shown = shortened(pen, text, face, room)
        pen.text((begin, top + LANE / 2 - 1), shown, PAPER if inside else INK, face, anchor="lm")


def labels(
    pen: ImageDraw.ImageDraw, kind: str, events: Sequence[Event], bars: Sequence[tuple[float, float]]
) -> Iterable[tuple[float, float, bool, str]]:
    """(x, room, in the bar?, text) of what can be read. Digits too near each other are one label behind the last."""
    texts = [_label(event) for event in events]
    ends = [begin for begin, _ in bars[1:]] + [WIDTH - 4.0]
    run = ""
    for (begin, end), text, next_begin in zip(bars, texts, ends, strict=True):
        if kind == "speech":
            continue
        run += text
        width = pen.textlength(run, font(14, run))
        if end - begin - 8 >= pen.textlength(text, font(14, text)) and run == text:
            yield begin + 4, end - begin - 8, True, text
            run = ""
        elif next_begin - end - 8 >= (min(width, 60) if kind != "dtmf" else width):
            yield end + 4, next_begin - end - 8, False, run
            run = ""
        elif kind != "dtmf":
            run = ""


def _label(event: Event) -> str:
    return f"{event.value} {event.confidence:.0%}" if event.kind == "class" else event.value


def shortened(pen: ImageDraw.ImageDraw, text: str, face: Font, room: float) -> str:
    if pen.textlength(text, face) <= room:
        return text
    while text and pen.textlength(text + "…", face) > room:
        text = text[:-1]
    return text + "…" if text else ""


def font(size: int, text: str = "") -> Font:
    """The font that Pillow carries, or one that can write `text`."""
    return _cjk(size) if not text.isascii() and ord(max(text)) >= 0x2E80 and CJK.exists() else _latin(size)


@cache
def _latin(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _cjk(size: int) -> Font:
    return ImageFont.truetype(str(CJK), size)
