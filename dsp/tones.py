"""The tone bank: one matrix product for every tone that anything listens for.

Time is cut into hops of 80 samples (10 ms). For each hop and each frequency of the bank the product gives the
correlation of the hop with a sine and a cosine that run on through all hops (absolute phase), scaled so that a tone
of mean square P has the power P. Longer windows are sums over hops; the turn of the phase from hop to hop is the
distance of the tone from the bank's frequency, which is exact to a hertz or two where 10 ms alone would resolve 100.

Bank frequencies lie on a grid of 5 Hz so that the phase repeats every 20 hops: 20 small matrices stand ready and none
is turned at run time. Detectors correct for the distance between the grid and the frequency they want.

Four more rows are Legendre polynomials: what they take up is constant offset, ringing (25 Hz) and mains hum, and is
left out of the energy that tones are compared with.

One group of tones may be heard above whatever sounds below 480 Hz (`Above`): its rows are orthogonal to nine rows more
that with the Legendre rows span 40 to 480 Hz, every dial tone and the harmonics of hum, to some -30 dB; what these
take up is its energy `below`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

HOP: Final = 80
"""Samples of a hop: 10 ms."""
STEP: Final = 160
"""Samples of a step, in which all decisions are taken: two hops."""
HOP_S: Final = HOP / RATE
RING: Final = 16
"""Hops that the bank remembers: 160 ms."""
GRID_HZ: Final = 5
_PHASES: Final = RATE // HOP // GRID_HZ
_LOW: Final = 4
_BLOCK: Final = 64
"""Channels in one product of matrices."""
_FAINTEST: Final = np.float32(2 * 10 ** (-46 / 10))
"""No tone is looked for in less energy than this, two hops together."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Above:
    """Tones of group `group` are deaf to what sounds below 480 Hz. In place of their power the group's row holds what
    it is more than `share` of the energy that is not `below`."""

    group: str
    share: float


BELOW: Final = 9
"""Rows that hold what sounds below 480 Hz."""


