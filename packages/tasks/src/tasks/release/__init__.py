"""From a commit to a published wheel; start at `publish`."""
