"""Networks with fewer channels and blocks: which channels go together, and how they are taken out."""
