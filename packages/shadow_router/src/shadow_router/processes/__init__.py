"""The processes of one router: supervisor, router, collector; start at `supervisor`."""
