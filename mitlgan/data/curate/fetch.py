"""`data fetch`: the one place where the product downloads pictures, from an explicit list, bounded in size, type and time, and resumable."""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from mitlgan.data.build.journal import Journal
from mitlgan.data.build.parallel import in_order
from mitlgan.data.curate.table_selection import rows
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, read_file
from mitlgan.data.sources.formats import HEAD_BYTES, detect_suffix
from mitlgan.errors import DataError, resource_fault
from mitlgan.runtime.files import ensure_folder, folder_lock, write_atomically, write_json
from mitlgan.runtime.progress import ProgressCallback
from mitlgan.runtime.text_files import read_text
from mitlgan.version import __version__

SCHEMES = ("http", "https")
MAX_REDIRECTS = 5
MAX_LIST_BYTES = 1_000_000_000
_BLOCK = 1 << 16


@dataclass(frozen=True)
class FetchSettings:
    """Bounds of a download.

    Attributes:
        max_bytes: Largest file.
        max_total_bytes: Of all together; what would go beyond is not begun.
        timeout_s: Longest wait for an answer or for more of it.
        deadline_s: Longest time for one file, however steadily it drips.
        tries: Attempts at a file whose server fails or does not answer.
        pause_s: Before the second attempt; doubled each time.
    """

    max_bytes: int = 20_000_000
    max_total_bytes: int = 50_000_000_000
    timeout_s: float = 15.0
    deadline_s: float = 120.0
    tries: int = 3
    pause_s: float = 1.0


class _NotFetchedError(Exception):
    """Why not; `again` when another attempt may help."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a few, to web addresses only."""

    max_redirections = MAX_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in SCHEMES:
            raise _NotFetchedError(f"redirected to {urlsplit(newurl).scheme or 'nothing'}: not the web")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def read_urls(path: Path, column: str = "") -> list[str]:
    """The addresses of a file: one a line, or a column of a table (.csv, .tsv, .jsonl), each once, in order.

    Raises:
        DataError: The file cannot be read, or has none.
    """
    if column:
        found = [str(row.get(column) or "").strip() for row in rows(path, "LIST")]
    else:
        found = [line.strip() for line in read_text(path, f"LIST {path}", DataError, MAX_LIST_BYTES).split("\n")]
    addresses = list(dict.fromkeys(address for address in found if address and not address.startswith("#")))
    if not addresses:
        raise DataError(f"LIST {path}: holds no address{f' in column {column}' if column else ''}; write one a line")
    return addresses


def fetch_pictures(addresses: list[str], out: Path, settings: FetchSettings, progress: ProgressCallback | None = None) -> dict[str, Any]:
    """Download pictures; what is there already is not asked for again, what failed before is tried again.

    Args:
        addresses: http or https.
        out: Folder for the pictures, `fetch.json` and `unreachable.txt`.
        settings: Bounds.
        progress: Told how many of how many are done.

    Returns:
        Counts (fetched, had, changed since by somebody, failed, bytes), reasons of failures with their counts, and the failures.

    Raises:
        DataError: Not one address could be fetched.
        ResourceError: The folder cannot be written.
    """
    ensure_folder(out)
    with folder_lock(out), Journal(out / ".journal.jsonl", {"work": "fetch", "version": 1}) as journal:
        had = {line["url"]: there for line in journal.lines if line["file"] and (there := _as_it_is(out, line)) is not None}
        left = [address for address in addresses if address not in had]
        spent = _Budget(settings.max_total_bytes)
        failures: list[dict[str, str]] = []
        fetched: dict[str, dict[str, Any]] = {}
        for number, (address, found) in enumerate(
            in_order(left, lambda address: _fetched(address, settings, spent)), start=len(addresses) - len(left) + 1
        ):
            if isinstance(found, _NotFetchedError):
                failures.append({"url": address, "reason": str(found)})
            else:
                name = _file_name(address, found)
                write_atomically(out / name, found)
                fetched[address] = {"url": address, "file": name, "sha256": hashlib.sha256(found).hexdigest(), "bytes": len(found)}
                journal.append(fetched[address])
            if progress is not None:
                progress(number, len(addresses))
        return _finish(out, addresses, had, fetched, failures, settings)


