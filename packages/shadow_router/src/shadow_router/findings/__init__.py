"""What the evidence says, gathered for page, JSON and bundle; start at `findings`."""
