"""The report drawn as HTML; start at `page`."""
