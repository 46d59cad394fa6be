"""Reads pictures from a parquet file of the Hugging Face image layout, by pyarrow, the extra `parquet`.

That layout is a column `image` of structs with the bytes of each picture's file (https://huggingface.co/docs/datasets/image_dataset). Rows are read one
by one, so that a column that unpacks to far more than it holds never fills the memory.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mitlgan.data.decode.image_file import MAX_FILE_BYTES, UnreadableImageError
from mitlgan.data.sources.archives import MAX_COMPRESSION_RATIO, MAX_MEMBERS, MIN_BOMB_BYTES
from mitlgan.data.sources.entry import ImageEntry, file_stamp
from mitlgan.data.sources.leftovers import MAX_NAMES
from mitlgan.errors import DataError, UsageError, resource_fault

PARQUET_SUFFIX = ".parquet"
MAX_ROW_GROUP_BYTES = 4_000_000_000
_COLUMN_NAMES = ("image", "img", "picture", "photo", "png", "jpg")
"""Names of the column of pictures, the first that exists; a single column of pictures may have any name."""


def read_parquet_entries(path: Path, option: str) -> tuple[tuple[ImageEntry, ...], list[str]]:
    """Return the pictures of a parquet file, named by their row, and a remark about its other columns of pictures, if there are any.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: The file is damaged, unsafe, or has no column of pictures, or several.
    """
    label = f"{option} {path}"
    rows = _PictureRows(path, label)
    stamp = file_stamp(path)
    remarks = [f"not read: {_listed(rows.others)}, as column {rows.column!r} holds the pictures"] if rows.others else []
    return tuple(ImageEntry(f"{row:08d}", f"{row} of {stamp}", rows.reader(row)) for row in range(rows.count)), remarks


def _listed(columns: Sequence[str]) -> str:
    return f"{'column' if len(columns) == 1 else 'columns'} {', '.join(map(repr, columns[:MAX_NAMES]))}{', ...' if len(columns) > MAX_NAMES else ''}"


class _PictureRows:
    """The column of pictures, read forwards; going back begins at the row group again.

    Args:
        path: The file.
        label: The file with its option, which begins messages.
    """

    def __init__(self, path: Path, label: str) -> None:
        try:
            from pyarrow import parquet
        except ImportError:
            raise UsageError(f"{label}: needs pyarrow; `pip install 'mitlgan[parquet]'`") from None
        self._label, self._lock = label, threading.Lock()
        with _translate_damage(label):
            self._file: Any = parquet.ParquetFile(path, memory_map=False, pre_buffer=False)
            self._column, self.others = _picture_column(self._file.schema_arrow, label)
            self._starts = self._check(path.stat().st_size)
        self.count, self.column = self._starts[-1], self._column.removesuffix(".bytes")
        self._rows: Iterator[Any] = iter(())
        self._group, self._next = -1, 0

    def _check(self, file_bytes: int) -> list[int]:
        """Refuse a bomb by what the file says of itself; return the first row of each row group, and the number of rows."""
        metadata = self._file.metadata
        starts, unpacked = [0], 0
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            columns = [row_group.column(index) for index in range(row_group.num_columns)]
            size = sum(column.total_uncompressed_size for column in columns if column.path_in_schema.split(".")[0] == self._column.split(".")[0])
            unpacked += max(size, 0)
            if not 0 <= size <= MAX_ROW_GROUP_BYTES:
                raise DataError(f"{self._label}: a row group unpacks to {size} bytes; refused whole as a decompression bomb")
            starts.append(starts[-1] + row_group.num_rows)
        if unpacked > MIN_BOMB_BYTES and unpacked > MAX_COMPRESSION_RATIO * file_bytes:
            raise DataError(f"{self._label}: {file_bytes} bytes unpack to {unpacked}; refused whole as a decompression bomb")
        if starts[-1] > MAX_MEMBERS:
            raise DataError(f"{self._label}: more than {MAX_MEMBERS} rows; refused whole")
        return starts

    def reader(self, row: int) -> Callable[[], bytes]:
        """Return a function that reads the bytes of a row's picture."""
        return lambda: self._read(row)

    def _read(self, row: int) -> bytes:
        with self._lock:
            try:
                value = self._value(row)
            except Exception as error:  # pyarrow raises all kinds of errors for damaged files
                self._group = -1
                raise resource_fault(error) or UnreadableImageError(f"damaged in the parquet file: {' '.join(str(error).split())[:120]}") from None
        if not isinstance(value, bytes):
            raise UnreadableImageError("the row holds no bytes of a picture, at most its path")
        if len(value) > MAX_FILE_BYTES:
            raise UnreadableImageError(f"{len(value)} bytes, more than {MAX_FILE_BYTES}")
        return value

    def _value(self, row: int) -> object:
        group = bisect_right(self._starts, row) - 1
        if group != self._group or self._next > row:
            self._group = -1
            batches = self._file.iter_batches(batch_size=1, row_groups=[group], columns=[self._column], use_threads=False)
            self._rows = (value for batch in batches for value in batch.column(0))
            self._group, self._next = group, self._starts[group]
        value: Any = None
        while self._next <= row:
            value = next(self._rows)
            self._next += 1
        content = value.as_py()
        return content.get("bytes") if isinstance(content, dict) else content


@contextmanager
def _translate_damage(label: str) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # of many kinds
        reason = " ".join(str(error).split())[:120]
        raise resource_fault(error) or DataError(f"{label}: a damaged parquet file ({reason}); get it again") from None


def _picture_column(schema: Any, label: str) -> tuple[str, list[str]]:
    """Return the path of the column of bytes, `image.bytes` or `image` itself, and the names of the other columns of bytes."""
    from pyarrow import types

    def path_of(field: Any) -> str | None:
        if types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return f"{field.name}.bytes"
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        return field.name if types.is_binary(kind) or types.is_large_binary(kind) else None

    columns = {field.name: path for field in schema if (path := path_of(field))}
    for name in _COLUMN_NAMES:
        if name in columns:
            return columns.pop(name), list(columns)
    if len(columns) != 1:
        others = ", ".join(list(columns)[:10]) if columns else "none"
        raise DataError(f"{label}: which column holds the pictures? Of bytes are: {others}; name that column `image`")
    return next(iter(columns.values())), []
