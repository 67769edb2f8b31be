"""From an exchange and the shadow's answer to a comparison; pure, nothing redacted."""

from datetime import UTC, date, datetime

from shadow_router.compare.answers import observation_of
from shadow_router.compare.compare import compare
from shadow_router.compare.inputs import evidence_of
from shadow_router.rules.rules import Rules
from shadow_router.values import (
    Comparison,
    Difference,
    Exchange,
    Fate,
    Observation,
)


def live_observation(exchange: Exchange) -> Observation:
    """Return live's side of an exchange."""
    headers, body = exchange.live_headers, exchange.live_body
    return observation_of(exchange.live_status, headers, body, exchange.live_ms)


def comparison_of(
    router_id: str,
    exchange: Exchange,
    answer: Observation | Difference,
    rules: Rules,
    key: bytes = b"",
) -> Comparison:
    """Return an exchange with the shadow's answer to it, compared; nothing redacted."""
    live = live_observation(exchange)
    if isinstance(answer, Difference):
        shadow, difference = None, answer
    else:
        shadow, difference = answer, compare(live, answer, rules, _day(exchange, rules))
    if not exchange.may_be_evidence:
        difference = _counted_apart(difference)
    evidence = evidence_of(exchange, difference, rules, key)
    return Comparison(router_id, exchange, live, shadow, difference, *evidence)


def _counted_apart(difference: Difference) -> Difference:
    """Return what is said of a request with which live found fault."""
    is_same = difference.fate is Fate.MATCH
    fate = Fate.CLIENT_ERROR_MATCH if is_same else Fate.CLIENT_ERROR_DIFFERS
    return difference._replace(fate=fate)


def _day(exchange: Exchange, rules: Rules) -> date:
    """Return the day of an exchange, where it matters: telling it takes a while."""
    if not rules.ignore:
        return date.min
    return datetime.fromtimestamp(exchange.at_ns / 1e9, UTC).date()


def failed(
    router_id: str, exchange: Exchange | None, difference: Difference
) -> Comparison:
    """Return what is kept of an exchange on which we failed: when it was, no more."""
    at_ns = exchange.at_ns if exchange else 0
    # Whatever failed may have been the redaction, and may fail again.
    nothing = Exchange("", at_ns, "", b"", (), b"", 0, {}, 0.0, b"")
    live = live_observation(nothing)
    return Comparison(router_id, nothing, live, None, difference, b"")
