"""
Settings from the environment: ``IRIS_API_*``, strict, no files.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from iris_api.environment import drop_what_is_no_setting
from iris_api.errors import SettingsInvalid
from iris_api.hosts import check_allowed

PREFIX = "IRIS_API_"
MIN_SALT = 16


_RATE = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)").fullmatch


def _check_rate(text: str) -> str:
    if not _RATE(text):
        raise ValueError("write a number, a slash, and second, minute, hour or day")
    return text


def _check_salt(salt: SecretStr) -> SecretStr:
    if len(salt.get_secret_value()) < MIN_SALT:
        raise ValueError(f"needs {MIN_SALT} characters or more")
    return salt


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(check_allowed)], ...],
    NoDecode,
    BeforeValidator(_split),
]


class Settings(BaseSettings):
    """
    What an operator may choose; each is ``IRIS_API_`` and the name in capitals.

    Attributes
    ----------
    host : str
        Address to listen on.
    port : int
        Port to listen on.
    records : Path or None
        File that prediction records are appended to; standard output when None.
    grace_s : int
        Seconds that requests in flight get to finish when the process is stopped.
    connections : int
        Connections served at once.
    idle_s : int
        Seconds that a connection is kept between requests.
    hang_s : int
        Seconds after which a process whose event loop hangs ends itself.
    private_port : int or None
        Port that alone serves documentation and metrics; None leaves them on `port`.
    private_host : str
        Address of that port.
    allowed_hosts : tuple of str
        Hosts that are answered for beside the one that is listened on.
    keys : Path or None
        File of the hashes of API keys; None asks nobody for a key.
    rate_limit : str or None
        Requests that a client may send in a window, such as ``100/second``.
    record_inputs : {"values", "hash"}
        Whether records tell inputs, or only which of them are equal.
    record_salt : SecretStr or None
        Secret of those hashes; None for a new one in each process.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=1, le=65535)
    records: Path | None = None
    grace_s: int = Field(default=10, ge=0, le=3600)
    connections: int = Field(default=4096, ge=1, le=1_000_000)
    idle_s: int = Field(default=75, ge=1, le=3600)
    hang_s: int = Field(default=10, ge=1, le=3600)
    private_port: int | None = Field(default=None, ge=1, le=65535)
    private_host: str = "127.0.0.1"
    allowed_hosts: Hosts = ()
    keys: Path | None = None
    rate_limit: Annotated[str, AfterValidator(_check_rate)] | None = None
    record_inputs: Literal["values", "hash"] = "values"
    record_salt: Annotated[SecretStr, AfterValidator(_check_salt)] | None = None


def load_settings() -> Settings:
    """
    Return the settings of this process.

    Raises
    ------
    SettingsInvalid
        If a value is malformed, or a variable with our prefix is not a setting:
        a misspelt name must not silently leave the default in force.
    """
    drop_what_is_no_setting(PREFIX)
    _check_names()
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsInvalid(f"{name}: {reason}") from None
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    # A setting that does nothing is one that somebody believes to do something.
    given = settings.model_fields_set
    if settings.private_port == settings.port:
        raise SettingsInvalid(f"{PREFIX}PRIVATE_PORT: must not be {PREFIX}PORT")
    if "private_host" in given and settings.private_port is None:
        raise SettingsInvalid(f"{PREFIX}PRIVATE_HOST: needs {PREFIX}PRIVATE_PORT")
    if settings.record_salt is not None and settings.record_inputs != "hash":
        raise SettingsInvalid(f"{PREFIX}RECORD_SALT: needs {PREFIX}RECORD_INPUTS=hash")


def _check_names() -> None:
    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX)
        if variable.upper().startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "see the README"
            raise SettingsInvalid(f"{PREFIX}{name[:100]} is not a setting; {hint}")
