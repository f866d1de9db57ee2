"""Random networks of every space and precision, compiled for every target that runs here, beside torch."""
