"""The ``nas`` command line: one module per group of commands, each imported when its command is called."""
