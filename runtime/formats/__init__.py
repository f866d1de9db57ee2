"""What a network is written in: an artifact, C."""
