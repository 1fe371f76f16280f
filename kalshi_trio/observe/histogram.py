"""A histogram of times in fixed memory, for percentiles over any number of rows.

A bucket is a power of two cut into 32 parts, read off the bits of the number itself (as HdrHistogram does): no
logarithm, and any percentile is right to 1.6 %. Minimum and maximum are exact.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]

_PARTS = 32
_SHIFT = 52 - 5
"""Of a double's 52 bits of mantissa the upper five stay."""
_ZERO = 1023 * _PARTS - 1
"""So that 1 ns falls into bucket 1, and all below into bucket 0."""
_SIZE = 64 * _PARTS + 1
_HELD = 4_096


class Histogram:
    """Times in nanoseconds, negative ones included; 33 kB, however many there are."""

    def __init__(self) -> None:
        self._counts = np.zeros(2 * _SIZE, np.int64)
        self._held: list[int] = []
        self._weights: list[int] = []
        self.least = math.inf
        self.most = -math.inf

    def add(self, value: int, weight: int = 1) -> None:
        """Counts one value `weight` times: 0.3 µs, since they are kept and counted thousands at a time."""
        self._held.append(value)
        self._weights.append(weight)
        if len(self._held) == _HELD:
            self._fold()

    def extend(self, values: Nanoseconds) -> None:
        """Counts each value once: some 6 ns a value."""
        if not len(values):
            return
        self._range(values)
        self._counts += np.bincount(_buckets(values), minlength=2 * _SIZE)

    def percentiles(self, *shares: float) -> list[float]:
        """For each share (0.5: the median) the value that so many do not exceed; NaN while there is none."""
        self._fold()
        sums = np.cumsum(self._counts)
        if not sums[-1]:
            return [math.nan] * len(shares)
        places = np.searchsorted(sums, np.ceil(np.array(shares) * sums[-1]).clip(1))
        return [min(max(_middle(int(place)), self.least), self.most) for place in places]

    def _fold(self) -> None:
        if not self._held:
            return
        values = np.array(self._held, np.int64)
        self._range(values)
        np.add.at(self._counts, _buckets(values), np.array(self._weights, np.int64))
        self._held.clear()
        self._weights.clear()

    def _range(self, values: Nanoseconds) -> None:
        self.least = min(self.least, float(values.min()))
        self.most = max(self.most, float(values.max()))


def _buckets(values: Nanoseconds) -> Nanoseconds:
    """Buckets in the order of values: negative ones count down from the middle."""
    sizes = (np.abs(values).astype(np.float64).view(np.int64) >> _SHIFT) - _ZERO
    np.maximum(sizes, 0, out=sizes)
    return np.where(values < 0, _SIZE - 1 - sizes, _SIZE + sizes)


def _middle(bucket: int) -> float:
    """The value that stands for a bucket."""
    size = bucket - _SIZE if bucket >= _SIZE else _SIZE - 1 - bucket
    if not size:
        return 0.0
    power, part = divmod(size - 1, _PARTS)
    middle = math.ldexp(1 + (part + 0.5) / _PARTS, power)
    return middle if bucket >= _SIZE else -middle
