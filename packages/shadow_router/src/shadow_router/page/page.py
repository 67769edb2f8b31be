"""The findings as HTML: one template for the page, its refreshed part and the file."""

import base64
import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shadow_router import __version__
from shadow_router.findings.findings import Asked, Findings
from shadow_router.page import charts, plots
from shadow_router.page.drift_panel import drift_panel
from shadow_router.page.gate_rows import gate_rows
from shadow_router.page.hour_panel import hour_panel
from shadow_router.page.label_panel import label_panel
from shadow_router.page.scales import shown_ratio, shown_share
from shadow_router.page.snippets import as_curl, as_label_curl, as_pytest, is_short
from shadow_router.settings import shown_url
from shadow_router.store import Discrepancy
from shadow_router.values import Fate
from shadow_router.verdict.client_share import first_clients
from shadow_router.verdict.gates import GATES
from shadow_router.verdict.verdict import LOSS_LIMIT, duration

_BODY_SHOWN = 8192
#: What the page fetches beside itself, with its content type.
ASSETS = {
    "/page/report.css": b"text/css; charset=utf-8",
    "/page/controls.css": b"text/css; charset=utf-8",
    "/page/report.js": b"text/javascript; charset=utf-8",
    "/page/controls.js": b"text/javascript; charset=utf-8",
    "/page/icon.svg": b"image/svg+xml",
}
#: For the page: our own style and script alone, none of them inline.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MEANINGS = {
    Fate.MATCH: "both versions gave the same labels and probabilities",
    Fate.WITHIN_TOLERANCE: "same labels, probabilities within the tolerance",
    Fate.PROBA_SHIFT: "same labels, probabilities further apart",
    Fate.LABEL_FLIP: "at least one label differs",
    Fate.CONTRACT_BREAK: "the answer's status, type or fields differ",
    Fate.CLIENT_ERROR_MATCH: "live found fault with the request, the shadow as well",
    Fate.CLIENT_ERROR_DIFFERS: "live found fault with it, the shadow did otherwise",
    Fate.SHADOW_ERROR: "the shadow failed or broke off",
    Fate.SHADOW_TIMEOUT: "the shadow did not answer in time",
    Fate.SHADOW_REFUSED: "nobody answered at the shadow's address",
    Fate.DROPPED_QUEUE: "the queue was full",
    Fate.DROPPED_BYTES: "the queue held too many bytes",
    Fate.DROPPED_SHED: "left out to protect live",
    Fate.DROPPED_BREAKER: "left out: the shadow only failed",
    Fate.DROPPED_SHUTDOWN: "still waiting when the router stopped",
    Fate.DROPPED_WRITER: "compared, but could not be stored",
    Fate.DROPPED_CRASH: "lost with a process that died",
    Fate.SKIPPED_UNSAMPLED: "not in the sample, or sent by the API's own page",
    Fate.SKIPPED_METHOD: "not a request that may be sent twice",
    Fate.SKIPPED_TOO_LARGE: "request or answer over the size cap",
    Fate.SKIPPED_REFUSED: "refused by the router: no whole request in time",
    Fate.SKIPPED_LIVE_FAILED: "live failed, or refused access or the moment",
    Fate.INTERNAL_ERROR: "a fault of the router itself",
}


@cache
def asset(name: str) -> str:
    """Return the text of a file that the page needs, by its name."""
    return (files("shadow_router.page") / "templates" / name).read_text(
        encoding="utf-8"
    )


@cache
def _file_policy() -> str:
    """Return the policy of a file: its one style, and nothing that runs."""
    digest = hashlib.sha256(asset("report.css").encode()).digest()
    source = base64.b64encode(digest).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{source}'; base-uri 'none'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("shadow_router.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda value: f"{value:,.0f}",
        "percent": _percent,
        "share": shown_share,
        "times": shown_ratio,
        "ms": _milliseconds,
        "moment": _moment,
        "body": _shown_body,
        "words": lambda name: name.replace("_", " "),
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}",
        "px": lambda value: f"{value:.1f}",
        "duration": duration,
    }
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


