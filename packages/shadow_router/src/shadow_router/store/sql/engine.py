"""Opening the database that a URL names, and what each engine needs to be told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from pydantic import SecretStr

from shadow_router.errors import SettingsInvalid, StoreAway

#: What any statement may raise when the database cannot do its work.
StoreFailed = sa.exc.SQLAlchemyError
FILE_NAME = "comparisons.sqlite"
#: How long a transaction waits for another's.
_BUSY_MS = 2000
#: Page cache of the one writer: the inputs are looked up in random order.
_CACHE_KIB = 32 * 1024
#: Any number that is the same in every version: it names our lock in the database.
_LOCK = 0x5348_4457

# A server that has gone without a word is found out in seconds, and a writer that has
# stopped in the middle of a transaction does not hold up the others for longer.
_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "shadow-router",
}
_SESSION = (
    f"-c lock_timeout={_BUSY_MS} -c statement_timeout=30000 "
    "-c idle_in_transaction_session_timeout=15000"
)


def open_engine(
    directory: Path, url: SecretStr | None = None, *, read_only: bool = False
) -> sa.Engine:
    """
    Return an engine whose transactions see one state of the database.

    Parameters
    ----------
    directory : Path
        The data directory, which holds the SQLite file when there is no URL.
    url : SecretStr or None
        `postgresql+psycopg://…`, of a database that several collectors may share.
    read_only : bool
        A reader never writes, not even when the collector beside it has died.

    Raises
    ------
    SettingsInvalid
        If the URL cannot be read, or the driver it asks for is not installed.
    """
    if url is None:
        return _open_sqlite(directory / FILE_NAME, read_only)
    return _open_postgresql(url, read_only)


def _open_sqlite(path: Path, read_only: bool) -> sa.Engine:
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
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _open_postgresql(url: SecretStr, read_only: bool) -> sa.Engine:
    try:
        parsed = sa.make_url(url.get_secret_value())
        given = str(parsed.query.get("options", ""))
        return sa.create_engine(
            parsed.difference_update_query(["options"]),
            connect_args={**_CONNECT, "options": f"{_SESSION} {given}".strip()},
            # Writers take turns, so each statement should see what the last one left;
            # a reader wants one state for all it reads.
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
            execution_options={"postgresql_readonly": True} if read_only else {},
            # An idle connection that a restart has cut is replaced, not used.
            pool_pre_ping=True,
            pool_size=2,
        )
    except ModuleNotFoundError:
        raise SettingsInvalid(
            "SHADOW_ROUTER_STORE_URL: the driver is missing; "
            "install shadow_router[postgresql]"
        ) from None
    except (sa.exc.ArgumentError, ValueError):
        # What the library says of it may quote the password.
        raise SettingsInvalid(
            "SHADOW_ROUTER_STORE_URL: is no postgresql+psycopg:// URL"
        ) from None


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """
    Begin a transaction once no other one writes, and commit it at the end.

    Collectors on several machines take turns like this: what one reads before it
    writes is still so when it writes.
    """
    with engine.connect().execution_options(is_writing=True) as connection:
        with connection.begin():
            if connection.dialect.name == "postgresql":
                turn = sa.func.pg_advisory_xact_lock(_LOCK)
                connection.execute(sa.select(turn))
            yield connection


def reason_of(error: sa.exc.SQLAlchemyError, url: SecretStr | None) -> str:
    """Return the first line of what a database said, without any password."""
    said = getattr(error, "orig", None) or type(error).__name__
    text = (str(said).splitlines() or [""])[0]
    password = sa.make_url(url.get_secret_value()).password if url else None
    return text.replace(password, "***") if password else text


def shown_store(directory: Path, url: SecretStr | None) -> str:
    """Return where the store is, for people: no user and no password."""
    if url is None:
        return str(directory / FILE_NAME)
    parsed = sa.make_url(url.get_secret_value())
    return f"postgresql at {parsed.host or parsed.query.get('host')}/{parsed.database}"


@contextmanager
def told_when_away(directory: Path, url: SecretStr | None) -> Iterator[None]:
    """Turn trouble of the database into `StoreAway`: one line, to be tried again."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        where = shown_store(directory, url)
        raise StoreAway(f"{where}: {reason_of(error, url)}") from None
