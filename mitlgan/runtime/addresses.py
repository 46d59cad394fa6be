"""Web addresses from lists and headers, which may be any text."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_address(text: str) -> SplitResult:
    """Return the parts of an address; all of them empty for text that is none, such as `http://[::1/a.jpg`."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")
