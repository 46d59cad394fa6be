"""Web addresses from lists and headers, which may be any text."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_address(text: str) -> SplitResult:
    """Return the parts of an address; all of them empty for text that is none, such as `http://[::1/a.jpg`."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def host_of(parts: SplitResult) -> str:
    """Return the host in lower case, with the port if it is neither that of http nor of https; empty if there is none."""
    try:
        port = parts.port
    except ValueError:  # no number, or beyond all ports
        return parts.netloc.lower()
    return f"{parts.hostname or ''}{'' if port in (None, 80, 443) else f':{port}'}"
