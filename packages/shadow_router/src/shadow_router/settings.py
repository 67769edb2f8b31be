"""The `SHADOW_ROUTER_*` environment, read once and checked."""

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shadow_router.environment import drop_what_is_no_setting
from shadow_router.errors import SettingsInvalid
from shadow_router.hosts import check_allowed

PREFIX = "SHADOW_ROUTER_"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _split_on_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_on_commas)]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(check_allowed)], ...],
    NoDecode,
    BeforeValidator(_split_on_commas),
]


class Settings(BaseSettings):
    """Everything that can be set, with the defaults of one machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    public_host: str = "127.0.0.1"
    public_port: Port = 8000
    private_host: str = "127.0.0.1"
    private_port: Port = 8010
    #: Hosts that both ports answer for beside those they listen on.
    allowed_hosts: Hosts = ()
    live_url: str = "http://127.0.0.1:8001"
    shadow_url: str = "http://127.0.0.1:8002"
    data_dir: Path = Path(".shadow_router")
    #: Of a PostgreSQL database that collectors share; else a file in `data_dir`.
    store_url: SecretStr | None = None

    #: A strictyaml file; without one the rules are those of `rules.DEFAULT`.
    rules: Path | None = None
    #: Headers copied to the shadow beyond `FORWARDED` of `mirror`.
    copy_headers: Names = ()
    sample_rate: float = Field(default=1.0, ge=0, le=1)
    #: Longer requests and answers pass straight through and are not mirrored.
    body_cap_bytes: Count = 256 * 1024
    queue_items: Count = 10_000
    queue_bytes: Count = 64 * 1024 * 1024

    #: Secret of the digests of inputs, where these are not kept; without it, one that
    #: is nowhere written and ends with the process.
    input_key: Annotated[SecretStr, Field(min_length=16)] | None = None

    #: Connections of clients at once, on each of the two ports.
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    #: Where exchanges are recorded for replays; by default they are not.
    record_dir: Path | None = None
    record_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024
    record_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 7.0

    live_timeout_s: Seconds = 30.0
    shadow_timeout_s: Seconds = 2.0
    shadow_concurrency: Count = 32
    #: Share of exchanges on which live is asked again, and compared with itself.
    noise_share: float = Field(default=0.01, ge=0, le=1)
    #: Share of exchanges on which a spoilt answer is compared as well.
    mutant_share: float = Field(default=0.01, ge=0, le=1)
    #: Failures in a row after which the shadow gets a probe a second; 0: never.
    breaker_failures: Annotated[int, Field(ge=0)] = 100
    #: Copies are left out while live's p99 is this many times its usual; 0: never.
    shed_ratio: float = Field(default=3.0, ge=0, allow_inf_nan=False)
    #: Lines of NAME KEY; without it one key is made in the data directory.
    control_key_file: Path | None = None
    #: How long a stop waits for requests in flight, and then for the queue.
    grace_s: Seconds = 5.0

    #: Rows of comparisons; counters and sums are kept for ever.
    keep_comparisons: Count = 1_000_000
    #: Of each fate, with their bodies; and the bytes of all bodies.
    keep_discrepancies: Count = 1000
    keep_body_bytes: Count = 256 * 1024 * 1024
    keep_days: Annotated[float, Field(gt=0, le=36_500)] = 30.0
    #: Digests of inputs, by which repeats are known.
    keep_inputs: Count = 10_000_000

    @property
    def digest_key(self) -> bytes:
        """Return the key of the digests of inputs; a new one where none is set."""
        if self.input_key is None:
            return secrets.token_bytes(32)
        return sha256(self.input_key.get_secret_value().encode()).digest()

    @field_validator("store_url")
    @classmethod
    def _check_store_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        parts = urlsplit(value.get_secret_value())
        if parts.scheme != "postgresql+psycopg":
            raise ValueError("must begin with postgresql+psycopg://")
        return value

    @field_validator("live_url", "shadow_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if reason := url_fault(value):
            raise ValueError(reason)
        return value


def url_fault(url: str) -> str:
    """Return what is wrong with the URL of a service, or an empty text."""
    try:
        parts = urlsplit(url)
        is_known = parts.scheme in ("http", "https")
        is_url = is_known and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        return "must be an http or https URL"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "must end after the port: paths are forwarded as they are"
    return ""


def load_settings() -> Settings:
    """
    Return the settings of this process.

    Raises
    ------
    SettingsInvalid
        If a name is unknown or a value does not fit; one line naming each.
    """
    drop_what_is_no_setting(PREFIX)
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    ours = (name for name in os.environ if name.upper().startswith(PREFIX))
    unknown = sorted(name for name in ours if name.upper() not in known)
    if unknown:
        raise SettingsInvalid("unknown setting " + ", ".join(unknown))
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsInvalid("; ".join(map(_one_line, error.errors()))) from None


def _one_line(error: Any) -> str:
    # `errors()` also carries the value; a URL may hold a password, so it stays out.
    name = PREFIX + str(error["loc"][0]).upper()
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def shown_url(url: str) -> str:
    """Return a URL without what may be a password in it."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
