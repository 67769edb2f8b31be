"""The Open Inference Protocol; start at `open_inference`."""
