"""The protocol of measuring, and where it runs."""
