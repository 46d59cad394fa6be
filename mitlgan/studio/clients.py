"""Who asks, by address, and how fast a client may guess the token."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mitlgan.studio.errors import RequestRefused

MAX_CLIENTS = 4096
MAX_WAITING_GUESSES = 4
"""That wait at a time, of one client."""
IPV6_PREFIX_BITS = 64
"""Bits of an address that a provider gives to one customer."""


def client_key(address: Sequence[Any] | None) -> str:
    """A client by its address, as a server has it; all of an IPv6 customer's addresses are one."""
    host = str(address[0]) if address else ""
    try:
        known = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return host
    if known.version == 4:
        return str(known)
    return str(known.ipv4_mapped or ipaddress.ip_network((known, IPV6_PREFIX_BITS), strict=False))


@dataclass(eq=False)
class _Guesser:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    free_at: float = 0.0


class TokenGuessLimiter:
    """Takes the guesses of each client one after another, with a pause after a wrong one, before the next is looked at, be it right or wrong.

    Args:
        pause_s: After a wrong one.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    async def check_guess(self, client: str, look: Callable[[], bool]) -> bool:
        """Whether a guess is right, when its turn has come.

        Args:
            client: Whose it is; see `client_of`.
            look: Says it.

        Raises:
            Refused: 429, too many of this client wait.
        """
        guesser = self._guessers.setdefault(client, _Guesser())
        self._guessers.move_to_end(client)
        if guesser.waiting >= MAX_WAITING_GUESSES:
            raise RequestRefused(
                429, "token: too many guesses at once; wait, and send the right one", retry_s=max(1, round(MAX_WAITING_GUESSES * self._pause_s))
            )
        guesser.waiting += 1
        try:
            async with guesser.turn:
                await asyncio.sleep(max(0.0, guesser.free_at - time.monotonic()))
                right = look()
                if not right:
                    guesser.free_at = time.monotonic() + self._pause_s
                return right
        finally:
            guesser.waiting -= 1
            self._forget()

    def _forget(self) -> None:
        for client in list(self._guessers)[: max(0, len(self._guessers) - MAX_CLIENTS)]:
            if not self._guessers[client].waiting:
                del self._guessers[client]
