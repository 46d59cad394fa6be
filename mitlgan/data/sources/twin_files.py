"""What is known of files of which one may be the mask of another: their headers, what those look like that were decoded, and what that tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from mitlgan.data.decode.image_file import ImageHeader, UnreadableImageError, parse_header
from mitlgan.data.sources.mask_look import MIN_MASKS, Look, look_at
from mitlgan.data.sources.mask_set import INDEX_KINDS, kind_of_pixels, may_be_lossy


class TwinFiles:
    """What is known of the files; each is decoded once at most, and of many large ones only what it looks like is kept.

    Args:
        twins: See `mitlgan.data.sources.mask_twins.find_twins`.
        names: All pictures of the source, in the order in which they are read fastest.
        read: See `mitlgan.data.sources.mask_twins.match_twin_masks`.
        read_header: See `mitlgan.data.sources.mask_twins.match_twin_masks`.
    """

    def __init__(
        self, twins: Sequence[Sequence[str]], names: Iterable[str], read: Callable[[str], bytes], read_header: Callable[[str], ImageHeader]
    ) -> None:
        self._group_of = {name: group for group in twins for name in group}
        self._positions = {name: position for position, name in enumerate(name for name in names if name in self._group_of)}
        self._read, self._read_header = read, read_header
        self.looks: dict[str, Look | None] = {}
        self.headers: dict[str, ImageHeader | None] = {}

    def decode(self, names: Iterable[str]) -> None:
        """Look at files; an unreadable one looks like nothing."""
        for name in sorted(set(names) - self.looks.keys(), key=self._positions.__getitem__):
            self.looks[name] = self.headers[name] = None
            with suppress(UnreadableImageError):
                content = self._read(name)
                self.headers[name] = header = parse_header(content, len(content))
                self.looks[name] = look_at(content, may_be_lossy(header.form))

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

    def namesakes(self, name: str) -> list[str]:
        """Return the other files of its name."""
        return [other for other in self._group_of[name] if other != name]

    def _looks_of_namesakes(self, name: str) -> list[Look]:
        return [look for other in self.namesakes(name) if (look := self.looks.get(other))]

    def is_blank(self, name: str) -> bool:
        """Whether a file was decoded and has one level."""
        look = self.looks.get(name)
        return look is not None and look.is_blank

    def verdict(self, name: str) -> bool | None:
        """Whether a file is the mask of another of its name; None if it was not decoded, cannot be read, or is blank."""
        look = self.looks.get(name)
        if look is None or look.is_blank:
            return None
        others = self._looks_of_namesakes(name)
        if look.may_be_mask and not others:
            return None
        return any(look.is_mask_of(other) for other in others)

    def is_mask(self, name: str) -> bool:
        """Whether a judged file is the mask of another of its name."""
        return self.verdict(name) is True

    def is_told_by_set(self, name: str) -> bool:
        """Whether a flat file has no verdict, so that only its set may tell it: it is blank, or its namesakes cannot be read."""
        look = self.looks.get(name)
        others = self._looks_of_namesakes(name)
        return look is not None and look.may_be_mask and (not others or (look.is_blank and any(look.size == other.size for other in others)))

    def have_numbers(self, names: Sequence[str]) -> bool:
        """Whether the pixels of all files are single numbers, which may be those of classes."""
        return all(kind_of_pixels(header.form) in INDEX_KINDS for name in names if (header := self.headers[name]))

    def judge(self, names: Sequence[str]) -> None:
        """Decode files, and the namesakes of those that may be masks."""
        self.decode(names)
        flat = [name for name in names if (look := self.looks[name]) and look.may_be_mask]
        self.decode(other for name in flat for other in self.namesakes(name))

    def weight(self, name: str) -> float:
        """Return the bytes per pixel of a file; 0 if its header was not read, or cannot be."""
        header = self.headers.get(name)
        return header.bytes_per_pixel if header else 0.0

    def may_have_masks(self, names: Sequence[str]) -> bool:
        """Whether too few of a folder were decoded to say that it has no masks."""
        verdicts = [verdict for name in names if (verdict := self.verdict(name)) is not None]
        return any(verdicts) or len(verdicts) < MIN_MASKS

    def needs_more(self, names: Sequence[str], has_masks: bool) -> bool:
        """Whether more of a folder without a set must be decoded: few masks were, or masks of many classes, or most are blank or unreadable."""
        verdicts = [self.verdict(name) for name in names if name in self.looks]
        mask_count, picture_count = verdicts.count(True), verdicts.count(False)
        if len(verdicts) == len(names):
            return False
        if mask_count >= MIN_MASKS:
            return self.have_numbers([name for name in names if self.is_mask(name)])
        return mask_count > 0 or verdicts.count(None) > picture_count or (not verdicts and has_masks)
