"""Where the process is in its life: whether it drains, and what it has answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """
    Where the process is in its life.

    Attributes
    ----------
    draining : bool
        Whether it finishes what it has accepted and wants nothing new.
    answered : int
        Requests answered so far.
    """

    draining: bool = False
    answered: int = 0
