"""The tables, and the engine that opens them."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from shadow_router.errors import StoreUnreadable

#: What any statement may raise when the database cannot do its work.
StoreFailed = sa.exc.SQLAlchemyError
FILE_NAME = "comparisons.sqlite"
#: Raised with every change of the tables below; older stores are refused.
LAYOUT = 2
_BUSY_MS = 2000
MARGIN_BINS = 20

metadata = sa.MetaData()
_text, _integer, _float = sa.Text, sa.BigInteger, sa.Float

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
comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
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
bodies = sa.Table(
    "bodies",
    metadata,
    sa.Column("comparison_id", sa.Integer, primary_key=True),
    sa.Column("fate", _text, nullable=False),
    # Method and path; a query may hold secrets.
    sa.Column("route", _text, nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("live", sa.LargeBinary, nullable=False),
    sa.Column("shadow", sa.LargeBinary),
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
    sa.Column("text", _text, nullable=False),
)
layout = sa.Table(
    "layout", metadata, sa.Column("version", sa.Integer, primary_key=True)
)


def check_layout(connection: sa.Connection) -> None:
    """
    Refuse a store of another layout; an empty one is of none.

    The evidence of an older one cannot be carried over: its rows do not say what the
    gates ask.

    Raises
    ------
    StoreUnreadable
        If it was written by another version.
    """
    names = sa.inspect(connection).get_table_names()
    if not names:
        return
    found = 1
    if layout.name in names:
        found = connection.scalar(sa.select(layout.c.version)) or found
    if found != LAYOUT:
        raise StoreUnreadable(
            f"the store has layout {found}, this version reads {LAYOUT}; "
            "begin again with an empty data directory (SHADOW_ROUTER_DATA_DIR)"
        )


def open_engine(directory: Path, read_only: bool = False) -> sa.Engine:
    """
    Return an engine whose transactions see one state of the database.

    A reader never writes, not even when the collector that it reads beside has died.
    """
    path = directory / FILE_NAME
    mode = f"file:{quote(str(path.absolute()))}?mode=ro&uri=true"
    engine = sa.create_engine(
        f"sqlite:///{mode if read_only else path}",
        # Transactions are begun below: the driver on its own begins none for reads.
        connect_args={"isolation_level": None, "timeout": _BUSY_MS / 1000},
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
