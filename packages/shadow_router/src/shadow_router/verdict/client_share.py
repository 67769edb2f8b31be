"""Whether the evidence is that of one client; pure, and no statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from shadow_router.rules.rules import Rules
from shadow_router.verdict.evidence import Evidence
from shadow_router.verdict.parts import Gate, State

NAME = "clients"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Largest:
    """The client that gave most of something."""

    client: str
    measure: str
    n: float
    total: float

    @property
    def share(self) -> float:
        """Return its part of the whole."""
        return self.n / self.total


def largest_shares(evidence: Evidence) -> list[Largest]:
    """Return who gave most of the unique inputs, and who of the requests."""
    return [
        _largest(measure, counts)
        for measure, counts in evidence.clients.items()
        if counts
    ]


def _largest(measure: str, counts: Mapping[str, float]) -> Largest:
    # Hashed by another key, the largest may be the same client once more.
    by_key: dict[str, float] = {}
    for client, n in counts.items():
        key, _, _ = client.partition(".")
        by_key[key] = max(by_key.get(key, 0), n)
    most = max(counts, key=lambda client: counts[client])
    return Largest(most, measure, sum(by_key.values()), sum(counts.values()))


def first_clients(counts: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return name, number and share of the largest clients, and of all others."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    shown = [(client, n, n / total) for client, n in ordered[:_SHOWN]]
    rest = sum(n for _, n in ordered[_SHOWN:])
    others = f"{len(counts) - _SHOWN:,} others"
    return [*shown, (others, rest, rest / total)] if rest else shown


def why_not_asked(evidence: Evidence, rules: Rules) -> str:
    """Return why nobody asks whose the evidence is, or an empty text."""
    if rules.client_share == 1:
        return "the rules allow one client to be all the evidence (client_share: 1)"
    return "" if largest_shares(evidence) else "no client has been seen"


def clients_gate(evidence: Evidence, rules: Rules) -> Gate:
    """Return whether no client gave more of the evidence than the rules allow."""
    found = largest_shares(evidence)
    most = max(found, key=lambda one: one.share)
    if most.share <= rules.client_share:
        said = " and ".join(f"{one.share:.0%} of the {one.measure}" for one in found)
        return Gate(NAME, State.PASS, f"no client gave more than {said}")
    wanted = ceil(most.n / rules.client_share - most.total)
    reason = (
        f"one client ({most.client}) gave {_percent(most.share)} of the "
        f"{most.measure}, at most {rules.client_share:.0%} may be one's "
        f"(client_share): {wanted:,} more from others are needed"
    )
    return Gate(NAME, State.INCONCLUSIVE, reason)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 0.99 or share == 1 else f"{share:.1%}"
