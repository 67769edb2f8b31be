"""
What can go wrong, as one small tree.

ShadowRouterError
├── SettingsInvalid       a SHADOW_ROUTER_* name or value is wrong
├── RulesInvalid          the rule file is wrong; carries file, line, field
├── PortBusy              an address cannot be listened on
├── DataDirectoryBusy     a second collector on one data directory
├── DataDirectoryMissing  report or audit asked of a directory with no books
├── StoreUnreadable       the store is damaged, or of another version
├── PinUnusable           a pin or its wheel is not as it must be
├── PromotionRefused      a pin may not move; carries the reason
├── PromotionFailed       a pin could not be moved: no file has changed
├── RunClosed             a switch of a run that has ended
├── KeysUnreadable        the file of control keys is missing or wrong
├── LabelsRefused         true labels cannot be read, or the collector refuses them
├── KnownInvalid          the file of known discrepancies is wrong
├── RecordingUnreadable   a recording is missing, damaged or of another version
├── ServiceUnreachable    a replay has nobody to send to
├── StoreAway             the store's place is full or out of reach; try again
├── FrameInvalid          bytes from the other process are not a frame
├── AnswerUnreadable      an answer cannot be compared; carries the reason
└── UpstreamFailed        a request to live or shadow has no complete answer
    ├── DescriptorsUsedUp no connection could be made for want of a descriptor
    ├── UpstreamRefused   no connection could be made
    ├── UpstreamBroken    the connection broke, or it was not HTTP
    └── UpstreamTooLarge  the answer is longer than the cap
"""

from pathlib import Path


class ShadowRouterError(Exception):
    """Base of every error this package raises on purpose."""


class SettingsInvalid(ShadowRouterError):
    """Raised when the environment holds a wrong name or value."""


class RulesInvalid(ShadowRouterError):
    """Raised when a rule file is wrong; carries file, line, field and reason."""

    def __init__(self, file: Path, line: int, field: str, reason: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {reason}")
        self.file = file
        self.line = line
        self.field = field
        self.reason = reason


class KnownInvalid(ShadowRouterError):
    """Raised when known discrepancies cannot be read, or one cannot be noted."""


class RecordingUnreadable(ShadowRouterError):
    """Raised when a recording cannot be replayed; carries the file and the reason."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class ServiceUnreachable(ShadowRouterError):
    """Raised when a service that a replay needs does not listen."""


class PortBusy(ShadowRouterError):
    """Raised when an address cannot be listened on; carries host, port, setting."""

    def __init__(self, host: str, port: int, setting: str, reason: str) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__(f"{where} {reason}, or set {setting}")
        self.host = host
        self.port = port
        self.setting = setting


class DataDirectoryBusy(ShadowRouterError):
    """Raised when another collector already writes to the data directory."""


class DataDirectoryMissing(ShadowRouterError):
    """Raised when a data directory holds no books to read."""


class StoreAway(ShadowRouterError):
    """Raised when store or data directory cannot be used now: full, locked, away."""


class StoreUnreadable(ShadowRouterError):
    """Raised when the store holds what this version cannot read."""


class PinUnusable(ShadowRouterError):
    """Raised when a pin cannot be read, or no published wheel is the one it names."""


class PromotionRefused(ShadowRouterError):
    """Raised when live's pin may not change; the text is the reason."""


class PromotionFailed(ShadowRouterError):
    """Raised when files cannot be written; they are as they were."""


class RunClosed(ShadowRouterError):
    """Raised when a switch is asked for after the end of the run."""


class KeysUnreadable(ShadowRouterError):
    """Raised when control keys cannot be read; the text names file and line."""


class LabelsRefused(ShadowRouterError):
    """Raised when labels cannot be sent; names the line or the reason."""


class FrameInvalid(ShadowRouterError):
    """Raised when bytes received over the Unix socket are not a frame."""


class AnswerUnreadable(ShadowRouterError):
    """Raised when an answer has no labels to compare; the text is the reason."""


class UpstreamFailed(ShadowRouterError):
    """Base of the ways in which a server leaves us without a complete answer."""


class DescriptorsUsedUp(UpstreamFailed):
    """Raised when no descriptor is left to connect to the server with: our fault."""


class UpstreamRefused(UpstreamFailed):
    """Raised when no connection to the server could be made."""


class UpstreamBroken(UpstreamFailed):
    """Raised when the connection broke or what arrived was not HTTP."""


class UpstreamTooLarge(UpstreamFailed):
    """Raised when the answer is longer than the caller is ready to keep."""
