"""The tables, and nothing that happens to them."""

from typing import Any

import sqlalchemy as sa

#: Raised with every change of the tables below; `migrating` brings older ones along.
LAYOUT = 4


def without_nul(value: Any) -> Any:
    """Return the value, a text without NUL; both engines then hold the same."""
    if type(value) is str and "\0" in value:
        return value.replace("\0", "\ufffd")
    return value


class Words(sa.TypeDecorator[str]):
    """Text from outside: PostgreSQL takes no NUL, which JSON may well hold."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Return the text as it can be kept."""
        kept: str | None = without_nul(value)
        return kept


MARGIN_BINS = 20

metadata = sa.MetaData()
_text, _integer, _float = Words, sa.BigInteger, sa.Float
# SQLite takes INTEGER alone, which holds 64 bits there, for the row's own number.
_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("router_id", _text, primary_key=True),
    # Which process decided: a router's own fates arrive when it is finalised.
    sa.Column("side", _text, primary_key=True),
    sa.Column("fate", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
)
flows = sa.Table(
    "flows",
    metadata,
    sa.Column("router_id", _text, primary_key=True),
    sa.Column("taken", _integer, nullable=False),
    sa.Column("open", _integer, nullable=False),
    sa.Column("dropped_writer", _integer, nullable=False),
)
finals = sa.Table(
    "finals",
    metadata,
    sa.Column("router_id", _text, primary_key=True),
    sa.Column("received", _integer, nullable=False),
)
# What each router's file said at the moment of a commit, for those who audit or report
# from another machine: only there when several share a store.
pages = sa.Table(
    "pages",
    metadata,
    sa.Column("router_id", _text, primary_key=True),
    sa.Column("at_ns", _integer, nullable=False),
    # JSON, by the names of `books.Page`.
    sa.Column("page", _text, nullable=False),
)
# The last batch of each writing process: after a broken connection this alone tells
# whether a commit went through.
writers = sa.Table(
    "writers",
    metadata,
    sa.Column("writer_id", _text, primary_key=True),
    sa.Column("batch", _integer, nullable=False),
)
comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=False),
    sa.Column("router_id", _text, nullable=False),
    sa.Column("request_id", _text, nullable=False),
    sa.Column("at_ns", _integer, nullable=False),
    sa.Column("fate", _text, nullable=False),
    sa.Column("reason", _text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("live_labels", _text, nullable=False),
    sa.Column("shadow_labels", _text, nullable=False),
    sa.Column("max_delta", _float),
    sa.Column("total_variation", _float),
    sa.Column("live_margin", _float),
    sa.Column("live_status", sa.Integer, nullable=False),
    sa.Column("shadow_status", sa.Integer),
    sa.Column("live_ms", _float, nullable=False),
    sa.Column("shadow_ms", _float),
    sa.Column("live_predict_ms", _float),
    sa.Column("shadow_predict_ms", _float),
    sa.Column("input_digest", sa.LargeBinary, nullable=False),
    sa.Column("live_version", _text, nullable=False),
    sa.Column("shadow_version", _text, nullable=False),
)
# Whole in itself: it outlives the row of the same comparison, or goes before it.
discrepancies = sa.Table(
    "discrepancies",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=False),
    sa.Column("router_id", _text, nullable=False),
    sa.Column("request_id", _text, nullable=False),
    sa.Column("at_ns", _integer, nullable=False),
    sa.Column("fate", _text, nullable=False),
    sa.Column("reason", _text, nullable=False),
    sa.Column("live_labels", _text, nullable=False),
    sa.Column("shadow_labels", _text, nullable=False),
    sa.Column("max_delta", _float),
    sa.Column("live_margin", _float),
    sa.Column("live_status", sa.Integer, nullable=False),
    sa.Column("shadow_status", sa.Integer),
    # Method and path; a query may hold secrets.
    sa.Column("route", _text, nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("live", sa.LargeBinary, nullable=False),
    sa.Column("shadow", sa.LargeBinary),
    sa.Column("bytes", _integer, nullable=False),
    sa.Index("discrepancies_by_fate", "fate", "id"),
)
# How much is kept: discrepancies by fate, and inputs; counted here so that nothing
# has to be scanned to know what must go.
kept = sa.Table(
    "kept",
    metadata,
    sa.Column("name", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
    sa.Column("bytes", _integer, nullable=False),
)
# Rows of comparisons that have gone, by fate: with those still there, they are what
# the counters count.
pruned = sa.Table(
    "pruned",
    metadata,
    sa.Column("fate", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
)
# What has been seen before: requests, and inputs with a digest of the labels that they
# got at first, which tells a version that contradicts itself.
inputs = sa.Table(
    "inputs",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("labels", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
# Sums over all comparisons, kept up to date so that no report scans the rows.
confusion = sa.Table(
    "confusion",
    metadata,
    sa.Column("live", _text, primary_key=True),
    sa.Column("shadow", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
)
latencies = sa.Table(
    "latencies",
    metadata,
    sa.Column("role", _text, primary_key=True),
    sa.Column("clock", _text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("n", _integer, nullable=False),
    sa.Column("sum_ms", _float, nullable=False),
)
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("role", _text, primary_key=True),
    sa.Column("version", _text, primary_key=True),
    sa.Column("digest", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
)
# The evidence of the gates: sums over unique inputs.
tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("name", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
    sa.Column("total", _float, nullable=False),
)
pairs = sa.Table(
    "pairs",
    metadata,
    sa.Column("live", _text, primary_key=True),
    sa.Column("shadow", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
)
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("name", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
    sa.Column("flips", _integer, nullable=False),
)
# Fine latencies of the requests that both versions were measured on.
sketches = sa.Table(
    "sketches",
    metadata,
    sa.Column("clock", _text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("live", _integer, nullable=False),
    sa.Column("shadow", _integer, nullable=False),
)
# Unique inputs and flips by how far live's best class led.
margins = sa.Table(
    "margins",
    metadata,
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("n", _integer, nullable=False),
    sa.Column("flips", _integer, nullable=False),
)
# How the evidence grew: unique inputs and flips by the minute.
pace = sa.Table(
    "pace",
    metadata,
    sa.Column("minute", _integer, primary_key=True),
    sa.Column("inputs", _integer, nullable=False),
    sa.Column("flips", _integer, nullable=False),
)
rules = sa.Table(
    "rules",
    metadata,
    sa.Column("sha256", _text, primary_key=True),
    sa.Column("at_ns", _integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
layout = sa.Table(
    "layout", metadata, sa.Column("version", sa.Integer, primary_key=True)
)
#: Names in `kept` beside those of fates: digests that are kept, and how often the
#: share of inputs that count has been halved.
INPUTS, HALVINGS = "inputs", "halvings"
