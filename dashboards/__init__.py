"""What people look at: read-only pages over the trial ledger, served to a browser."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dashboards.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # On first use, so that importing the room does not load Dash.
    if name != "create_app":
        raise AttributeError(f"module 'dashboards' has no attribute '{name}'")
    from dashboards.app import create_app

    return create_app
