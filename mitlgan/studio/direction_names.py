"""Names that people have given to directions, in a file in the folder of runs, by the artifact's id."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitlgan.errors import MitlganError
from mitlgan.runtime.files import write_json
from mitlgan.runtime.json_files import read_json
from mitlgan.studio.errors import RequestRefused

FILE = "direction-names.json"
MAX_NAME_CHARS = 40
MAX_NAMED_ARTIFACTS = 500


class DirectionNames:
    """Names by artifact, latent and number.

    Args:
        folder: Folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()

    def of(self, artifact_id: str, latent: str, count: int) -> list[str]:
        """Return the names of a latent's directions; empty for those without one."""
        rows = _names(self._read(), artifact_id).get(latent)
        names = [str(name)[:MAX_NAME_CHARS] if isinstance(name, str) else "" for name in rows] if isinstance(rows, list) else []
        return [*names[:count], *[""] * (count - len(names))]

    def give(self, artifact_id: str, latent: str, index: int, count: int, name: str) -> None:
        """Name a direction; an empty name removes it.

        Raises:
            RequestRefused: 422, the name cannot be shown; 507, the file cannot be written.
        """
        name = name.strip()
        if not name.isprintable() or len(name) > MAX_NAME_CHARS:
            raise RequestRefused(422, f"name: give at most {MAX_NAME_CHARS} characters in one line")
        with self._lock:
            everything = self._read()
            names = self.of(artifact_id, latent, count)
            names[index] = name
            own = {**_names(everything, artifact_id), latent: names}
            everything = {key: value for key, value in everything.items() if key != artifact_id}
            everything = dict(list(everything.items())[-MAX_NAMED_ARTIFACTS + 1 :]) | {artifact_id: own}
            try:
                write_json(self._path, everything)
            except (MitlganError, OSError):
                raise RequestRefused(507, "name: cannot be written to the folder of runs; make it writable") from None

    def _read(self) -> dict[str, Any]:
        with suppress(MitlganError):
            return read_json(self._path)
        return {}


def _names(everything: dict[str, Any], artifact_id: str) -> dict[str, Any]:
    own = everything.get(artifact_id)
    return own if isinstance(own, dict) else {}
