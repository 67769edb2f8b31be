"""
Withholding what must not be kept, before anything is stored, recorded or shown; pure.

Rules name fields, parameters and headers. Their values go, and so does every text that
quotes them. What cannot be looked through is withheld whole.
"""

import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from urllib.parse import unquote_plus

from shadow_router.compare.answers import media_type, parse_exactly
from shadow_router.errors import AnswerUnreadable
from shadow_router.redaction.quotes import (
    PLACEHOLDER,
    Secrets,
    leaves,
    replaced,
    secrets_of,
    unquoted,
)
from shadow_router.redaction.rounding import rounded, rounded_answer
from shadow_router.request.clients import hashed
from shadow_router.rules.paths import Document, parse_path
from shadow_router.rules.rules import Rules
from shadow_router.values import (
    DISCREPANCIES,
    Comparison,
    Difference,
    Exchange,
    Observation,
    RowDifference,
)

#: Never kept, whatever the rules say.
SECRET_HEADERS = frozenset(
    (b"authorization", b"cookie", b"proxy-authorization", b"x-api-key")
)
_REQUEST_ID = b"x-request-id"
WITHHELD = "withheld: an answer quotes what is redacted"


class Redactor:
    """
    Makes of a comparison, or of an exchange, what may be kept of it.

    Parameters
    ----------
    rules : Rules
        Say what goes, and whether inputs are kept as values, as hashes or not at all.
    key : bytes
        Of the hashes, up to 64 bytes: without it nobody can try inputs out on them.
    """

    def __init__(self, rules: Rules, key: bytes) -> None:
        named = rules.redact
        self._rules = rules
        self._paths = [parse_path(path) for path in named.fields]
        self._parameters = {name.lower() for name in named.parameters}
        self._headers = {name.lower().encode("latin-1") for name in named.headers}
        self._secret_headers = SECRET_HEADERS | self._headers
        self._policy = rules.keep_inputs
        self._hides_inputs = rules.keep_inputs != "values"
        self._key = key
        self._is_idle = not rules.redacts_anything

    @property
    def digest_key(self) -> bytes:
        """What digests of inputs are keyed with: nothing where inputs are kept."""
        return b"" if self._is_idle else self._key

    def comparison(self, item: Comparison) -> Comparison:
        """Return what the store may keep of a comparison."""
        if self._is_idle:
            exchange = self._without_headers(item.exchange)
            is_same = exchange is item.exchange
            return item if is_same else item._replace(exchange=exchange)
        secrets = self._secrets(item.exchange)
        told = rounded(item) if self._rules.withholds_inputs else item
        exchange, shadow = item.exchange, item.shadow
        if item.difference.fate not in DISCREPANCIES:
            # Nobody will look at these bodies: the store has no place for them.
            exchange = exchange._replace(request_body=b"", live_body=b"")
            shadow = shadow and shadow._replace(body=b"")
        exchange = self._exchange(exchange, secrets)
        if self._policy == "hash" and item.exchange.request_body:
            exchange = exchange._replace(request_body=_hashes(item))
        said = self._said(told.difference, secrets)
        is_quoted = secrets.are_in(list(_texts(item)))
        return item._replace(
            exchange=exchange,
            live=self._observation(item.live, exchange.live_body, secrets),
            shadow=shadow
            and self._observation(shadow, self._answer(shadow, secrets), secrets),
            difference=_told(told.difference, said, is_quoted),
            units=tuple(
                # Rows are sampled as they are or not at all.
                unit._replace(row=_row_told(unit.row, said), source=b"")
                for unit in told.units
            ),
        )

    def with_client(self, exchange: Exchange) -> Exchange:
        """Return an exchange with a hash of its client: no more is ever kept."""
        return exchange._replace(client=hashed(exchange.client, self._key))

    def exchange(self, exchange: Exchange) -> Exchange:
        """Return what a recording may keep of an exchange."""
        if self._is_idle:
            return self._without_headers(exchange)
        return self._exchange(exchange, self._secrets(exchange))

    # What is secret

    def _secrets(self, exchange: Exchange) -> Secrets:
        found = [
            text
            for name, value in _parameters(exchange.target)
            if self._is_secret_parameter(name)
            for text in (value, unquote_plus(value))
        ]
        found += [
            value.decode("latin-1")
            for name, value in exchange.headers
            if name in self._secret_headers
        ]
        if _REQUEST_ID in self._headers:
            found.append(exchange.request_id)
        try:
            found += self._secrets_of_body(exchange.request_body)
        except AnswerUnreadable:
            return Secrets(None)
        return secrets_of(found)

    def _secrets_of_body(self, body: bytes) -> list[str]:
        if not body or not (self._paths or self._hides_inputs):
            return []
        document = parse_exactly(body)
        if self._hides_inputs:
            return list(leaves(document))
        found: list[Document] = []
        for path in self._paths:
            replaced(document, path, found.append)
        return [text for value in found for text in leaves(value)]

    def _is_secret_parameter(self, name: str) -> bool:
        return self._hides_inputs or unquote_plus(name).lower() in self._parameters

    # What is kept

    def _without_headers(self, exchange: Exchange) -> Exchange:
        secret = self._secret_headers
        for name, _ in exchange.headers:
            if name in secret:
                kept = tuple(one for one in exchange.headers if one[0] not in secret)
                return exchange._replace(headers=kept)
        return exchange

    def _exchange(self, exchange: Exchange, secrets: Secrets) -> Exchange:
        kept = self._without_headers(exchange)
        live = exchange.live_headers.items()
        body = self._body(exchange.live_body, exchange.live_status, secrets)
        return kept._replace(
            request_id=self._request_id(exchange.request_id, secrets),
            target=self._target(exchange.target),
            headers=tuple(
                (name, value)
                for name, value in kept.headers
                if not secrets.are_in([value.decode("latin-1")])
            ),
            request_body=self._request(exchange.request_body),
            live_headers={name: self._text(value, secrets) for name, value in live},
            live_body=body,
        )

    def _request_id(self, request_id: str, secrets: Secrets) -> str:
        is_named = _REQUEST_ID in self._headers
        return self._text(request_id, Secrets(None) if is_named else secrets)

    def _target(self, target: bytes) -> bytes:
        path, mark, _ = target.partition(b"?")
        kept = (
            f"{name}={PLACEHOLDER if self._is_secret_parameter(name) else value}"
            for name, value in _parameters(target)
        )
        return path + mark + "&".join(kept).encode("latin-1")

    def _request(self, body: bytes) -> bytes:
        if self._hides_inputs or not body:
            return b""
        return self._without_fields(body, Secrets(frozenset())) if self._paths else body

    def _answer(self, observation: Observation, secrets: Secrets) -> bytes:
        return self._body(observation.body, observation.status, secrets)

    def _body(self, body: bytes, status: int, secrets: Secrets) -> bytes:
        # A refusal quotes as it likes, in pieces and in other spellings.
        if not body or not 200 <= status < 300:
            return b""
        return self._without_fields(body, secrets, self._rounded)

    def _rounded(self, document: Document) -> Document:
        withholds = self._rules.withholds_inputs
        return rounded_answer(document, self._rules) if withholds else document

    def _without_fields(
        self,
        body: bytes,
        secrets: Secrets,
        change: Callable[[Document], Document] = lambda document: document,
    ) -> bytes:
        if secrets.values is None:
            return b""
        try:
            document = parse_exactly(body)
            for path in self._paths:
                document = replaced(document, path, lambda _: None)
            document = change(document)
            texts = list(leaves(document, with_names=True))
            if not secrets.can_search(texts):
                return b""
            if secrets.are_in(texts):
                document = unquoted(document, secrets)
            return json.dumps(document, separators=(",", ":")).encode()
        except AnswerUnreadable:
            # What cannot be read cannot be searched.
            return b""

    def _observation(
        self, observation: Observation, body: bytes, secrets: Secrets
    ) -> Observation:
        kind = self._text(media_type(observation), secrets)
        return observation._replace(body=body, content_type=kind)

    def _said(self, difference: Difference, secrets: Secrets) -> dict[str, str]:
        """Return labels, versions and digests, each with what may be kept of it."""
        texts = {label for row in difference.rows for label in (row.live, row.shadow)}
        texts |= {difference.live_version, difference.shadow_version}
        texts |= {difference.live_digest, difference.shadow_digest}
        if secrets.can_search(texts):
            return {text: self._text(text, secrets) for text in texts}
        return {text: self._text(text, Secrets(None)) for text in texts}

    def _text(self, text: str, secrets: Secrets) -> str:
        """Return a text; for one that quotes, what is equal for equal texts alone."""
        if not text or not secrets.are_in([text]):
            return text
        content = text.encode("utf-8", "surrogatepass")
        digest = blake2b(content, digest_size=8, key=self._key).hexdigest()
        return f"{PLACEHOLDER} {digest}"


