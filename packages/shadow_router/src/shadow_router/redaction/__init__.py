"""What is never kept of a request; start at `redaction`."""