def _values(found: Findings, is_file: bool) -> dict[str, object]:
    summary, asked = found.summary, found.asked
    verdict, tallies = summary.verdict, summary.evidence.tallies
    confusion = charts.confusion(summary.confusion)
    asking = label_panel(summary.labels, verdict, confusion.labels, found.setting.order)
    asked_ids = () if is_file else {one.request_id for one in asking.questions}
    return {
        "s": summary,
        "f": found,
        "verdict": verdict,
        "versions": {role: summary.named_versions(role) for role in summary.versions},
        "version": __version__,
        "loss_limit": LOSS_LIMIT,
        "clients": {
            measure: first_clients(counts)
            for measure, counts in sorted(summary.evidence.clients.items())
            if counts
        },
        "gates": list(gate_rows(verdict, summary.evidence.inputs_per_s)),
        "bands": plots.bands(found.history, summary.rules, verdict.alpha / len(GATES)),
        "confusion": confusion,
        "asking": asking,
        "label_curl": _label_curl(found),
        "margins": charts.margin_bars(found.details.margins),
        "scatter": plots.scatter(found.diagnosis, asked.across, asked.up),
        "latencies": charts.latency_rows(summary.latencies),
        "curves": plots.latency_curves(tallies.sketches),
        "hour": hour_panel(found.setting.hour, summary.at),
        "drift": drift_panel(found.setting.drift),
        "waterfall": charts.waterfall(summary.accounts),
        "meanings": _MEANINGS,
        "discrepancies": [
            _browsed(one, found, asked_ids) for one in found.details.found.items
        ],
        "pages": -(-found.details.found.total // found.per_page),
        "is_file": is_file,
        "query": lambda **changes: _query(asked, **changes),
    }


def _query(asked: Asked, **changes: object) -> str:
    """Return the query that asks for the same, but for the changes."""
    wanted = asked.wanted
    fields: dict[str, object] = {
        "fate": wanted.fate,
        "live": wanted.live,
        "shadow": wanted.shadow,
        "page": asked.page,
        "across": asked.across,
        "up": asked.up,
    }
    fields |= changes
    kept = {name: value for name, value in fields.items() if value not in ("", 1)}
    return f"?{urlencode(kept)}" if kept else "?"


def _label_curl(found: Findings) -> str:
    wanted = found.summary.labels.wanted
    return as_label_curl(wanted[0], found.setting.private_url) if wanted else ""


def _browsed(
    item: Discrepancy, found: Findings, asked: Collection[str]
) -> dict[str, object]:
    # An id that stays the same between refreshes keeps an opened one open.
    text = f"{item.request_id}/{item.at_ns}".encode()
    snippets: list[tuple[str, str, str]] = []
    setting = found.setting
    # A request that is not kept whole cannot be sent again.
    is_whole = not found.summary.rules.withholds_inputs
    if setting.shadow_url and item.route and is_whole and is_short(item):
        live, shadow = map(shown_url, (setting.live_url, setting.shadow_url))
        both = f"{as_curl(item, live)}\n{as_curl(item, shadow)}"
        test = as_pytest(item, shadow, found.summary.rules)
        snippets = [("curl", "Copy as curl", both), ("pytest", "Copy as pytest", test)]
    key = hashlib.sha256(text).hexdigest()[:16]
    mark = {
        "fate": item.fate.value,
        "live": item.live_labels,
        "shadow": item.shadow_labels,
        "detail": item.reason,
    }
    known = found.summary.known_as(item)
    return {
        **{"key": key, "item": item, "snippets": snippets, "known": known},
        # Its summary does not say whose label is whose while somebody may label it.
        "is_asked": item.request_id in asked,
        "mark": json.dumps(mark),
    }


def render_page(found: Findings) -> str:
    """Return the page that refreshes itself."""
    return _render("report.html", found)


def render_fragment(found: Findings) -> str:
    """Return the part of the page that changes."""
    return _render("fragment.html", found)


def render_file(found: Findings) -> str:
    """Return one self-contained file, with nothing in it that runs."""
    # A file of this package, no stranger's text.
    style = Markup(asset("report.css"))
    return _render("report.html", found, style=style, policy=_file_policy())


def _render(name: str, found: Findings, style: str = "", policy: str = "") -> str:
    values = _values(found, is_file=bool(style))
    icon = Markup(asset("icon.svg"))
    template = _environment().get_template(name)
    return template.render({**values, "style": style, "policy": policy, "icon": icon})
