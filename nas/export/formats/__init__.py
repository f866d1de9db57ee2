"""The forms in which a network is exported: a compiled library, C, weights, and those that plug-ins add."""
