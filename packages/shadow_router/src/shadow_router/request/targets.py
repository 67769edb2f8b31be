"""Request targets: the same place has one spelling; pure."""

from functools import lru_cache


def origin_form(target: bytes) -> bytes:
    """Return a target as a path with its query: without scheme, host or fragment."""
    target, _, _ = target.partition(b"#")
    if target.startswith(b"/") or b"://" not in target:
        return target
    _, _, rest = target.partition(b"://")
    starts = [at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0]
    if not starts:
        return b"/"
    rest = rest[min(starts) :]
    return rest if rest.startswith(b"/") else b"/" + rest


@lru_cache(maxsize=1024)
def path_of(target: bytes) -> bytes:
    """Return the path alone."""
    return origin_form(target).partition(b"?")[0]
