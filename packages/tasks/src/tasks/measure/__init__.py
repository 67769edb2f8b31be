"""Trials whose figures decide or are documented; start at `replay`."""
