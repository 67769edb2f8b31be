"""
Settings from the environment: ``IRIS_API_*``, strict, no files.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from iris_api.errors import SettingsInvalid

PREFIX = "IRIS_API_"


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
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=1, le=65535)
    records: Path | None = None
    grace_s: int = Field(default=10, ge=0, le=3600)
    connections: int = Field(default=4096, ge=1, le=1_000_000)
    idle_s: int = Field(default=75, ge=1, le=3600)
    hang_s: int = Field(default=10, ge=1, le=3600)


def load_settings() -> Settings:
    """
    Return the settings of this process.

    Raises
    ------
    SettingsInvalid
        If a value is malformed, or a variable with our prefix is not a setting:
        a misspelt name must not silently leave the default in force.
    """
    _check_names()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsInvalid(f"{name}: {first['msg']}") from None


def _check_names() -> None:
    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX)
        if variable.upper().startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "see the README"
            raise SettingsInvalid(f"{PREFIX}{name[:100]} is not a setting; {hint}")
