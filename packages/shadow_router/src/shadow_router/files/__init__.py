"""Small files: whole from their first moment, mapped, for their owner alone."""
