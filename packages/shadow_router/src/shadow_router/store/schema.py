"""The tables, and the engine that opens them."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

#: What any statement may raise when the database cannot do its work.
StoreFailed = sa.exc.SQLAlchemyError
FILE_NAME = "comparisons.sqlite"
_BUSY_MS = 2000

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
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("live", sa.LargeBinary, nullable=False),
    sa.Column("shadow", sa.LargeBinary),
)
inputs = sa.Table(
    "inputs",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("flipped", sa.Boolean, nullable=False),
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
    sa.Column("n", _integer, nullable=False),
)
uniques = sa.Table(
    "uniques",
    metadata,
    sa.Column("name", _text, primary_key=True),
    sa.Column("n", _integer, nullable=False),
)


def open_engine(directory: Path) -> sa.Engine:
    """Return an engine whose transactions see one state of the database."""
    engine = sa.create_engine(
        f"sqlite:///{directory / FILE_NAME}",
        # Transactions are begun below: the driver on its own begins none for reads.
        connect_args={"isolation_level": None, "timeout": _BUSY_MS / 1000},
    )

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
