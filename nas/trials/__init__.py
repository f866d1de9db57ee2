"""One claimed trial from its claim to its end."""
