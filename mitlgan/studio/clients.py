"""Clients by address, and a limit on how fast a client may guess the token."""

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
"""Maximum number of guesses of one client that wait at a time."""
IPV6_PREFIX_BITS = 64
"""Providers usually give one customer all addresses with the same first 64 bits."""


def client_key(address: Sequence[Any] | None) -> str:
    """Return a key for a client's address; all addresses of an IPv6 customer share one."""
    host = str(address[0]) if address else ""
    try:
        ip = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return host
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, IPV6_PREFIX_BITS), strict=False))


@dataclass(eq=False)
class _Guesser:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    free_at: float = 0.0


class TokenGuessLimiter:
    """Checks the guesses of each client one after another; after a wrong guess the next one, right or wrong, waits.

    Args:
        pause_s: Pause after a wrong guess.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()

    async def check_guess(self, client: str, compare: Callable[[], bool]) -> bool:
        """Check a guess when its turn comes.

        Args:
            client: The client; see `client_key`.
            compare: Returns whether the guess is right.

        Raises:
            RequestRefused: 429, too many guesses of this client are waiting.
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
                right = compare()
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
