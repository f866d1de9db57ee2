"""What the trials of a search amount to: fronts, knees, hypervolumes, and all that its views show."""
