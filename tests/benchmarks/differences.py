"""Whether two kinds of answers can be told apart by how long they take.

Samples are taken in rounds, each kind once a round in random order, so that whatever else the
machine does falls on all alike. Three estimators, none of which assumes a distribution:

- the median of the differences within the rounds, with a 95% interval by order statistics,
- the difference of the fastest tenths, where the noise that only ever adds is least,
- how often one of a kind takes longer than one of the other: 0.5 is not at all (Mann-Whitney).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

_TENTH = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """How much longer one kind takes than another, in microseconds."""

    median: float
    low: float
    high: float
    fastest_tenth: float
    longer_share: float

    def can_be_told(self, tolerance: float) -> bool:
        """Tell whether the difference is certain and larger than `tolerance`."""
        return self.low > tolerance or self.high < -tolerance


def difference(kind: Sequence[float], other: Sequence[float]) -> Difference:
    """Compare samples of two kinds, in microseconds, taken in the same rounds."""
    paired = sorted(one - two for one, two in zip(kind, other, strict=True))
    count = len(paired)
    # The ranks between which the median lies in 95 of 100 cases, whatever the distribution.
    reach = 1.96 * sqrt(count) / 2
    low, high = max(0, int(count / 2 - reach)), min(count - 1, int(count / 2 + reach))
    return Difference(
        median=median(paired),
        low=paired[low],
        high=paired[high],
        fastest_tenth=_tenth(kind) - _tenth(other),
        longer_share=_longer_share(kind, other),
    )


def _tenth(samples: Sequence[float]) -> float:
    return sorted(samples)[len(samples) // _TENTH]


def _longer_share(kind: Sequence[float], other: Sequence[float]) -> float:
    """The U of Mann and Whitney, divided by the number of pairs."""
    ordered = sorted([(value, True) for value in kind] + [(value, False) for value in other])
    rank_sum = sum(rank for rank, (_, ours) in enumerate(ordered, start=1) if ours)
    count = len(kind)
    return (rank_sum - count * (count + 1) / 2) / (count * len(other))
