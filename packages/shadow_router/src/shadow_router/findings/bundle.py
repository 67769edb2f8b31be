"""The summary as JSON: one bundle for people, for CI and for the books."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from math import isfinite

from shadow_router.findings.findings import Findings
from shadow_router.findings.known import Known, expired_on
from shadow_router.findings.summary import Summary
from shadow_router.store import Discrepancy, LatencySums
from shadow_router.verdict.client_share import first_clients
from shadow_router.verdict.evidence import Evidence, Lanes, Tallies
from shadow_router.verdict.latency import quantile_ms
from shadow_router.verdict.parts import Gate, Part
from shadow_router.verdict.verdict import EXIT_CODES, Verdict
from shadow_router.watch.drift import Comparison, Drift

#: Raised when a field of the document changes its meaning or goes.
FORMAT = 1


def as_json(found: Findings) -> dict[str, object]:
    """Return the findings as plain values; bodies stay on the page."""
    summary = found.summary
    return {
        "format": FORMAT,
        **_summary_json(summary),
        "controls": _controls_json(found),
        "changes": [dataclasses.asdict(one) for one in found.setting.changes],
        "history": [dataclasses.asdict(one) for one in found.history],
        "margins": [dataclasses.asdict(one) for one in found.details.margins],
        "diagnosis": _diagnosis_json(found),
        "known": _known_json(found),
        "known_fault": summary.known_fault,
        "discrepancies": [
            {**_discrepancy_json(one), "known": _reason_of(summary.known_as(one))}
            for one in found.details.found.items
        ],
    }


def drift_json(drift: Drift | None) -> dict[str, object] | None:
    """Return what the last hour's traffic has moved by; the collector alone knows."""
    if drift is None:
        return None
    return {
        "begin": drift.begin,
        "end": drift.end,
        "table_rows": drift.table_rows,
        "comparisons": [_comparison_json(one) for one in drift.comparisons],
    }


def _comparison_json(one: Comparison) -> dict[str, object]:
    reference = one.reference
    return {
        "kind": reference.kind,
        "name": reference.name,
        "state": one.state,
        "rows": one.rows,
        "least_rows": one.least_rows,
        "psi": one.psi,
        "js": one.js,
        "ks": one.ks,
        "moved": one.moved,
        "limit": one.limit,
        "cells": list(reference.cells),
        "table": list(reference.shares),
        "live": list(one.shares),
    }


def _controls_json(found: Findings) -> dict[str, object] | None:
    controls = found.setting.controls
    if controls is None:
        return None
    return {
        "sample_rate": controls.sample_rate,
        "killed": controls.is_killed,
        "closed": controls.is_closed,
    }


def _diagnosis_json(found: Findings) -> dict[str, object]:
    diagnosis = found.diagnosis
    return {
        "sampled": {
            "flips": len(found.details.flips),
            "agreeing": len(found.details.agreeing),
        },
        "regions": [
            {"where": one.words, "covers": one.covers, "rate": one.rate}
            for one in diagnosis.regions
        ],
        "neighbours": [
            {
                "live": one.flip.live,
                "shadow": one.flip.shadow,
                "agreed": one.agreeing.live,
                "distance": one.distance,
                "steps": [
                    {"feature": name, "flip": ours, "neighbour": its}
                    for name, ours, its in one.steps
                ],
            }
            for one in diagnosis.neighbours
        ],
        "blame": found.setting.blame,
    }


def _summary_json(summary: Summary) -> dict[str, object]:
    verdict = summary.verdict
    return {
        "at": summary.at,
        "newest_at": summary.newest_at,
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
        "clients": _clients_json(summary.evidence),
        "lanes": _lanes_json(summary.evidence.lanes),
        # No gate draws random numbers; the lanes draw by these and the request.
        "seeds": {"lanes": list(summary.evidence.lanes.seeds)},
        "latency_ms": [_latency_json(sums) for sums in summary.latencies],
    }


def _known_json(found: Findings) -> list[dict[str, object]]:
    """Return every entry, with how many of the discrepancies shown it explains."""
    summary = found.summary
    explained = Counter(map(summary.known_as, found.details.found.items))
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
        "missing": dict(verdict.missing),
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


def _clients_json(evidence: Evidence) -> list[dict[str, object]]:
    """Return whose the evidence is, those with most first; the rest as one."""
    return [
        {"measure": measure, "client": name, "n": n, "share": share}
        for measure, counts in sorted(evidence.clients.items())
        for name, n, share in first_clients(counts)
    ]


def _lanes_json(lanes: Lanes) -> dict[str, object]:
    noise, mutants = lanes.live_against_live, lanes.mutants
    return {
        "live_against_live": noise
        and {"sent": noise.trials, "differences": noise.count},
        "mutants": mutants
        and {
            "tried": mutants.trials,
            "found": mutants.count,
            "missed": list(lanes.missed),
        },
    }


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
        "route": item.route,
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


def as_text(found: Findings) -> str:
    """Return the verdict as a small table, a gate on each line."""
    summary = found.summary
    verdict = summary.verdict
    lines = [f"{verdict.state.value}: {verdict.reason}", ""]
    lines += [f"{g.state.value:<13}{g.name:<16} {g.reason}" for g in verdict.gates]
    lines += [f"{'not asked':<13}{n:<16} {why}" for n, why in verdict.absent.items()]
    lines += _known_said(found)
    rules = summary.rules
    lines += ["", f"rules: profile {rules.profile}, sha256 {rules.sha256[:16]}"]
    for role in summary.versions:
        lines.append(f"{role}: {', '.join(summary.named_versions(role))}")
    return "\n".join(lines)


def _known_said(found: Findings) -> list[str]:
    summary = found.summary
    if not summary.known and not summary.known_fault:
        return []
    shown = found.details.found.items
    known = sum(1 for item in shown if summary.known_as(item))
    expired = len(expired_on(summary.known, summary.today))
    unread = f"known: not all can be read: {summary.known_fault}"
    return [
        "",
        f"known: {known} of the {len(shown)} newest discrepancies; "
        f"{expired} of {len(summary.known)} entries have expired; no gate asks",
        *([unread] if summary.known_fault else []),
    ]
