"""Text of others in figures: plotly takes some HTML for markup, also links, wherever it draws a text."""

from html import escape


def inert(text: str) -> str:
    """``text`` as plotly draws it letter by letter; quotes stay, as it knows no names for these."""
    return escape(text, quote=False)
