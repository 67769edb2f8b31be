"""The HTTP/1.1 server: deadlines, caps, lossless stop; see `server`."""
