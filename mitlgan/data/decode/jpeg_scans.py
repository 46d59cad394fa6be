"""Makes the decoder notice a JPEG of which pixels are missing, though its file has an end mark.

The decoder, libjpeg, fills what is missing before an end mark with grey, and its warning does not get here. Where data end without a mark it asks for
more, and fails. So the mark is cut off a JPEG of one scan. One of several scans is decoded after its last one, mark included: there the headers tell
whether a scan is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SOI = b"\xff\xd8"
_SOS, _EOI = 0xDA, 0xD9
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # with Huffman codes; those of other kinds are left as they are
_SCAN_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # other marks are stuffed bytes and restarts, inside a scan
_LOOKAHEAD = b"\xfe" * 8  # the decoder fills a register of 64 bits before it takes the last ones; such bits are long codes, so they make no pixels
_COEFFICIENTS = 64
_MAX_MARKS = 10_000  # files of more are left to the decoder


def with_unread_end(content: bytes) -> bytes:
    """Return a file as it is to be decoded: a JPEG without its end mark, where the decoder can do without; others unchanged.

    Raises:
        EOFError: Scans of a JPEG are missing.
    """
    if not content.startswith(SOI):
        return content
    header = _Header()
    position = len(SOI)
    for _ in range(_MAX_MARKS):
        if content[position : position + 1] != b"\xff" or position + 1 == len(content):
            break
        mark, start = content[position + 1], position + 4
        if mark == 0xFF:  # padding
            position += 1
            continue
        if mark == _EOI:
            header.check_scans()
            return content
        position += 2 + int.from_bytes(content[position + 2 : start], "big")
        segment = content[start:position]
        if mark in (*_SEQUENTIAL, _PROGRESSIVE):
            header.read_frame(mark, segment)
        if mark != _SOS:
            continue
        is_single = header.read_scan(segment)
        end = _SCAN_END.search(content, position)
        if end is None:
            return content
        if is_single:
            return content[: end.start()] + _LOOKAHEAD
        position = end.start()
    return content


@dataclass
class _Header:
    """What the headers of a JPEG say.

    Attributes:
        mark: Kind of its frame; 0 before that is known.
        missing_bits: By the number of a component, for each coefficient: how many of its lowest bits no scan has brought yet.
    """

    mark: int = 0
    missing_bits: dict[int, list[int]] = field(default_factory=dict)

    def read_frame(self, mark: int, segment: bytes) -> None:
        """Read precision, size and components of a frame."""
        self.mark = mark
        self.missing_bits = {number: [_COEFFICIENTS] * _COEFFICIENTS for number in segment[6::3]}

    def read_scan(self, segment: bytes) -> bool:
        """Read which coefficients a scan brings; return whether it brings all there is, at once."""
        count = segment[0] if segment else 0
        components, parameters = segment[1 : 1 + 2 * count : 2], segment[1 + 2 * count :]
        if len(parameters) != 3:
            return False
        first, last, low_bits = parameters[0], min(parameters[1], _COEFFICIENTS - 1), parameters[2] & 15
        for number in components:
            if number in self.missing_bits:
                self.missing_bits[number][first : last + 1] = [low_bits] * (last + 1 - first)
        return self.mark in _SEQUENTIAL and count == len(self.missing_bits)

    def check_scans(self) -> None:
        """Refuse a picture of which a scan is missing.

        Raises:
            EOFError: No scan brings the lowest bits of some coefficient.
        """
        if any(any(bits) for bits in self.missing_bits.values()):
            raise EOFError("image file is truncated (scans are missing)")
