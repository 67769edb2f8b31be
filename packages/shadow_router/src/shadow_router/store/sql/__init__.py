"""Tables, statements and engines: SQLite or PostgreSQL, in the words of both."""
