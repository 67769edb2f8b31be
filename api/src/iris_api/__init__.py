"""Serve the installed model over HTTP: strict about input, every answer recorded."""

__version__ = "0.3.0"
