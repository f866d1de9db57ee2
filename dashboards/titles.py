"""What the tab of a browser calls each page; ``assets/mount.js`` adds the application's name."""

from dashboards.routes import Route

TITLES = {
    "searches": "Searches",
    "searches_compared": "Searches compared",
    "search": "{0.search}",
    "trial": "Trial {0.trial} of {0.search}",
    "trials_compared": "Trials of {0.search} compared",
    "devices": "Devices",
    "device": "Device {0.device}",
    "artifacts": "Artifacts",
    "artifact": "Artifact {0.artifact}",
}
"""By the page's name in ``routes.PATTERNS``; the fields are those of its route."""


def title_of(route: Route | None) -> str:
    """Such as ``Trial 3 of demo``; ``route`` is None where an address names no page."""
    return "No such page" if route is None else TITLES[route.page].format(route)
