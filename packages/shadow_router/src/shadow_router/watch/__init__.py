"""Live as it is now: its last hour and its drift; start at `hour`."""
