"""The summary as HTML: one template for the page, its refreshed part and the file."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shadow_router import __version__, charts
from shadow_router.records import Fate
from shadow_router.store import Discrepancy
from shadow_router.summary import Summary, shown_version
from shadow_router.verdict import LOSS_LIMIT

_BODY_SHOWN = 8192
_MEANINGS = {
    Fate.MATCH: "both versions gave the same labels and probabilities",
    Fate.WITHIN_TOLERANCE: "same labels, probabilities within the tolerance",
    Fate.PROBA_SHIFT: "same labels, probabilities further apart",
    Fate.LABEL_FLIP: "at least one label differs",
    Fate.CONTRACT_BREAK: "the answer's status, type or fields differ",
    Fate.SHADOW_ERROR: "the shadow failed or broke off",
    Fate.SHADOW_TIMEOUT: "the shadow did not answer in time",
    Fate.SHADOW_REFUSED: "no connection to the shadow",
    Fate.DROPPED_QUEUE: "the queue was full",
    Fate.DROPPED_BYTES: "the queue held too many bytes",
    Fate.DROPPED_SHED: "left out to protect live",
    Fate.DROPPED_SHUTDOWN: "still waiting when the router stopped",
    Fate.DROPPED_WRITER: "compared, but could not be stored",
    Fate.DROPPED_CRASH: "lost with a process that died",
    Fate.SKIPPED_UNSAMPLED: "not in the sample",
    Fate.SKIPPED_METHOD: "not a request that may be sent twice",
    Fate.SKIPPED_TOO_LARGE: "request or answer over the size cap",
    Fate.SKIPPED_REFUSED: "refused by the router: no whole request in time",
    Fate.SKIPPED_LIVE_FAILED: "live gave no answer to compare with",
    Fate.INTERNAL_ERROR: "a fault of the router itself",
}


def _static(name: str) -> str:
    return (files("shadow_router") / "templates" / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _static("report.css")


@cache
def _script() -> str:
    return _static("report.js")


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


@cache
def policy() -> str:
    """Return the content security policy: our one style and script, nothing else."""
    return (
        f"default-src 'none'; style-src {_source(_style())}; "
        f"script-src {_source(_script())}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("shadow_router"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["percent"] = _percent
    environment.filters["ms"] = _milliseconds
    environment.filters["moment"] = _moment
    environment.filters["body"] = _shown_body
    return environment


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.9999 or share == 1 else "> 99.99%"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} ms"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown_body(body: bytes | None) -> str:
    """Return a body as text for people: indented when it is JSON, and capped."""
    if body is None:
        return "no answer"
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "backslashreplace")
    if len(text) <= _BODY_SHOWN:
        return text
    return f"{text[:_BODY_SHOWN]}\n… {len(text) - _BODY_SHOWN:,} more characters"


def _values(summary: Summary) -> dict[str, object]:
    return {
        "s": summary,
        "verdict": summary.verdict,
        "versions": {
            role: [shown_version(one) for one in seen]
            for role, seen in summary.versions.items()
        },
        "version": __version__,
        "loss_limit": LOSS_LIMIT,
        "confusion": charts.confusion(summary.confusion),
        "latencies": charts.latency_rows(summary.latencies),
        "curves": charts.latency_curves(summary.latencies),
        "fates": charts.fate_bars(summary.accounts.fates),
        "meanings": _MEANINGS,
        "agreement": charts.agreement(summary),
        "discrepancies": [_browsed(item) for item in summary.discrepancies],
    }


def _browsed(item: Discrepancy) -> tuple[str, Discrepancy]:
    # An id that stays the same between refreshes keeps an opened one open.
    text = f"{item.request_id}/{item.at_ns}".encode()
    return hashlib.sha256(text).hexdigest()[:16], item


def render_page(summary: Summary) -> str:
    """Return the page that refreshes itself."""
    return _render("report.html", summary, script=Markup(_script()))


def render_fragment(summary: Summary) -> str:
    """Return the part of the page that changes."""
    return _render("fragment.html", summary, script=Markup(""))


def render_file(summary: Summary) -> str:
    """Return one self-contained file, with nothing in it that runs."""
    return _render("report.html", summary, script=Markup(""))


def _render(name: str, summary: Summary, script: Markup) -> str:
    # Both are files of this package, no stranger's text.
    values = {**_values(summary), "style": Markup(_style()), "script": script}
    return _environment().get_template(name).render(values)
