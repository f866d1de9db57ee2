"""What a network costs: the table of measured kernels, and predictions from it."""
