"""Settings and limits of the studio."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from mitlgan.errors import UsageError

LOOPBACK = "127.0.0.1"
MIN_TOKEN_CHARS = 16
MAX_HOLE_CHARS = 4_000_000
"""Characters of the data URI of a hole."""
MAX_FIELDS_BYTES = 10_000
"""Bytes of a body beside its picture and its hole."""
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class StudioSettings:
    """Settings and limits of a studio.

    Attributes:
        artifacts: Artifacts, runs, or folders of them; empty: the shipped artifacts and the finished runs.
        runs: Folder of runs.
        data: Folders, archives and packs that the page may train on, besides the demo. Beyond this machine nothing can be trained without them.
        host: Address to listen on.
        token: Secret that clients must send; required unless only this machine can connect.
        names: Accepted host names, in addition to addresses and this machine's own name.
        docs: Whether the REST API is documented at `docs`; None: only on this machine.
        device: Device to compute on.
        max_body_bytes: Largest JSON body.
        max_upload_bytes: Largest file of a picture.
        max_uploads: Bodies with a picture that are read at the same time; they take most memory.
        body_timeout_s: Time for a body to arrive.
        guess_pause_s: Pause of a client after a wrong token.
        max_waiting: Pictures that may wait for the worker, and as many other tasks.
        work_timeout_s: Time limit of a picture.
        orphan_timeout_s: Time after which a job without listeners is cancelled.
    """

    artifacts: tuple[Path, ...] = ()
    runs: Path = Path("runs")
    data: tuple[Path, ...] = ()
    host: str = LOOPBACK
    token: str | None = None
    names: tuple[str, ...] = ()
    docs: bool | None = None
    device: str = "cpu"
    max_body_bytes: int = 1_000_000
    max_upload_bytes: int = 32_000_000
    max_uploads: int = 4
    body_timeout_s: float = 15.0
    guess_pause_s: float = 1.0
    max_waiting: int = 16
    work_timeout_s: float = 60.0
    orphan_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN_CHARS:
            what = f"has {len(self.token)} characters" if self.token else "is empty"
            raise UsageError(f"--token: {what}; give a secret of your own, of {MIN_TOKEN_CHARS} characters or more")
        if not self.is_local and self.token is None:
            raise UsageError(f"--host {self.host}: others could connect, so a secret is needed; give --token, or leave --host at {LOOPBACK}")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def max_inpaint_bytes(self) -> int:
        """Largest body with a picture and its hole, both as base64, which is a third longer than what it holds."""
        return 4 * self.max_upload_bytes // 3 + MAX_HOLE_CHARS + MAX_FIELDS_BYTES

    @property
    def has_docs(self) -> bool:
        """Whether the REST API is documented."""
        return self.is_local if self.docs is None else self.docs
