"""Differential testing of two versions of one model on the same traffic."""

__version__ = "0.3.0"
