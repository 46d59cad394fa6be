"""Names that people have given to directions, in a file in the folder of runs, by the artifact's id."""

from __future__ import annotations

import threading
from pathlib import Path

from mitlgan.errors import DataError, MitlganError
from mitlgan.runtime.files import ForeignFileError, write_json
from mitlgan.runtime.json_files import read_json, read_json_to_extend
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
        try:
            own = read_json(self._path).get(artifact_id)
        except MitlganError:  # a link or a pipe
            own = None
        rows = own.get(latent) if isinstance(own, dict) else None
        names = [str(name)[:MAX_NAME_CHARS] if isinstance(name, str) else "" for name in rows] if isinstance(rows, list) else []
        return [*names[:count], *[""] * (count - len(names))]

    def give(self, artifact_id: str, latent: str, index: int, count: int, name: str) -> None:
        """Name a direction; an empty name removes it.

        Raises:
            RequestRefused: 422, the name cannot be shown; 409, the file is damaged, and its other names would be lost; 507, it cannot be written.
        """
        name = name.strip()
        if not name.isprintable() or len(name) > MAX_NAME_CHARS:
            raise RequestRefused(422, f"name: give at most {MAX_NAME_CHARS} characters in one line")
        with self._lock:
            try:
                everything = read_json_to_extend(self._path)
            except (DataError, ForeignFileError):
                raise _refuse_damaged() from None
            except MitlganError:
                raise _refuse_unwritable() from None
            own = everything.pop(artifact_id, {})
            names = own.get(latent, []) if isinstance(own, dict) else None
            if not isinstance(names, list):
                raise _refuse_damaged()
            names += [""] * (count - len(names))
            names[index] = name
            own[latent] = names
            everything = dict(list(everything.items())[-MAX_NAMED_ARTIFACTS + 1 :]) | {artifact_id: own}
            try:
                write_json(self._path, everything)
            except (MitlganError, OSError):
                raise _refuse_unwritable() from None
            except ValueError:  # a number that is not finite
                raise _refuse_damaged() from None


def _refuse_damaged() -> RequestRefused:
    return RequestRefused(409, f"name: {FILE} in the folder of runs is damaged, and its other names would be lost; mend or remove it")


def _refuse_unwritable() -> RequestRefused:
    return RequestRefused(507, "name: cannot be written to the folder of runs; make it writable")
