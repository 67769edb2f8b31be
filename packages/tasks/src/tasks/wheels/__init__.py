"""What a published wheel is and must prove; start at `verifier`."""
