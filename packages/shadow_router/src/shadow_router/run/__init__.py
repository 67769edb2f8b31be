"""What the processes of a run share on disk; start at `books`."""
