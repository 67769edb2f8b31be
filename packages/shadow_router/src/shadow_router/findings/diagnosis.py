"""Where labels flip, said in words: regions of inputs, and the nearest that agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt

from shadow_router.findings.features import Table, table_of
from shadow_router.findings.tree import Condition, Leaf, grow
from shadow_router.store import Sample

#: Fewer sampled flips than this say nothing of where flips live.
LEAST_FLIPS = 5
_NEIGHBOURS = 4
#: A region with a smaller share of the flips is not worth a sentence.
_LEAST_COVER = 0.05


@dataclass(frozen=True, slots=True)
class Region:
    """Inputs among which flips are common, and how common."""

    words: str
    #: Share of all flips that lie inside.
    covers: float
    #: Estimated share of the inputs inside whose label flips.
    rate: float
    #: Between which values each feature lies, by its index.
    limits: Mapping[int, tuple[float, float]]

    def around(self, feature: int) -> tuple[float, float]:
        """Return between which values a feature lies."""
        return self.limits.get(feature, (-inf, inf))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A flip beside the input nearest to it on which the versions agree."""

    flip: Sample
    agreeing: Sample
    #: In standard deviations of the features, root of the sum of squares.
    distance: float
    #: (feature, value of the flip, value of the neighbour), largest step first.
    steps: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the sampled inputs say."""

    table: Table
    regions: tuple[Region, ...]
    neighbours: tuple[Neighbour, ...]
    #: The two features that tell most, as indices; empty without features.
    axes: tuple[int, ...]


@lru_cache(maxsize=2)
def diagnose(
    flips: tuple[Sample, ...],
    agreeing: tuple[Sample, ...],
    all_flips: int,
    all_inputs: int,
) -> Diagnosis:
    """
    Return where the flips live.

    Parameters
    ----------
    flips, agreeing : tuple of Sample
        Even samples of the inputs that flip and of those that do not.
    all_flips, all_inputs : int
        How many unique inputs flipped, and how many there were.
    """
    table = table_of([*flips, *agreeing])
    hits = [sample.is_flip for sample in table.samples]
    if not table.names or not table.rows:
        return Diagnosis(table, (), (), ())
    leaves: list[Leaf] = []
    if sum(hits) >= LEAST_FLIPS and not all(hits):
        leaves = grow(table.rows, hits, _balanced(hits))
    regions = _regions(table, hits, leaves, all_flips, all_inputs)
    return Diagnosis(table, regions, _neighbours(table, hits), _axes(table, regions))


def _balanced(hits: Sequence[bool]) -> list[float]:
    """Return weights by which both classes weigh the same."""
    n, found = len(hits), sum(hits)
    return [n / (2 * found) if hit else n / (2 * (n - found)) for hit in hits]


def _regions(
    table: Table,
    hits: Sequence[bool],
    leaves: Sequence[Leaf],
    all_flips: int,
    all_inputs: int,
) -> tuple[Region, ...]:
    found = sum(hits)
    rest = len(hits) - found
    # The totals were read a moment before the sample, which may have grown since.
    all_flips, agreeing = max(all_flips, found), max(all_inputs - all_flips, rest)
    regions = []
    for leaf in leaves:
        inside = sum(hits[i] for i in leaf.members)
        covers = inside / found
        beside = (len(leaf.members) - inside) / rest
        # Flips must be more at home here than inputs that agree.
        if not leaf.conditions or covers <= max(beside, _LEAST_COVER):
            continue
        flips, others = covers * all_flips, beside * agreeing
        limits = _limits(leaf.conditions)
        said = (_interval(table.names[at], *both) for at, both in limits.items())
        rate = flips / (flips + others)
        regions.append(Region(" and ".join(said), covers, rate, limits))
    return tuple(sorted(regions, key=lambda region: -region.covers))


def _limits(conditions: Sequence[Condition]) -> dict[int, tuple[float, float]]:
    """Return all conditions on one feature as one interval."""
    limits: dict[int, tuple[float, float]] = {}
    for one in conditions:
        low, high = limits.get(one.feature, (-inf, inf))
        if one.is_above:
            low = max(low, one.threshold)
        else:
            high = min(high, one.threshold)
        limits[one.feature] = (low, high)
    return limits


def _interval(name: str, low: float, high: float) -> str:
    field, is_value, value = name.partition(" = ")
    if is_value:
        return name if low > -inf else f"{field} ≠ {value}"
    if low == -inf:
        return f"{name} ≤ {high:.4g}"
    return f"{name} > {low:.4g}" if high == inf else f"{low:.4g} < {name} ≤ {high:.4g}"


def _scales(rows: Sequence[Sequence[float]]) -> list[float]:
    scales = []
    for column in zip(*rows, strict=True):
        mean = sum(column) / len(column)
        spread = sqrt(sum((x - mean) ** 2 for x in column) / len(column))
        scales.append(spread or 1.0)
    return scales


def _neighbours(table: Table, hits: Sequence[bool]) -> tuple[Neighbour, ...]:
    scales = _scales(table.rows)
    agreeing = [i for i, hit in enumerate(hits) if not hit]
    if not agreeing:
        return ()
    flips = sorted(
        (i for i, hit in enumerate(hits) if hit),
        key=lambda i: -(table.samples[i].margin or 0.0),
    )
    return tuple(_nearest(table, i, agreeing, scales) for i in flips[:_NEIGHBOURS])


def _nearest(
    table: Table, flip: int, agreeing: Sequence[int], scales: Sequence[float]
) -> Neighbour:
    row = table.rows[flip]

    def squares(other: int) -> list[float]:
        pairs = zip(row, table.rows[other], scales, strict=True)
        return [((a - b) / scale) ** 2 for a, b, scale in pairs]

    nearest = min(agreeing, key=lambda other: sum(squares(other)))
    apart = squares(nearest)
    order = sorted(range(len(row)), key=lambda at: -apart[at])
    its = table.rows[nearest]
    steps = tuple((table.names[at], row[at], its[at]) for at in order if apart[at])
    samples = table.samples
    return Neighbour(samples[flip], samples[nearest], sqrt(sum(apart)), steps)


def _axes(table: Table, regions: Sequence[Region]) -> tuple[int, ...]:
    """Return the features that the largest region asks first, or the first ones."""
    asked = [feature for region in regions for feature in region.limits]
    numeric = [at for at, name in enumerate(table.names) if " = " not in name]
    ordered = dict.fromkeys([*asked, *(numeric or range(len(table.names)))])
    return tuple(ordered)[:2]
