"""What is known of files of which one may be the mask of another: their headers, and what those look like that were decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from mitlgan.data.decode.image_file import ImageHeader, UnreadableImageError, parse_header
from mitlgan.data.sources.formats import suffix_of
from mitlgan.data.sources.mask_look import Look, look_at

_LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif"})


class TwinFiles:
    """What is known of the files; each is decoded once at most, and of many large ones only what it looks like is kept.

    Args:
        positions: Of the names, in the order in which they are read fastest.
        read: See `mitlgan.data.sources.mask_twins.match_twin_masks`.
        read_header: See `mitlgan.data.sources.mask_twins.match_twin_masks`.
    """

    def __init__(self, positions: Mapping[str, int], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]) -> None:
        self._positions, self._read, self._read_header = positions, read, read_header
        self.looks: dict[str, Look | None] = {}
        self.headers: dict[str, ImageHeader | None] = {}

    def decode(self, names: Iterable[str]) -> None:
        """Look at files; an unreadable one looks like nothing."""
        for name in sorted(set(names) - self.looks.keys(), key=self._positions.__getitem__):
            self.looks[name] = self.headers[name] = None
            with suppress(UnreadableImageError):
                content = self._read(name)
                self.headers[name] = parse_header(content, len(content))
                self.looks[name] = look_at(content, suffix_of(name) in _LOSSY_SUFFIXES)

    def peek(self, names: Iterable[str]) -> None:
        """Read the headers of files: from the first bytes, or from all of them where these do not tell; an unreadable one has none."""
        for name in sorted(set(names) - self.headers.keys(), key=self._positions.__getitem__):
            self.headers[name] = self._header(name)

    def _header(self, name: str) -> ImageHeader | None:
        with suppress(UnreadableImageError):
            return self._read_header(name)
        with suppress(UnreadableImageError):
            content = self._read(name)
            return parse_header(content, len(content))
        return None

    def header_kind(self, name: str) -> tuple[str, tuple[int, int]] | None:
        """Return form and size of a file of which the header was read."""
        header = self.headers[name]
        return (header.form, header.size) if header else None
