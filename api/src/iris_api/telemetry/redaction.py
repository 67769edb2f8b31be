"""
What a record tells of a request's rows when it must not tell their values.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b, sha256
from operator import itemgetter
from struct import Struct

from iris_api.schemas import Rows

# Enough to count on: the odds of two rows sharing a hash stay below 1 in 10^12
# for the first 10^13 rows.
DIGEST_BYTES = 16
# Of probabilities: with hundredths a row of four features could be found.
DECIMALS = 1


class Redaction:
    """
    Replace rows by salted hashes: equal rows can be counted, none can be read.

    Whoever has the salt can find a row by trying; whoever has not, cannot.

    Parameters
    ----------
    names : list of str
        The model's features, in its order, in which they are hashed.
    salt : str or None
        Secret; None for one of this process alone, which nobody ever sees.
    """

    def __init__(self, names: list[str], salt: str | None) -> None:
        secret = secrets.token_bytes(32) if salt is None else salt.encode()
        # blake2b takes 64 bytes at most, a salt may be any text.
        key = sha256(secret).digest()
        self._keyed = blake2b(digest_size=DIGEST_BYTES, key=key)
        self._values = itemgetter(*names, *names[:1])  # a tuple, even of one feature
        self._pack = Struct(f"<{len(names)}d").pack

    def inputs(self, rows: Rows) -> list[str]:
        """
        Return a hash for each row, 32 hexadecimal digits.

        Parameters
        ----------
        rows : list of dict of str to float
            Exactly the features in each; their order and the sign of a zero do not
            matter.
        """
        return [self._hash(row) for row in rows]

    def _hash(self, row: dict[str, float]) -> str:
        hashed = self._keyed.copy()
        hashed.update(self._pack(*[v + 0.0 for v in self._values(row)[:-1]]))
        return hashed.hexdigest()

    def probabilities(self, shares: list[dict[str, float]]) -> list[dict[str, float]]:
        """
        Return probabilities rounded to tenths.

        In full they would tell the row to whoever has the model and tries.
        """
        return [
            {name: round(share, DECIMALS) for name, share in row.items()}
            for row in shares
        ]
