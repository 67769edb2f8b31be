"""What is known of a request before it is answered or compared."""
