"""What git knows: whether the tree is committed, and which tags there are."""

from __future__ import annotations

import subprocess

from tasks.refusal import Refused


def check_clean(*beside: str) -> None:
    """
    Raise Refused if something is not committed.

    Parameters
    ----------
    *beside : str
        Folders that may hold what is not committed.
    """
    paths = [".", *(f":(exclude){folder}" for folder in beside)]
    changed = _git("status", "--porcelain", "--", *paths).splitlines()
    if changed:
        what = changed[0][3:] + (" and others" if len(changed) > 1 else "")
        raise Refused(f"not committed: {what}; commit or undo it first")


def tags(prefix: str) -> list[str]:
    """Return all tags that begin with a prefix."""
    return _git("tag", "--list", f"{prefix}*").splitlines()


def tags_here(prefix: str) -> list[str]:
    """Return the tags of the checked out commit that begin with a prefix."""
    return _git("tag", "--points-at", "HEAD", "--list", f"{prefix}*").splitlines()


def commit_time() -> str:
    """Return when the checked out commit was made, in seconds since 1970."""
    return _git("log", "-1", "--format=%ct").strip()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise Refused(f"git {arguments[0]} failed: {reason[0]}")
    return done.stdout
