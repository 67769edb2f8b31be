"""From sums over comparisons to one verdict; start at `verdict`."""
