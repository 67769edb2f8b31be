"""
Score files of any size through Dask: CSV or Parquet in, CSV or Parquet out.

Workers read, answer and spell the pieces of the input; this process takes their
results in order and writes one file. The same code runs on the threads of this
machine and on a cluster.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from distributed import Client, Future

from iris_model.answers import Answers, answer_rows
from iris_model.cluster import connect
from iris_model.csv_source import open_csv
from iris_model.errors import ArtefactMismatch, IrisModelError, ScoringFailed
from iris_model.files import find_files, find_target, whole_file
from iris_model.lines import count_rows
from iris_model.model import IrisModel, load
from iris_model.parquet_source import open_parquet
from iris_model.sources import Piece, Rows, Source, check_columns
from iris_model.table_writer import Write, write_csv, write_parquet
from iris_model.text import join_text, spell_column, spell_matrix, spell_names

# How many pieces are under way for each thread: one in work, one ready.
PIECES_PER_THREAD = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """
    What was scored.

    Attributes
    ----------
    rows : int
        Rows of the input, and of the output.
    refused : dict of str to int
        Rows without an answer by reason, most frequent first.
    seconds : float
        From opening the input to closing the output.
    """

    rows: int
    refused: dict[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker has to know besides its piece."""

    features: tuple[str, ...]
    as_text: bool
    line_end: str
    schema: Any
    digest: str


@dataclass(frozen=True, slots=True)
class _Scored:
    """A scored piece: lines of CSV or a table, and where in the input it was."""

    rows: int
    written: int
    content: Any
    refused: dict[str, int]
    begin: int
    end: int


@dataclass(slots=True)
class _Tally:
    """What was scored so far; rows are counted where they are read and as written."""

    rows: int = 0
    written: int = 0
    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, scored: _Scored) -> int:
        """Count a piece; return how much of the input is done."""
        self.rows += scored.rows
        self.written += scored.written
        self.refused.update(scored.refused)
        self.done += scored.end - scored.begin
        return self.done

    def check(self, source: str) -> None:
        """Raise unless as many rows go out as came in."""
        if self.written != self.rows:
            reason = f"of {self.rows:,} rows {self.written:,} would be written"
            raise ScoringFailed(source, reason)


