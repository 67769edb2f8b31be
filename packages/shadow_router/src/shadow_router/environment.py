"""
What of the environment is a setting: not what is blank, nor what Kubernetes adds.
"""

from __future__ import annotations

import os
import re

from loguru import logger

# For a service that is named as we are, Kubernetes sets NAME_PORT=tcp://10.0.0.1:8001,
# NAME_SERVICE_HOST and more of their kind in every container beside it.
_URL = re.compile(r"(?:tcp|udp|sctp)://.*", re.DOTALL).fullmatch
_OF_URL = re.compile(r".*_PORT(?:_[0-9]+_(?:TCP|UDP|SCTP))?").fullmatch
_OTHER = re.compile(
    r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?"
    r"|PORT_[0-9]+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR))"
).fullmatch


def drop_what_is_no_setting(prefix: str) -> None:
    """
    Take out of the environment what begins as a setting does and is none.

    A variable that is blank is not set. A link to a service of Kubernetes is told of
    once: children of this process do not inherit it.

    Parameters
    ----------
    prefix : str
        What the names of settings begin with.
    """
    links = []
    for name, value in sorted(os.environ.items()):
        if not name.upper().startswith(prefix):
            continue
        if _is_service_link(name.upper(), value):
            links.append(name)
        if not value.strip() or name in links:
            del os.environ[name]
    if links:
        logger.warning(
            "{}: set by Kubernetes for a service of this name, no setting, and ignored "
            "(enableServiceLinks: false leaves it out)",
            ", ".join(links),
        )


def _is_service_link(name: str, value: str) -> bool:
    return bool(_OF_URL(name) and _URL(value) or _OTHER(name))