def _finish(
    out: Path, addresses: list[str], had: dict[str, Any], fetched: dict[str, Any], failures: list[dict[str, str]], settings: FetchSettings
) -> dict[str, Any]:
    changed = sum("changed" in line for line in had.values())
    counts = {
        "asked": len(addresses), "fetched": len(fetched), "had": len(addresses) - len(fetched) - len(failures), "changed": changed,
        "failed": len(failures),
    }  # fmt: skip
    reasons = dict(Counter(failure["reason"].split(":")[0] for failure in failures).most_common())
    files = [{**had, **fetched}[address] for address in addresses if address in had or address in fetched]
    write_json(out / "fetch.json", {"schema_version": 1, "settings": asdict(settings), "counts": counts, "files": files, "failures": failures})
    write_atomically(out / "unreachable.txt", "".join(f"{failure['url']}\n" for failure in failures))
    if not files:
        raise DataError(f"LIST: none of {len(addresses)} addresses gave a picture; the first, {failures[0]['url']!r}: {failures[0]['reason']}")
    return {"counts": counts, "bytes": sum(line["bytes"] for line in files), "reasons": reasons, "failures": failures}


def _as_it_is(out: Path, line: dict[str, Any]) -> dict[str, Any] | None:
    """The account of a file that was fetched before: of what it holds now, if somebody changed it since; None where it is no picture any more."""
    try:
        content = read_file(out / line["file"])
        digest = hashlib.sha256(content).hexdigest()
        if digest == line["sha256"]:
            return line
        decode_bytes(content, keep_alpha=False, size_px=16)
    except UnreadableImageError:
        return None
    return line | {"sha256": digest, "bytes": len(content), "changed": True}


class _Budget:
    """How many bytes may still be fetched, by all threads together."""

    def __init__(self, left: int) -> None:
        self._left, self._lock = left, threading.Lock()

    def take(self, count: int) -> None:
        with self._lock:
            if count > self._left:
                raise _NotFetchedError("the limit of all files together is reached")
            self._left -= count


def _fetched(address: str, settings: FetchSettings, budget: _Budget) -> bytes | _NotFetchedError:
    for attempt in range(settings.tries):
        try:
            content = _once(address, settings, budget)
            decode_bytes(content, keep_alpha=False, size_px=16)
            return content
        except UnreadableImageError as error:
            return _NotFetchedError(f"no usable picture: {error}")
        except _NotFetchedError as error:
            if not error.again or attempt == settings.tries - 1:
                return error
            time.sleep(settings.pause_s * 2**attempt)
    return _NotFetchedError("not tried")


def _once(address: str, settings: FetchSettings, budget: _Budget) -> bytes:
    """One attempt.

    Raises:
        _NotFetchedError: With the reason.
    """
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise _NotFetchedError("not a web address (http or https)")
    opener = urllib.request.build_opener(_Redirects())
    request = urllib.request.Request(address, headers={"User-Agent": f"mitlgan/{__version__}", "Accept": "image/*"})
    ends = time.monotonic() + settings.deadline_s
    try:
        with opener.open(request, timeout=settings.timeout_s) as answer:
            kind = answer.headers.get_content_type()
            if not kind.startswith("image/") and kind != "application/octet-stream":
                raise _NotFetchedError(f"not a picture: {kind}")
            declared = answer.headers.get("Content-Length", "")
            if declared.isdigit() and int(declared) > settings.max_bytes:
                raise _NotFetchedError(f"too large: {declared} bytes")
            return _body(answer, settings, budget, ends, int(declared) if declared.isdigit() else None)
    except urllib.error.HTTPError as error:
        raise _NotFetchedError(f"HTTP {error.code}", again=error.code in (408, 425, 429) or error.code >= 500) from None
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, Exception) and (fault := resource_fault(reason)):
            raise fault from None
        timed_out = isinstance(reason, TimeoutError)
        raise _NotFetchedError("timed out" if timed_out else f"unreachable: {' '.join(str(reason).split())[:120]}", again=True) from None


def _body(answer: Any, settings: FetchSettings, budget: _Budget, ends: float, declared: int | None) -> bytes:
    content = bytearray()
    while True:
        if time.monotonic() > ends:
            raise _NotFetchedError(f"too slow: not complete after {settings.deadline_s:g} s")
        block = answer.read1(_BLOCK)
        if not block:
            break
        budget.take(len(block))
        content += block
        if len(content) > settings.max_bytes:
            raise _NotFetchedError(f"too large: more than {settings.max_bytes} bytes")
    if declared is not None and len(content) != declared:
        raise _NotFetchedError("cut short", again=True)
    return bytes(content)


def _file_name(address: str, content: bytes) -> str:
    """A plain name for any address: its last part and a hash; the ending tells what the content is."""
    stem = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in PurePosixPath(unquote(urlsplit(address).path)).stem
    )
    suffix = detect_suffix(content[:HEAD_BYTES]) or ".jpg"
    return f"{stem[:48] or 'picture'}-{hashlib.sha256(address.encode()).hexdigest()[:10]}{suffix}"
