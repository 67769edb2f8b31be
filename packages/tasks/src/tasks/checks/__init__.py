"""Checks beside tests: index, installs, workflows, vulnerabilities, notebooks."""
