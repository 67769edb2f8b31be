"""
Everything that can go wrong in this package, as one small tree.

IrisModelError
├── ConfigError        config.yml cannot be used
├── TableError         the training table is not what config.yml says
├── InvalidRows        rows that cannot be predicted
├── ScoringFailed      files that cannot be read, scored or written as a whole
│   └── RecordsUnusable  records, labels or a reference that say nothing
├── ExtraMissing       a command needs what is not installed
├── ArtefactMismatch   an artefact that is not what its manifest says
└── TrainingFailed     training ended without a model worth shipping
    ├── NoConverter    a pipeline step has no compiled form
    ├── ParityBroken   the compiled model disagrees with the pipeline
    ├── QualityTooLow  a cross-validated score misses its floor
    ├── WorseThanPublished  significantly worse than the newest published version
    └── VersionTooSmall     the version number promises more sameness than there is
"""

from __future__ import annotations

from dataclasses import dataclass


class IrisModelError(Exception):
    """The root: catch this to catch all that the package raises on purpose."""


class ConfigError(IrisModelError):
    """Raised when a configuration cannot be used; says file, line and key."""

    def __init__(self, file: str, line: int, key: str, reason: str) -> None:
        super().__init__(f"{file}, line {line}, {key}: {reason}")
        self.file = file
        self.line = line
        self.key = key
        self.reason = reason


class TableError(IrisModelError):
    """Raised when the training table is missing, changed or malformed."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RowProblem:
    """
    One reason why one row cannot be predicted.

    Attributes
    ----------
    row : int or None
        Position of the row, from 0; None when the fault is of all rows.
    field : str or None
        Name of the feature; None when the fault is of the whole row.
    reason : str
        What is wrong and what is expected; never holds the value itself.
    """

    row: int | None
    field: str | None
    reason: str

    def __str__(self) -> str:
        """Say where and why in one line."""
        where = "all rows" if self.row is None else f"row {self.row}"
        return f"{where}{f', {self.field}' if self.field else ''}: {self.reason}"


class InvalidRows(IrisModelError):
    """Raised when rows cannot be predicted; lists every problem found."""

    SHOWN = 5

    def __init__(self, problems: tuple[RowProblem, ...]) -> None:
        lines = [str(problem) for problem in problems[: self.SHOWN]]
        if len(problems) > self.SHOWN:
            lines.append(f"and {len(problems) - self.SHOWN} more")
        super().__init__("; ".join(lines))
        self.problems = problems


class ScoringFailed(IrisModelError):
    """Raised when a file cannot be used as a whole; nothing was written."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason

    def __reduce__(self) -> tuple[type[ScoringFailed], tuple[str, str]]:
        """Let a worker's error travel: pickling keeps only the message else."""
        return type(self), (self.file, self.reason)


class RecordsUnusable(ScoringFailed):
    """Raised when records, their labels or the reference cannot be used."""


class ExtraMissing(IrisModelError):
    """Raised when a library of an extra is not installed; says how to get it."""

    def __init__(self, what: str, library: str | None, extra: str) -> None:
        super().__init__(
            f"{what} needs {library}: install iris_model's extra `{extra}`"
        )
        self.extra = extra


class ArtefactMismatch(IrisModelError):
    """Raised when an artefact differs from what it says it is."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(f"{what}: expected {expected}, found {found}")
        self.what = what
        self.expected = expected
        self.found = found


class TrainingFailed(IrisModelError):
    """Raised when training must not produce an artefact."""


class NoConverter(TrainingFailed):
    """Raised when a step, or an option of a step, cannot be compiled."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"step {step!r} cannot be compiled: {reason}")
        self.step = step
        self.reason = reason


class ParityBroken(TrainingFailed):
    """Raised when the two faces of the artefact give different answers."""

    def __init__(
        self, rows: str, labels_differing: int, largest_difference: float, limit: float
    ) -> None:
        super().__init__(
            f"pipeline and compiled model disagree on {rows}: {labels_differing} "
            f"labels differ, largest probability difference "
            f"{largest_difference:.3g} (limit {limit:.0e})"
        )
        self.rows = rows
        self.labels_differing = labels_differing
        self.largest_difference = largest_difference
        self.limit = limit


class QualityTooLow(TrainingFailed):
    """Raised when a cross-validated score misses what config.yml asks for."""

    def __init__(self, metric: str, value: float, limit: float) -> None:
        super().__init__(
            f"cross-validated {metric} is {value:.4f}; config.yml asks for {limit:.4f}"
        )
        self.metric = metric
        self.value = value
        self.limit = limit


class WorseThanPublished(TrainingFailed):
    """Raised when log-loss is worse than a published version's by a paired test."""

    def __init__(self, published: str, difference: float, p_value: float) -> None:
        super().__init__(
            f"cross-validated log-loss is {difference:.4f} above that of the "
            f"published {published} on the same folds (p = {p_value:.2g})"
        )
        self.published = published
        self.difference = difference
        self.p_value = p_value


class VersionTooSmall(TrainingFailed):
    """Raised when a model differs from a published one by more than its number says."""

    def __init__(self, version: str, published: str, change: str, least: str) -> None:
        super().__init__(
            f"{change} since the published {published}: "
            f"version {version} must be {least} or higher"
        )
        self.version = version
        self.published = published
        self.least = least
