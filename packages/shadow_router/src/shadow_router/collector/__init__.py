"""From a copied exchange to a stored comparison; start at `collector`."""
