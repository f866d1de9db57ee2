"""Where trials run on a Ray cluster, through Ray Tune."""
