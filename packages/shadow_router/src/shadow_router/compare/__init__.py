"""Two answers to one request, side by side; start at `compare`."""
