"""`data fetch`: downloads pictures from a list of addresses, with limits of size, type and time."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from mitlgan.data.build.journal import open_journal
from mitlgan.data.build.parallel import in_order
from mitlgan.data.curate.row_filter import is_absent
from mitlgan.data.curate.table_rows import read_rows
from mitlgan.data.decode.image_file import UnreadableImageError, decode_bytes, read_file
from mitlgan.data.sources.formats import HEAD_BYTES, detect_suffix
from mitlgan.data.sources.image_source import safe_name
from mitlgan.errors import DataError, resource_fault, to_one_line
from mitlgan.runtime.addresses import split_address
from mitlgan.runtime.files import write_atomically, write_json
from mitlgan.runtime.progress import ProgressCallback, ignore_progress
from mitlgan.runtime.text_files import read_text
from mitlgan.version import __version__

SCHEMES = ("http", "https")
MAX_REDIRECTS = 5
MAX_LIST_BYTES = 1_000_000_000
KEYS_FILE = "keys.jsonl"
"""In a folder of fetched pictures: the file of each key."""
URL_COLUMN, KEY_COLUMNS = "url", ("asin", "key")
"""Columns of the lists that `data read products --write-urls` and `data open-images` write."""
PICTURE_TYPES = ("application/octet-stream", "binary/octet-stream", "")
"""Types, next to image/*, of what may be a picture; the content decides."""
_BLOCK = 1 << 16


@dataclass(frozen=True)
class FetchSettings:
    """Limits of a download.

    Attributes:
        max_bytes: Maximum size of a file.
        max_total_bytes: Maximum size of all files.
        timeout_s: Maximum wait for a response or for more of it.
        deadline_s: Maximum time for one file.
        tries: Attempts at a file whose server fails or does not respond.
        pause_s: Pause before the second attempt; doubled each time.
    """

    max_bytes: int = 20_000_000
    max_total_bytes: int = 50_000_000_000
    timeout_s: float = 15.0
    deadline_s: float = 120.0
    tries: int = 3
    pause_s: float = 1.0


class _NotFetchedError(Exception):
    """Why a file could not be fetched; `can_retry` if another attempt may help."""

    def __init__(self, reason: str, can_retry: bool = False) -> None:
        super().__init__(reason)
        self.can_retry = can_retry


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, to web addresses only."""

    max_redirections = MAX_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> urllib.request.Request | None:
        if split_address(newurl).scheme not in SCHEMES:
            raise _NotFetchedError(f"redirected to {split_address(newurl).scheme or 'nothing'}: not the web")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def read_urls(path: Path, column: str = "") -> list[str]:
    """Return the addresses in a file, each once, in order; see `read_keyed_urls`."""
    return list(read_keyed_urls(path, column))


def read_keyed_urls(path: Path, column: str = "", key_column: str = "") -> dict[str, list[str]]:
    """Return the addresses in a file, in order, each with the keys that name it: one address a line, or a column of a table (.csv, .tsv, .jsonl).

    Args:
        path: The file.
        column: Column of the addresses; empty: each line is one, and has no keys.
        key_column: Column of what an address belongs to, such as a product; empty: none.

    Raises:
        DataError: The file cannot be read, holds no address, or has no such key.
    """
    if key_column and not column:
        raise DataError(f"LIST {path}: has lines of addresses and no keys; give a table and its --url-column, or leave out --key-column")
    keyed: dict[str, list[str]] = {}
    if column:
        for number, row in enumerate(read_rows(path, "LIST", {column, key_column} - {""}), start=1):
            addresses, key = _texts(row.get(column)), "".join(_texts(row.get(key_column))[:1])
            if key_column and addresses and not key:
                columns = ", ".join(map(str, list(row)[:12]))
                raise DataError(f"LIST {path}: row {number} has no key in column {key_column}, only {columns}; name the right one by --key-column")
            for address in addresses:
                keys = keyed.setdefault(address, [])
                if key and key not in keys:
                    keys.append(key)
    else:
        text = read_text(path, f"LIST {path}", DataError, MAX_LIST_BYTES)
        keyed = {line.strip(): [] for line in text.split("\n")}
    keyed = {address: keys for address, keys in keyed.items() if address and not address.startswith("#")}
    if not keyed:
        raise DataError(f"LIST {path}: holds no address{f' in column {column}' if column else ''}; write one a line")
    if not any(split_address(address).scheme in SCHEMES for address in keyed):
        place = f"column {column}" if column else "it (the column of a table: --url-column)"
        raise DataError(f"LIST {path}: no address of http or https in {place}, such as {next(iter(keyed))[:80]!r}; give one a line")
    return keyed


def _texts(value: Any) -> list[str]:
    """Return the texts of a cell, which may be a list; none for an absent value."""
    values = value if isinstance(value, list) else [value]
    texts = [str(one).strip() for one in values if not is_absent(one)]
    return [text for text in texts if text]


def default_columns(path: Path) -> tuple[str, str]:
    """Return the columns of addresses and keys of a table that this package wrote; two empty texts for any other file."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes[-1:] != [".jsonl"]:
        return "", ""
    first = next(read_rows(path, "LIST"), {})
    key = next((name for name in KEY_COLUMNS if name in first), "")
    return (URL_COLUMN, key) if key and URL_COLUMN in first else ("", "")


def read_keys(folder: Path, option: str = "--images") -> dict[str, Path]:
    """Return the picture of each key in a folder that `data fetch` filled; empty if it fetched without keys.

    Args:
        folder: The folder.
        option: How an error names it.

    Raises:
        DataError: The file of the keys is damaged, or names a file elsewhere.
    """
    path, files = folder / KEYS_FILE, {}
    if not path.is_file():
        return {}
    for number, row in enumerate(read_rows(path, option), start=1):
        name = str(row.get("file") or "")
        if not row.get("key") or PurePosixPath(name).name != name:
            raise DataError(
                f"{option} {path}: line {number} is no key and file; move it away and run `mitlgan data fetch` again, which fetches nothing twice"
            )
        files[str(row["key"])] = folder / name
    return files


def fetch_pictures(
    addresses: Sequence[str] | Mapping[str, Sequence[str]], out: Path, settings: FetchSettings, progress: ProgressCallback = ignore_progress
) -> dict[str, Any]:  # fmt: skip
    """Download pictures; files that exist are not requested again, failures of earlier calls are.

    Args:
        addresses: http or https addresses, or the keys of each, as `read_keyed_urls` returns them.
        out: Folder for the pictures, `fetch.json`, `unreachable.txt` and, if there are keys, `keys.jsonl`.
        settings: Limits.
        progress: Receives the number of finished and of all addresses.

    Returns:
        Counts (fetched, had, changed by others since, failed, bytes), reasons of failures with their counts, and the failures.

    Raises:
        DataError: No address could be fetched, or the file of the keys is damaged.
        UsageError: The folder holds other work or other files.
        ResourceError: The folder cannot be written.
    """
    keys = addresses if isinstance(addresses, Mapping) else {}
    addresses = list(addresses)
    with open_journal(out, {"work": "fetch", "version": 1}) as journal:
        had = {line["url"]: record for line in journal.lines if line["file"] and (record := _record_of_file(out, line)) is not None}
        pending = [address for address in addresses if address not in had]
        budget = _Budget(settings.max_total_bytes)
        failures: list[dict[str, str]] = []
        fetched: dict[str, dict[str, Any]] = {}
        results = in_order(pending, lambda address: _fetch(address, settings, budget))
        for number, (address, result) in enumerate(results, start=len(addresses) - len(pending) + 1):
            if isinstance(result, _NotFetchedError):
                failures.append({"url": address, "reason": str(result)})
            else:
                name = _file_name(address, result)
                write_atomically(out / name, result, root=out)
                fetched[address] = {"url": address, "file": name, "sha256": hashlib.sha256(result).hexdigest(), "bytes": len(result)}
                journal.append(fetched[address])
            progress(number, len(addresses))
        _write_keys(out, keys, {**had, **fetched})
        return _write_report(out, addresses, had, fetched, failures, settings)


def _write_keys(out: Path, keys: Mapping[str, Sequence[str]], records: Mapping[str, Any]) -> None:
    """Write which file each key has, the first of its addresses that gave one; keys of earlier lists stay."""
    own_files = dict[str, str]()
    for address in filter(records.__contains__, keys):
        for key in keys[address]:
            own_files.setdefault(key, records[address]["file"])
    files = {key: path.name for key, path in read_keys(out, "--out").items()} | own_files
    if files:
        write_atomically(out / KEYS_FILE, "".join(json.dumps({"key": key, "file": name}) + "\n" for key, name in files.items()), root=out)


def _write_report(
    out: Path, addresses: Sequence[str], had: dict[str, Any], fetched: dict[str, Any], failures: list[dict[str, str]], settings: FetchSettings
) -> dict[str, Any]:
    changed = sum("changed" in line for line in had.values())
    counts = {
        "asked": len(addresses), "fetched": len(fetched), "had": len(addresses) - len(fetched) - len(failures), "changed": changed,
        "failed": len(failures),
    }  # fmt: skip
    reasons = dict(Counter(failure["reason"].split(":")[0] for failure in failures).most_common())
    files = [{**had, **fetched}[address] for address in addresses if address in had or address in fetched]
    write_json(
        out / "fetch.json", {"schema_version": 1, "settings": asdict(settings), "counts": counts, "files": files, "failures": failures}, root=out
    )
    write_atomically(out / "unreachable.txt", "".join(f"{to_one_line(failure['url'])}\n" for failure in failures), root=out)
    if not files:
        raise DataError(f"LIST: none of {len(addresses)} addresses gave a picture; the first, {failures[0]['url']!r}: {failures[0]['reason']}")
    return {"counts": counts, "bytes": sum(line["bytes"] for line in files), "reasons": reasons, "failures": failures}


def _record_of_file(out: Path, line: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of an earlier file, updated if it was changed since; None if it is no picture any more."""
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
    """The bytes that all threads together may still fetch."""

    def __init__(self, remaining: int) -> None:
        self._remaining, self._lock = remaining, threading.Lock()

    def take(self, count: int) -> None:
        with self._lock:
            if count > self._remaining:
                raise _NotFetchedError("the limit of all files together is reached")
            self._remaining -= count


def _fetch(address: str, settings: FetchSettings, budget: _Budget) -> bytes | _NotFetchedError:
    for attempt in range(settings.tries):
        try:
            content = _fetch_once(address, settings, budget)
            decode_bytes(content, keep_alpha=False, size_px=16)
            return content
        except UnreadableImageError as error:
            return _NotFetchedError(f"no usable picture: {error}")
        except _NotFetchedError as error:
            if not error.can_retry or attempt == settings.tries - 1:
                return error
            time.sleep(settings.pause_s * 2**attempt)
    return _NotFetchedError("not tried")


def _fetch_once(address: str, settings: FetchSettings, budget: _Budget) -> bytes:
    """Try once to fetch a file.

    Raises:
        _NotFetchedError: The file could not be fetched.
    """
    parts = split_address(address)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise _NotFetchedError("not a web address (http or https)")
    opener = urllib.request.build_opener(_Redirects())
    request = urllib.request.Request(address, headers={"User-Agent": f"mitlgan/{__version__}", "Accept": "image/*"})
    deadline = time.monotonic() + settings.deadline_s
    try:
        with opener.open(request, timeout=settings.timeout_s) as response:
            kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
            if not kind.startswith("image/") and kind not in PICTURE_TYPES:
                raise _NotFetchedError(f"not a picture: {kind}")
            declared = response.headers.get("Content-Length", "")
            if declared.isdigit() and int(declared) > settings.max_bytes:
                raise _NotFetchedError(f"too large: {declared} bytes")
            return _read_body(response, settings, budget, deadline, int(declared) if declared.isdigit() else None)
    except urllib.error.HTTPError as error:
        raise _NotFetchedError(f"HTTP {error.code}", can_retry=error.code in (408, 425, 429) or error.code >= 500) from None
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, Exception) and (fault := resource_fault(reason)):
            raise fault from None
        timed_out = isinstance(reason, TimeoutError)
        raise _NotFetchedError("timed out" if timed_out else f"unreachable: {' '.join(str(reason).split())[:120]}", can_retry=True) from None


def _read_body(response: Any, settings: FetchSettings, budget: _Budget, deadline: float, declared: int | None) -> bytes:
    content = bytearray()
    while True:
        if time.monotonic() > deadline:
            raise _NotFetchedError(f"too slow: not complete after {settings.deadline_s:g} s")
        block = response.read1(_BLOCK)
        if not block:
            break
        budget.take(len(block))
        content += block
        if len(content) > settings.max_bytes:
            raise _NotFetchedError(f"too large: more than {settings.max_bytes} bytes")
    if declared is not None and len(content) != declared:
        raise _NotFetchedError("cut short", can_retry=True)
    return bytes(content)


def _file_name(address: str, content: bytes) -> str:
    """Return a plain file name for any address: its last part and a hash, with the suffix of the content."""
    stem = safe_name(PurePosixPath(unquote(split_address(address).path)).stem)
    suffix = detect_suffix(content[:HEAD_BYTES]) or ".jpg"
    return f"{stem}-{hashlib.sha256(address.encode()).hexdigest()[:10]}{suffix}"
