"""The rule file and what it says; start at `rule_file`."""
