"""Artifacts on the Hugging Face Hub: `hf://OWNER/NAME[@REVISION][#sha256=HASH]`.

Nothing is fetched but the card and the one safetensors file that it names; nothing in them is executed. Files are kept in the Hub's own cache, which
also serves them without network (`HF_HUB_OFFLINE=1`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mitlgan.artifacts.card import KIND_WITH_ARTICLE, read_weights_hash
from mitlgan.errors import ArtifactError, ResourceError, UsageError, resource_fault
from mitlgan.runtime.json_files import read_json

PREFIX = "hf://"
CARD_FILE = "card.json"
MAX_CARD_BYTES = 10_000_000
MAX_WEIGHTS_BYTES = 8_000_000_000
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[\w-])?"
_REFERENCE = re.compile(rf"hf://(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>[\w][\w./-]{{0,199}}))?(?:#sha256=(?P<sha256>[0-9a-f]{{64}}))?", re.ASCII)
_TRUE = ("1", "on", "yes", "true")


class HubReference(NamedTuple):
    """A place on the Hub.

    Attributes:
        repo: Owner and name.
        revision: Branch, tag or commit; None: the main branch.
        sha256: Hash that the weights must have: that of the file, or that of its tensors, as its card says it.
    """

    repo: str
    revision: str | None
    sha256: str | None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_hub_reference(path: str | Path) -> bool:
    """Return whether a path names a place on the Hub; a `Path` has one of its slashes."""
    return str(path).startswith("hf:/")


def parse_hub_reference(path: str | Path) -> HubReference:
    """Parse a reference.

    Raises:
        UsageError: It is malformed, or holds `..`.
    """
    text = re.sub(r"^hf:/+", PREFIX, str(path))
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text or "--" in (match["repo"] or ""):
        raise UsageError(f"{text}: write it as hf://OWNER/NAME, with @REVISION and #sha256=HASH if you like; letters, digits, '-', '_' and single '.'")
    return HubReference(match["repo"], match["revision"], match["sha256"])


def fetch_hub_artifact(path: str | Path) -> Path:
    """Fetch an artifact and its card, or take them from the cache.

    Args:
        path: See `parse_hub_reference`.

    Returns:
        The artifact's file in the Hub's cache.

    Raises:
        UsageError: The reference is malformed.
        ArtifactError: There is no such artifact, it cannot be reached, or it does not have the hash.
        ResourceError: The cache cannot be written.
    """
    reference = parse_hub_reference(path)
    kind = _read_kind(reference, _fetch(reference, CARD_FILE, MAX_CARD_BYTES))
    weights = _fetch(reference, f"{kind}.safetensors", MAX_WEIGHTS_BYTES)
    if reference.sha256 not in (None, read_weights_hash(weights), _file_sha256(weights)):
        raise ArtifactError(f"{reference}: has not the SHA-256 {reference.sha256}; it was changed, or the hash is that of another artifact")
    return weights


def _read_kind(reference: HubReference, card: Path) -> str:
    try:
        kind = read_json(card.resolve()).get("kind")
    except ResourceError as error:
        raise ArtifactError(f"{reference}: its {CARD_FILE} cannot be read ({error})") from None
    if kind not in KIND_WITH_ARTICLE:
        raise ArtifactError(f"{reference}: its {CARD_FILE} is not that of an artifact; give what `mitlgan export --to hub-folder` wrote")
    return str(kind)


def _fetch(reference: HubReference, name: str, max_bytes: int) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its tries are its own: what fails in the end is one line

    if not sys.stderr.isatty():
        disable_progress_bars()
    is_offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE
    options: dict[str, Any] = {
        "repo_id": reference.repo,
        "filename": name,
        "revision": reference.revision,
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "cache_dir": os.environ.get("HF_HUB_CACHE") or None,
        "local_files_only": is_offline,
        "library_name": "mitlgan",
    }
    with _one_line(reference, name, is_offline):
        if not is_offline:
            size = hf_hub_download(**options, dry_run=True).file_size
            if size > max_bytes:
                raise ArtifactError(f"{reference}: its {name} has {size} bytes, more than {max_bytes}; it was not fetched")
        return Path(hf_hub_download(**options))


@contextmanager
def _one_line(reference: HubReference, name: str, is_offline: bool) -> Iterator[None]:
    """Turn the Hub's errors into one line.

    Raises:
        ArtifactError: The Hub has no such thing, or cannot be reached.
        ResourceError: The machine failed.
    """
    from huggingface_hub import errors

    try:
        yield
    except ArtifactError:
        raise
    except errors.LocalEntryNotFoundError:
        way_out = "unset HF_HUB_OFFLINE" if is_offline else "check the network, or HF_ENDPOINT"
        raise ArtifactError(f"{reference}: the Hub cannot be reached, and its {name} is not in the cache; {way_out}") from None
    except errors.RevisionNotFoundError:
        raise ArtifactError(f"{reference}: has no revision {reference.revision!r}; leave it out, or give a branch, tag or commit") from None
    except errors.EntryNotFoundError:
        raise ArtifactError(f"{reference}: has no {name}, so it is no artifact of mitlgan's; `mitlgan export --to hub-folder` makes one") from None
    except errors.RepositoryNotFoundError:
        raise ArtifactError(f"{reference}: there is no such repository on the Hub, or you have no access; `hf auth login` gives a token") from None
    except Exception as error:  # of the client, which changes from release to release
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise resource_fault(error) or ArtifactError(f"{reference}: its {name} could not be fetched ({reason})") from None


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