class Bank:
    """Correlations of `channels` channels with a set of frequencies, hop by hop.

    `step()` takes what stands in `input`, float32 `[channels, 160]`. After it hop index 0 is the last hop of the step
    before, 1 and 2 are the two of this step, and these hold for each:

    - `re`, `im`: `[3, tones, channels]`, the correlations;
    - `power`: `[3, tones, channels]`, their squared length: mean square of a tone at the bank's frequency;
    - `energy`: `[3, channels]`, mean square of the hop without offset and hum;
    - `hops_together[group]`: `[3, channels]`, what all tones of a group hold.

    Of the two hops of this step together (sums, so twice the mean square):

    - `power_20ms` `[tones, channels]`, `energy_20ms` and `raw_20ms` (without offset only) `[channels]`;
    - `together[group]` `[channels]`: the same of a group;
    - `alone` `[tones, channels]`, `any_alone[tone]`: a tone holds its `share` of the energy or more. The first, cheap
      sign: while it is nowhere, whatever waits for that tone has nothing to do.

    The last 16 hops (160 ms) stand in two rings, which a detector that has flagged some channels reads for these
    channels alone, in one gather for all hops it wants:

    - `sums` `[17, rows, channels]`: row r is the cosine part (`re`) of tone r, row `tones + r` its sine part (`im`),
      the last four the Legendre rows;
    - `energies` `[17, 2 + groups + tones, channels]`: energy without offset and hum, without offset only, of each group
      (row `group_row[name]`; with `above` also `group_row["below"]`) and the power of each tone (row `power_row + r`);
    - `slots(n)`: where the last n hops stand in both, the oldest first. So
      `bank.sums[bank.slots(8)[:, None, None], rows[:, None], c]` is `[8, rows, c]`, and the phases in it turn from hop
      to hop by the distance of a tone from the bank's frequency only;
    - `flat`, both rings in one row: what is read often is cheapest to `take` from there, by tables made once with
      `places_of_sums` and `places_of_energies`, of which the present one is number `turn`.

    Dense decisions over all channels keep to the attributes above: they are views of the newest hops, in one piece
    and in the cache. All of them, views included, are of the last step only: read them anew after each `step`.

    Rows stand in the order in which their frequencies are asked for first; those that are expected alone come cheapest
    when they come first.
    """

    def __init__(
        self,
        channels: int,
        frequencies_hz: Iterable[float],
        groups_hz: Mapping[str, Iterable[float]] | None = None,
        above: Above | None = None,
    ) -> None:
        self.grid_hz = tuple(dict.fromkeys(round(f / GRID_HZ) * GRID_HZ for f in frequencies_hz))
        self._row = {f: i for i, f in enumerate(self.grid_hz)}
        tones = len(self.grid_hz)
        groups = {name: [self.row(f) for f in hz] for name, hz in (groups_hz or {}).items()}
        self.matrices = _matrices(np.array(self.grid_hz, np.float64), groups[above.group] if above else None)
        """`[20, rows, 80]`: hop n is multiplied with the matrix at n % 20."""
        rows = self.matrices.shape[1]
        blocks, width = _blocks(channels, rows)
        whole = np.zeros((width, STEP), np.float32)
        self.input = whole[:channels]
        self._hops = whole.reshape(width, 2, HOP)
        self._hops_first = whole.reshape(blocks, -1, 2, HOP).transpose(2, 0, 3, 1)
        self._matrices = [self.matrices[phase : phase + 2, None] for phase in range(0, _PHASES, 2)]
        if above:
            groups["below"] = []
        self.group_row = {name: 2 + i for i, name in enumerate(groups)}
        self.power_row = 2 + len(groups)
        self._gather = _gather(tones, rows, list(groups.values()))
        if above:
            below = self._gather[self.group_row["below"]]
            below[2 * tones : rows - _LOW] = 1
            self._gather[self.group_row[above.group]] -= np.float32(above.share) * (self._gather[0] - below)
        # Slot 0 repeats the last one, so that a step and the hop before it are neighbours at every turn of the ring.
        sums, energies = (1 + RING, rows, width), (1 + RING, self.power_row + tones, width)
        self.flat = np.zeros(prod(sums) + prod(energies), np.float32)
        self._sums = self.flat[: prod(sums)].reshape(sums)
        self._energies = self.flat[prod(sums) :].reshape(energies)
        self._energies[:] = 1e-12
        self.sums, self.energies = self._sums[..., :channels], self._energies[..., :channels]
        three = [slice(at, at + 3) for at in range(0, RING, 2)]
        self._turns = [_Turn(self, self._sums[of], self._energies[of], channels, blocks) for of in three]
        self._slots = 1 + (np.arange(RING)[:, None] + np.arange(RING)) % RING
        self._steps = -1
        # Squares of all correlations, and last the energy as it came.
        self._squares = np.zeros((2, rows + 1, width), np.float32)
        self._squares_of_sums, self._squares_of_x = self._squares[:, :-1], self._squares[:, -1]
        self._squares_re, self._squares_im = self._squares[:, :tones], self._squares[:, tones : 2 * tones]
        self._totals_20ms = np.zeros((self.power_row + tones, width), np.float32)
        self._energy_20ms = self._totals_20ms[0]
        totals_20ms = self._totals_20ms[:, :channels]
        self.energy_and_raw_20ms = totals_20ms[:2]
        self.energy_20ms, self.raw_20ms = totals_20ms[:2]
        self.together = {name: totals_20ms[row] for name, row in self.group_row.items()}
        self.power_20ms = totals_20ms[self.power_row :]
        self._share = np.full((tones, 1), np.inf, np.float32)
        self._least = np.empty(width, np.float32)
        self._alone = np.zeros((tones, width), np.bool_)
        self.alone = self._alone[:, :channels]
        self.any_alone: list[bool] = [False] * tones
        self._expect_first(0)
        self._show(self._turns[-1])

    def row(self, frequency_hz: float) -> int:
        """Row of the bank frequency nearest to `frequency_hz`, which must have been asked for."""
        return self._row[round(frequency_hz / GRID_HZ) * GRID_HZ]

    def expect(self, rows: Iterable[int], share: float) -> None:
        """Somebody listens for these rows where they hold `share` of the energy; `alone` goes by the least share."""
        for row in rows:
            self._share[row] = min(float(self._share[row, 0]), share)
        self._expect_first(1 + int(np.isfinite(self._share).nonzero()[0].max(initial=-1)))

    def _expect_first(self, rows: int) -> None:
        """Only the first `rows` of all are compared with the energy in each step."""
        self._expected = self._share[:rows]
        self._expected_power = self._totals_20ms[self.power_row : self.power_row + rows]
        self._expected_alone = self._alone[:rows]
        self._bar = np.empty(self._expected_alone.shape, np.float32)
        self._unexpected = [False] * (len(self.grid_hz) - rows)

    def slots(self, hops: int) -> NDArray[np.intp]:
        """`[hops]`: where the last `hops` (16 at most) stand in `sums` and `energies`, the oldest first."""
        newest: NDArray[np.intp] = self._slots[(2 * self._steps + 2) % RING, RING - hops :]
        return newest

    def places_of_sums(self, rows: NDArray[np.intp], hops: int) -> NDArray[np.intp]:
        """`[8, ..., hops]`: by the turn, where in `flat` the last `hops` of channel 0 stand in these rows of `sums`."""
        return self._places(0, self._sums.shape[1], rows, hops)

    def places_of_energies(self, rows: NDArray[np.intp], hops: int) -> NDArray[np.intp]:
        """The same for rows of `energies`."""
        return self._places(self._sums.size, self._energies.shape[1], rows, hops)

    def _places(self, first: int, height: int, rows: NDArray[np.intp], hops: int) -> NDArray[np.intp]:
        slots = self._slots[(2 * np.arange(RING // 2) + 2) % RING, RING - hops :]
        slots = slots.reshape(RING // 2, *(1,) * rows.ndim, hops)
        places: NDArray[np.intp] = first + self._sums.shape[2] * (height * slots + rows[..., None])
        return places

    @property
    def turn(self) -> int:
        """Number of the last step's turn in the ring, 0 to 7."""
        return self._steps % (RING // 2)

    def step(self) -> None:
        """Take the next 160 samples of every channel, which stand in `input`."""
        self._steps += 1
        turn = self._turns[self._steps % len(self._turns)]
        if turn is self._turns[0]:
            self._sums[0], self._energies[0] = self._sums[-1], self._energies[-1]
        np.matmul(self._matrices[self._steps % len(self._matrices)], self._hops_first, out=turn.sums_in_blocks)
        np.square(turn.sums_now, out=self._squares_of_sums)
        np.einsum("chn,chn->hc", self._hops, self._hops, out=self._squares_of_x)
        np.add(self._squares_re, self._squares_im, out=turn.power_now)
        np.matmul(self._gather, self._squares, out=turn.gathered_now)
        np.maximum(turn.energies_now, 1e-12, out=turn.energies_now)
        np.add(turn.totals_first, turn.totals_second, out=self._totals_20ms)
        if self._expected.size:
            np.maximum(self._energy_20ms, _FAINTEST, out=self._least)
            np.multiply(self._expected, self._least, out=self._bar)
            np.greater(self._expected_power, self._bar, out=self._expected_alone)
            found: list[bool] = np.logical_or.reduce(self._expected_alone, axis=1).tolist()
            self.any_alone = found + self._unexpected
        self._show(turn)

    def _show(self, turn: "_Turn") -> None:
        self.re, self.im, self.power = turn.re, turn.im, turn.power
        self.energy, self.hops_together = turn.energy, turn.hops_together

    def turns(self, rows: NDArray[np.intp], channels: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """How tones turn into each hop of this step from the one before it: cosine and sine parts `[2, ...]`, for rows
        and channels of any one shape (rows may have the two hops in front)."""
        hops = np.arange(3).reshape(3, *(1,) * max(channels.ndim, rows.ndim - 1))
        if rows.ndim > channels.ndim:
            re0, re1 = self.re[hops[:2], rows, channels], self.re[hops[1:], rows, channels]
            im0, im1 = self.im[hops[:2], rows, channels], self.im[hops[1:], rows, channels]
        else:
            re, im = self.re[hops, rows, channels], self.im[hops, rows, channels]
            re0, re1, im0, im1 = re[:2], re[1:], im[:2], im[1:]
        return re1 * re0 + im1 * im0, im1 * re0 - re1 * im0

    def offset_hz(self, rows: NDArray[np.intp], channels: NDArray[np.intp]) -> NDArray[np.float32]:
        """`[2, n]`: distance of tones from their rows' frequencies, Hz, by the turns into each hop: +-50 at most."""
        along, across = self.turns(rows, channels)
        turn: NDArray[np.float32] = np.arctan2(across, along)
        turn *= np.float32(1 / (2 * np.pi * HOP_S))
        return turn


class _Turn:
    """Views of one step and the hop before it in the rings, made once."""

    def __init__(self, bank: Bank, sums: Floats, totals: Floats, channels: int, blocks: int) -> None:
        tones, power_row = len(bank.grid_hz), bank.power_row
        self.sums_now = sums[1:]
        self.sums_in_blocks = sums[1:].reshape(2, sums.shape[1], blocks, -1).swapaxes(1, 2)
        self.totals_first, self.totals_second = totals[1:]
        self.gathered_now, self.energies_now, self.power_now = (
            totals[1:, :power_row],
            totals[1:, :2],
            totals[1:, power_row:],
        )
        sums, totals = sums[..., :channels], totals[..., :channels]
        self.re, self.im = sums[:, :tones], sums[:, tones : 2 * tones]
        self.energy, self.power = totals[:, 0], totals[:, power_row:]
        self.hops_together = {name: totals[:, row] for name, row in bank.group_row.items()}


def _blocks(channels: int, rows: int) -> tuple[int, int]:
    """In how many blocks of channels the products are made, and for how many channels in all: `channels` and some that
    stay silent.

    A small block stays in the first cache, and up to a million multiplications BLAS reads it where it lies. A channel's
    sums must not depend on how many others there are, nor on how many tones are looked for. BLAS has another kernel,
    which adds up in another order, for products of less than 100,000 multiplications, and for what is left of a row
    after a multiple of 16."""
    least = 100_001 // (rows * HOP) + 1
    blocks = -(-channels // max(_BLOCK, least))
    return blocks, blocks * -(-max(-(-channels // blocks), least) // 16) * 16


def _gather(tones: int, rows: int, groups: list[list[int]]) -> NDArray[np.float32]:
    """`[2 + groups, rows + 1]`: from squares to energy, raw energy and the power of each group."""
    gather = np.zeros((2 + len(groups), rows + 1), np.float32)
    gather[:2, -1] = 1 / HOP
    gather[0, rows - _LOW : -1] = -1
    gather[1, rows - _LOW] = -1
    for row, group in zip(gather[2:], groups, strict=True):
        row[group] = 1
        row[[tones + r for r in group]] = 1
    return gather


def _matrices(grid_hz: NDArray[np.float64], above: list[int] | None) -> NDArray[np.float32]:
    """`[20, rows, 80]`: cosine rows, sine rows (so that a tone turns forwards), what is below, Legendre rows."""
    n = np.arange(_PHASES * HOP).reshape(_PHASES, 1, HOP)
    angle = 2 * np.pi * grid_hz[:, None] / RATE * n
    scale = np.sqrt(2) / HOP
    legendre = np.linalg.qr(np.vander(np.linspace(-1, 1, HOP), _LOW, increasing=True))[0].T
    rows = np.concatenate([np.cos(angle) * scale, -np.sin(angle) * scale], axis=1)
    low = legendre
    if above is not None:
        low = np.concatenate([_below(legendre), legendre])
        deaf = [*above, *(len(grid_hz) + r for r in above)]
        rows[:, deaf] -= rows[:, deaf] @ low.T @ low
        # What is left of a row is as long as the whole one was.
        rows[:, deaf] /= np.sqrt(HOP * np.mean(np.sum(rows[:, deaf] ** 2, axis=2), axis=0))[:, None]
    fixed = np.broadcast_to(low / np.sqrt(HOP), (_PHASES, *low.shape))
    whole = np.concatenate([rows, fixed], axis=1).swapaxes(1, 2)
    # A sample of all rows in one piece: so BLAS takes it as it lies.
    return np.ascontiguousarray(whole, np.float32).swapaxes(1, 2)


def _below(legendre: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[9, 80]`: what tones of 40 to 480 Hz have in common beside the Legendre polynomials."""
    angle = 2 * np.pi * np.arange(40, 500, 10)[:, None] / RATE * np.arange(HOP)
    tones = np.concatenate([np.cos(angle), np.sin(angle)])
    tones -= tones @ legendre.T @ legendre
    rows: NDArray[np.float64] = np.linalg.svd(tones, full_matrices=False)[2][:BELOW]
    return rows
