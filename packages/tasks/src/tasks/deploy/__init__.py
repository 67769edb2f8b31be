"""Plan, apply, promote and roll back in the cloud; start at `deploy`."""
