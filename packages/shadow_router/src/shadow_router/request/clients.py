"""Whose a request is: told apart by a keyed hash, and never by name; pure."""

from functools import lru_cache
from hashlib import blake2b
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

#: What clients without the header that names them are together.
UNNAMED = "unnamed"
#: Of the API's own page, which says of its requests that they are no evidence.
FROM_PAGE = b"x-from-page"
#: Names a client where live asks for keys.
KEY_HEADER = "x-api-key"
#: Of an IPv6 address: who has one has all that begin like it.
_PREFIX = 64


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return who may have an address: an IPv4 address, or a network of IPv6."""
    try:
        found = IPv6Address(address)
    except AddressValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(IPv4Address(found.ipv4_mapped))
    return str(IPv6Network((int(found), _PREFIX), strict=False))


def named_by(values: list[bytes]) -> str:
    """Return whom a header names: of several, the last, which the nearest hop wrote."""
    return values[-1].rpartition(b",")[2].strip().decode("latin-1") if values else ""


@lru_cache(maxsize=4096)
def hashed(client: str, key: bytes) -> str:
    """
    Return what tells a client from others: nobody without the key finds it out.

    What stands before the dot tells keys apart: with another key the same client has
    another hash.
    """
    place = blake2b(key, digest_size=2).hexdigest()
    name = blake2b(client.encode(), digest_size=4, key=key).hexdigest()
    return f"{place}.{name if client else UNNAMED}"
