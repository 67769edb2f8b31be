"""The summary as JSON: one bundle for people, for CI and for the books."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from math import isfinite

from shadow_router.evidence import Tallies
from shadow_router.known import Known, expired_on
from shadow_router.latency import quantile_ms
from shadow_router.parts import Gate, Part
from shadow_router.store import Discrepancy, LatencySums
from shadow_router.summary import Summary, shown_version
from shadow_router.verdict import EXIT_CODES, Verdict


def as_json(summary: Summary) -> dict[str, object]:
    """Return the summary as plain values; bodies stay on the page."""
    verdict = summary.verdict
    return {
        "at": summary.at,
        "verdict": _verdict_json(verdict),
        "versions": {
            role: [version for version, _ in seen]
            for role, seen in summary.versions.items()
        },
        "digests": {
            role: [digest for _, digest in seen]
            for role, seen in summary.versions.items()
        },
        "rules": {
            "sha256": summary.rules.sha256,
            "all_sha256": list(summary.evidence.rules),
            **summary.rules.model_dump(mode="json"),
        },
        "received": summary.accounts.received,
        "sampled": summary.sampled,
        "compared": summary.compared,
        "open": summary.accounts.open,
        "loss": verdict.loss,
        "fates": {fate.value: n for fate, n in summary.accounts.fates.items()},
        "unique_inputs": summary.unique_inputs,
        "unique_flips": summary.unique_flips,
        "flip_rate": {
            "lower": verdict.flip_rate.lower,
            "upper": verdict.flip_rate.upper,
            "alpha": verdict.alpha,
        },
        "confusion": _pairs_json(summary.confusion),
        "evidence": _tallies_json(summary.evidence.tallies),
        # No gate draws random numbers, so nothing has to be seeded.
        "seeds": {},
        "latency_ms": [_latency_json(sums) for sums in summary.latencies],
        "known": _known_json(summary),
        "discrepancies": [
            {**_discrepancy_json(item), "known": _reason_of(summary.known_as(item))}
            for item in summary.discrepancies
        ],
    }


def _known_json(summary: Summary) -> list[dict[str, object]]:
    """Return every entry, with how many of the discrepancies shown it explains."""
    explained = Counter(map(summary.known_as, summary.discrepancies))
    return [
        {
            **entry.model_dump(mode="json"),
            "is_expired": entry.expires < summary.today,
            "explains": explained[entry],
        }
        for entry in summary.known
    ]


def _reason_of(known: Known | None) -> str | None:
    return known.reason if known else None


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    eta = verdict.eta
    return {
        "state": verdict.state.value,
        "exit_code": EXIT_CODES[verdict.state],
        "reason": verdict.reason,
        "alpha": verdict.alpha,
        "gates": [_gate_json(gate) for gate in verdict.gates],
        "absent": dict(verdict.absent),
        "eta": {"inputs": eta.inputs, "seconds": eta.seconds} if eta else None,
    }


def _gate_json(gate: Gate) -> dict[str, object]:
    return {
        "name": gate.name,
        "state": gate.state.value,
        "reason": gate.reason,
        "parts": [_part_json(part) for part in gate.parts],
    }


def _part_json(part: Part) -> dict[str, object]:
    return {
        "name": part.name,
        "state": part.state.value,
        "seen": part.seen,
        "lower": part.bounds.lower,
        # JSON has no infinity.
        "upper": part.bounds.upper if isfinite(part.bounds.upper) else None,
        "limit": part.limit,
        "n": part.n,
        "unit": part.unit,
    }


def _tallies_json(tallies: Tallies) -> dict[str, object]:
    """Return the sums the gates were judged by: enough to judge them again."""
    fields = dataclasses.asdict(tallies)
    fields["pairs"] = _pairs_json(tallies.pairs)
    fields["segments"] = {
        name: {"inputs": tried.trials, "flips": tried.count}
        for name, tried in sorted(tallies.segments.items())
    }
    return fields


def _pairs_json(pairs: Mapping[tuple[str, str], float]) -> list[dict[str, object]]:
    return [
        {"live": live, "shadow": shadow, "n": n}
        for (live, shadow), n in sorted(pairs.items())
    ]


def _latency_json(sums: LatencySums) -> dict[str, object]:
    return {
        "role": sums.role,
        "clock": sums.clock,
        "n": sum(sums.counts.values()),
        "p50": quantile_ms(sums.counts, 0.50),
        "p95": quantile_ms(sums.counts, 0.95),
        "p99": quantile_ms(sums.counts, 0.99),
    }


def _discrepancy_json(item: Discrepancy) -> dict[str, object]:
    return {
        "request_id": item.request_id,
        "at_ns": item.at_ns,
        "fate": item.fate.value,
        "reason": item.reason,
        "live_labels": item.live_labels,
        "shadow_labels": item.shadow_labels,
        "max_delta": item.max_delta,
        "live_margin": item.live_margin,
        "live_status": item.live_status,
        "shadow_status": item.shadow_status,
    }


def as_text(summary: Summary) -> str:
    """Return the verdict as a small table, a gate on each line."""
    verdict = summary.verdict
    lines = [f"{verdict.state.value}: {verdict.reason}", ""]
    lines += [f"{g.state.value:<13}{g.name:<16} {g.reason}" for g in verdict.gates]
    lines += [f"{'not asked':<13}{n:<16} {why}" for n, why in verdict.absent.items()]
    lines += _known_said(summary)
    rules = summary.rules
    lines += ["", f"rules: profile {rules.profile}, sha256 {rules.sha256[:16]}"]
    for role, seen in summary.versions.items():
        named = ", ".join(map(shown_version, seen)) or "not seen yet"
        lines.append(f"{role}: {named}")
    return "\n".join(lines)


def _known_said(summary: Summary) -> list[str]:
    if not summary.known:
        return []
    shown = summary.discrepancies
    known = sum(1 for item in shown if summary.known_as(item))
    expired = len(expired_on(summary.known, summary.today))
    return [
        "",
        f"known: {known} of the {len(shown)} newest discrepancies; "
        f"{expired} of {len(summary.known)} entries have expired; no gate asks",
    ]
