"""Who may ask, and how often; start at `access`."""
