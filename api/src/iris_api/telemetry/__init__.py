"""What is told of requests: records, metrics, spans, log."""
