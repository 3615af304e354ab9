"""Figures: what was measured, and beside what."""

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One path, ours beside a bare driver's.

    Attributes:
        path: What was done.
        ours, bare: Operations a second, milliseconds, or a share.
        unit: `/s`, `ms` or `%`.
        beside: What `bare` is.
    """

    path: str
    ours: float
    bare: float
    unit: str
    beside: str

    @property
    def ratio(self) -> float:
        """Ours over the bare one's: above 1 is faster for `/s`, slower for `ms`, dearer for `%`."""
        return self.ours / self.bare if self.bare else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle one of `values`."""
    return statistics.median(values)
