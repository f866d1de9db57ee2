"""A plug-in: the small network beside the published ones, for ``nas`` in a process of its own."""

from search_spaces.networks.published import published
from tests.cli.small_network import small

published("small", ((1, 8, 8), 10), "none")(small)
