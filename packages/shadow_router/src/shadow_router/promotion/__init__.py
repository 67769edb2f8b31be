"""Moving a pin after a PASS, and back; start at `promotion`."""
