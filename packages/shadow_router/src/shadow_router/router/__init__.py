"""The clients' side: forward, answer, copy; start at `app`."""