def _parameters(target: bytes) -> Iterator[tuple[str, str]]:
    """Yield names and values of a query as they were sent."""
    _, _, query = target.partition(b"?")
    for pair in query.decode("latin-1").split("&") if query else ():
        name, _, value = pair.partition("=")
        yield name, value


def _texts(item: Comparison) -> Iterator[str]:
    """Yield what the reason of a difference may have been made from."""
    for observation in (item.live, item.shadow):
        if observation is None:
            continue
        yield observation.content_type
        yield observation.content_encoding
        try:
            yield from leaves(parse_exactly(observation.body), with_names=True)
        except AnswerUnreadable:
            yield observation.body.decode("utf-8", "replace")


def _told(difference: Difference, said: dict[str, str], is_quoted: bool) -> Difference:
    return difference._replace(
        # A reason quotes an answer, and may cut the quote short.
        reason=WITHHELD if difference.reason and is_quoted else difference.reason,
        rows=tuple(_row_told(row, said) for row in difference.rows),
        live_version=said[difference.live_version],
        shadow_version=said[difference.shadow_version],
        live_digest=said[difference.live_digest],
        shadow_digest=said[difference.shadow_digest],
    )


def _row_told(row: RowDifference, said: dict[str, str]) -> RowDifference:
    return row._replace(live=said[row.live], shadow=said[row.shadow])


def _hashes(item: Comparison) -> bytes:
    rows = [unit.digest.hex() for unit in item.units]
    document = {"request": item.request_digest.hex(), "rows": rows}
    return json.dumps(document, separators=(",", ":")).encode()
