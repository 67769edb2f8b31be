"""What a person reads: OpenAPI and the page; start at `openapi`."""
