"""Router, live and shadow here, as processes or images; start at `services`."""
