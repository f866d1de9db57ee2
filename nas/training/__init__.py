"""One reproducible training."""
