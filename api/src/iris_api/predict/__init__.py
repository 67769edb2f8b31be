"""From the bytes of rows to the bytes of predictions; start at `prediction`."""
