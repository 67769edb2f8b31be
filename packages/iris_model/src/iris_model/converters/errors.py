"""
The one error of the converters.
"""

from __future__ import annotations


class Unsupported(ValueError):
    """Raised when a transformer, or an option of one, has no compiled form."""
