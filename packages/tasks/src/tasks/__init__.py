"""What tox runs beside tests: releasing, running, deploying, measuring, checking."""