def score(
    source: str,
    target: str,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """
    Write one row with label, probabilities and reason for each row of the input.

    Parameters
    ----------
    source : str
        Path or URL of a CSV or Parquet file, of a folder of them, or a pattern.
    target : str
        Path or URL of the file to write; written whole or not at all.
    scheduler : str, optional
        Address of a Dask scheduler; this machine's threads when left out.
    progress : callable
        Told what is done and what there is, as often as a piece is written.

    Raises
    ------
    ScoringFailed
        If the input cannot be read, has not the model's columns, or the output
        cannot be written or is there already. Nothing is written.
    """
    started = time.perf_counter()
    model = load()
    output = find_target(target)
    as_text = output.format == "csv"
    added = [*_answer_names(model), "out_of_range", "reason"]
    sources = _open_sources(source, model.feature_names, added, as_text)
    total = sum(found.size for found in sources)
    schema = None if as_text else _extend(sources[0].schema, added)
    job = _Job(
        model.feature_names,
        as_text,
        sources[0].line_end,
        schema,
        model.manifest.digest,
    )
    tally = _Tally()
    with (
        whole_file(output) as stream,
        _open_writer(stream, sources[0], schema, added) as write,
        connect(scheduler) as client,
    ):
        for scored in _score_in_order(client, sources, job):
            if scored.rows:
                write(scored.content)
            progress(tally.add(scored), total)
        tally.check(source)
    seconds = time.perf_counter() - started
    return Summary(tally.rows, dict(tally.refused.most_common()), seconds)


def _answer_names(model: IrisModel) -> list[str]:
    return ["label", *(f"probability_{name}" for name in model.classes)]


def _open_sources(
    url: str, features: tuple[str, ...], added: list[str], as_text: bool
) -> list[Source]:
    """Return the checked files; all have the columns of the first."""
    found: list[Source] = []
    for file in find_files(url):
        source: Source = (
            open_csv(file, features) if file.format == "csv" else open_parquet(file)
        )
        check_columns(source, features, added)
        source.check(features, as_text)
        if found and not source.schema.equals(found[0].schema):
            reason = f"has other columns than {found[0].file}"
            raise ScoringFailed(source.file, reason)
        found.append(source)
    return found


def _extend(schema: Any, added: list[str]) -> Any:
    """Return the schema of the output: that of the input and the answers."""
    label, *probabilities, out_of_range, reason = added
    schema = schema.append(pa.field(label, pa.dictionary(pa.int8(), pa.string())))
    for name in probabilities:
        schema = schema.append(pa.field(name, pa.float64()))
    for name in (out_of_range, reason):
        schema = schema.append(pa.field(name, pa.string()))
    return schema


def _open_writer(
    stream: IO[bytes], source: Source, schema: Any, added: list[str]
) -> contextlib.AbstractContextManager[Write]:
    if schema is not None:
        return write_parquet(stream, schema)
    header = f"{source.header},{spell_names(added)}{source.line_end}"
    return write_csv(stream, header)


def _score_in_order(
    client: Client, sources: Iterable[Source], job: _Job
) -> Iterator[_Scored]:
    """Yield scored pieces in the order of the input, a bounded number under way."""
    workers = client.nthreads()  # type: ignore[no-untyped-call]
    threads = sum(workers.values())
    for source in sources:
        pieces = iter(source.pieces())
        waiting: deque[tuple[Piece, Future[_Scored]]] = deque()
        begin = None
        while True:
            room = PIECES_PER_THREAD * threads - len(waiting)
            for piece in itertools.islice(pieces, room):
                waiting.append((piece, _submit(client, piece, job)))
            if not waiting:
                break
            piece, future = waiting.popleft()
            scored = _confirm(client, source, job, piece, future, begin)
            begin = scored.end
            yield scored
        if begin not in (None, source.size):
            reason = f"was read up to {begin:,} of {source.size:,}"
            raise ScoringFailed(source.file, reason)


def _confirm(
    client: Client,
    source: Source,
    job: _Job,
    piece: Piece,
    future: Future[_Scored],
    begin: int | None,
) -> _Scored:
    """Return a scored piece that begins where the one before it truly ended."""
    try:
        scored = _result(future, source)
        if begin is None or begin == scored.begin:
            return scored
    except ScoringFailed:
        # From a wrong guess on, a row may seem to have no end.
        if begin is None:
            raise
    return _result(_submit(client, piece.moved(begin), job), source)


def _submit(client: Client, piece: Piece, job: _Job) -> Future[_Scored]:
    return client.submit(_score_piece, piece, job, pure=False)


def _result(future: Future[_Scored], source: Source) -> _Scored:
    try:
        scored: _Scored = future.result()
    except IrisModelError:
        raise
    except Exception as error:
        # Whatever else a worker raises, or Dask when it has lost one.
        reason = f"{type(error).__name__} on a worker: {error}"
        raise ScoringFailed(source.file, " ".join(reason.split())) from error
    return scored


def _score_piece(piece: Piece, job: _Job) -> _Scored:
    model = _load_same(job.digest)
    spell = _spell_lines if job.as_text else _extend_table
    blocks, count, written, refused, places = [], 0, 0, Counter[str](), []
    for rows in piece.read(job.features, job.as_text):
        places += [rows.begin, rows.end]
        if rows.count:
            answers = answer_rows(model, rows.features, rows.faults)
            block = spell(rows, answers, job)
            blocks.append(block)
            written += count_rows(block.to_pybytes()) if job.as_text else len(block)
            refused.update(answers.refused)
            count += rows.count
    content = blocks if job.as_text or not blocks else pa.concat_tables(blocks)
    return _Scored(count, written, content, refused, places[0], places[-1])


@functools.lru_cache(maxsize=1)
def _load_same(digest: str) -> IrisModel:
    """Return the model of this process; one that is not the asker's is refused."""
    model = load()
    if model.manifest.digest != digest:
        what = "sha256 of manifest.json on a Dask worker"
        raise ArtefactMismatch(what, digest, model.manifest.digest)
    return model


def _spell_lines(rows: Rows, answers: Answers, job: _Job) -> Any:
    """Return lines as one buffer; blocks of them in order are the file."""
    label = spell_column(answers.label, ",")
    last = [
        _spell_words(answers.out_of_range, ","),
        _spell_words(answers.reason, job.line_end),
    ]
    if all(isinstance(words, str) for words in last):
        last = ["".join(last)]
    return _content(join_text([rows.text, label, _spell_numbers(answers), *last], ""))


def _spell_words(column: Any, end: str) -> Any:
    """Return a column as text, or one text if all rows have the same."""
    if len(column.dictionary) == 1:
        return spell_column(column.dictionary)[0].as_py() + end
    return spell_column(column, end)


def _spell_numbers(answers: Answers) -> Any:
    probabilities = answers.probabilities
    if answers.bad is None:
        return spell_matrix(probabilities)
    blank = "," * probabilities.shape[1]
    spelt = spell_matrix(np.nan_to_num(probabilities))
    return pc.if_else(pa.array(answers.bad), blank, spelt)


def _content(lines: Any) -> Any:
    _, offsets, content = lines.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[0, len(lines)]]
    return content.slice(first, last - first)


def _extend_table(rows: Rows, answers: Answers, job: _Job) -> Any:
    by_class = np.ascontiguousarray(answers.probabilities.T)
    columns = [
        answers.label,
        *(pa.array(column, mask=answers.bad) for column in by_class),
        answers.out_of_range.dictionary_decode(),
        answers.reason.dictionary_decode(),
    ]
    return pa.Table.from_arrays([*rows.table.columns, *columns], schema=job.schema)
