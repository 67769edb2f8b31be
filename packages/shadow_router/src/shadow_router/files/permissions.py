"""
Who may write what decides who is let in, and who may read what clients have sent.

Every unit that keeps keys has this same file, to the letter.
"""

from __future__ import annotations

import stat
from pathlib import Path

# What a process of ours makes is for its owner alone.
UMASK = 0o077


def fault_of_file(path: Path) -> str:
    """
    Return why what a file says cannot be trusted, an empty text if it can.

    Whoever may write to it decides who is let in. Links are followed: the secrets of
    Kubernetes are links.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return "not a file"
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others than its owner may write to it; chmod go-w it"
    return ""


def fault_of_folders(path: Path) -> str:
    """Return why another file may take the place of this one, an empty text if none."""
    for folder in (*path.absolute().parents, *path.resolve().parents):
        mode = folder.stat().st_mode
        # In a sticky folder, such as /tmp, its owner alone may replace a file.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"everybody may put another in its place; chmod o-w {folder}"
    return ""


def is_open_to_others(path: Path) -> bool:
    """Return whether others than its owner may do anything with a file or folder."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
