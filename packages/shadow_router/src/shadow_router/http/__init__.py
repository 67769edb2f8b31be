"""HTTP/1.1 on both sides; start at `protocol` and `http_client`."""
