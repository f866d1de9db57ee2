"""A trained network becomes a checked artifact."""
