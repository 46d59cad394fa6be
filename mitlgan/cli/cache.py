"""`mitlgan cache ls|clear`: prepared data and measurements that are kept for the next call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitlgan.cli import options
from mitlgan.cli.output import print_result

if TYPE_CHECKING:
    from mitlgan.data.pack.cache_contents import CacheKind

app = options.group("Show or clear what is kept for the next call.")


@app.command("ls")
def cache_ls(as_json: options.Json = False) -> None:
    """Show what the cache holds, and how large it is."""
    from mitlgan.data.pack.cache import cache_dir
    from mitlgan.data.pack.cache_contents import list_cache

    _print(list_cache(cache_dir()), str(cache_dir()), "holds", as_json)


@app.command("clear")
def cache_clear(as_json: options.Json = False) -> None:
    """Remove all of it; what is needed again is made again."""
    from mitlgan.data.pack.cache import cache_dir
    from mitlgan.data.pack.cache_contents import clear_cache

    _print(clear_cache(cache_dir()), str(cache_dir()), "cleared", as_json)


def _print(kinds: list[CacheKind], folder: str, verb: str, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [{"kind": kind.name, "files": len(kind.files), "bytes": kind.size_bytes} for kind in kinds]
    lines = [f"{row['kind']:<14} {row['files']:>6,} files {row['bytes'] / 1e6:>10,.1f} MB" for row in rows]
    total = sum(row["bytes"] for row in rows)
    text = "\n".join([f"{folder}: {verb} {total / 1e6:,.1f} MB", *lines])
    print_result(as_json, {"folder": folder, "bytes": total, "kinds": rows}, text)
