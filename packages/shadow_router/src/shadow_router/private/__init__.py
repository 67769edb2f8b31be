"""What the private port answers: report, controls, labels; start at `report`."""
