"""Opens sources of pictures: a folder, a zip or tar archive, or a file that lists paths. Nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from mitlgan.data.decode.image_file import (
    HEADER_BYTES,
    ImageHeader,
    UnreadableImageError,
    decode_bytes,
    parse_header,
    read_file,
    read_head,
    read_header,
)
from mitlgan.data.sources.archives import ARCHIVE_ERRORS, ZIP_MEMBER, ArchiveMember, read_tar_members, read_zip_members
from mitlgan.data.sources.entry import ImageEntry, file_entry, file_stamp
from mitlgan.data.sources.file_classifier import FileClassifier, is_hidden_name, printable_name
from mitlgan.data.sources.folders import FolderTree
from mitlgan.data.sources.formats import HEAD_BYTES, IMAGE_SUFFIXES
from mitlgan.data.sources.leftovers import LeftoverFile, Leftovers
from mitlgan.data.sources.mask_pairs import search_masks
from mitlgan.data.sources.parquet import PARQUET_SUFFIX, read_parquet_entries
from mitlgan.data.sources.path_list import LIST_SUFFIXES, read_path_list
from mitlgan.data.sources.shared_mattes import refuse_shared_mattes
from mitlgan.errors import DataError, UsageError, resource_fault

PACK = ".npy"
PACKED_SUFFIXES = (PARQUET_SUFFIX, PACK)
"""Files that may hold many pictures, and are sources of their own; archives are left out by name."""
HEADER_CHECK_PX = 64
MAX_UNREADABLE_FRACTION = 0.05  # more unreadable files than this are no accident


@dataclass(frozen=True)
class ImageSource:
    """Pictures in a fixed order.

    Attributes:
        spec: The source as the user named it.
        entries: The pictures.
        sequential: Whether reading in another order, or from several threads, would be slow.
        leftovers: All other files.
        is_chosen: Whether the user chose each picture, by a list or a table.
    """

    spec: str
    entries: tuple[ImageEntry, ...]
    sequential: bool = False
    leftovers: Leftovers = field(default_factory=Leftovers)
    is_chosen: bool = False

    def listing_sha256(self) -> str:
        """Return a hash that tells whether the source is still the same, without reading the pictures."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.name!r} {entry.stamp}\n".encode())
            if entry.matte is not None:
                digest.update(f" {entry.matte.name!r} {entry.matte.stamp}\n".encode())
        for leftover in self.leftovers.named:
            digest.update(f"- {leftover.name!r} {leftover.reason}\n".encode())
        return digest.hexdigest()

    def subset(self, entries: Iterable[ImageEntry], leftovers: Sequence[LeftoverFile] = (), remarks: Sequence[str] = ()) -> ImageSource:
        """Return a source of some of the entries, with further leftovers and remarks."""
        return replace(self, entries=tuple(entries), leftovers=self.leftovers.extended(leftovers, remarks))

    def without_shared_mattes(self) -> ImageSource:
        """Return a source in which no two different pictures have one matte; see `refuse_shared_mattes`."""
        entries, mattes = refuse_shared_mattes(self.entries)
        return self.subset(entries, mattes) if mattes else self

    def iterate(self, entries: Iterable[ImageEntry] | None = None) -> Iterator[ImageEntry]:
        """Yield the entries, or some of them, in order; those of a sequential source with their bytes already read."""
        for entry in self.entries if entries is None else entries:
            yield entry.preload() if self.sequential else entry


def open_source(spec: str | Path, option: str = "SRC", *, take_mattes: bool = False) -> ImageSource:
    """List what a folder, archive or list holds.

    Args:
        spec: A folder; a `.zip`, `.tar`, `.tar.gz` or similar; a `.parquet` of the Hugging Face image layout; a `.txt` or `.lst` of paths, one a line,
            relative to its own folder.
        option: How error messages name it.
        take_mattes: Count the mattes of a folder or archive that have no picture next to them as pictures.

    Raises:
        DataError: The source is missing, empty, or an unsafe archive, or two of its pictures have one printable name.
    """
    if not str(spec):
        raise DataError(f"{option}: is empty; name a folder of pictures, or an archive")
    path = Path(spec)
    source = (_open_folder(path, option, take_mattes) if path.is_dir() else _open_file(path, option, take_mattes)).without_shared_mattes()
    if not source.entries:
        rest = "; ".join(["", *source.leftovers.describe()])
        raise DataError(f"{option} {source.spec}: no pictures in it{rest}; {_way_out(path, source.leftovers.others)}")
    alike = [name for name, count in Counter(entry.name for entry in source.entries).items() if count > 1]
    if alike:  # one of bytes that are no text, the other of how these are printed
        raise DataError(f"{option} {source.spec}: two of its files are printed as {alike[0]!r} and cannot be told apart by name; rename one of them")
    return source


def _way_out(path: Path, others: Mapping[str, int]) -> str:
    """Return what to do about a source without pictures.

    Args:
        path: The source.
        others: Number of its other files, by suffix.
    """
    packed = next((suffix for suffix in PACKED_SUFFIXES if suffix in others), None)
    if packed and path.is_dir() and any(packed != PACK or file.with_suffix(".json").is_file() for file in path.rglob(f"*{packed}")):
        return f"name one of its {packed} files"
    if packed == PACK:
        return "arrays of numbers (.npy) are not read: save each picture as a file of its own, such as PNG, and name their folder"
    return f"unpack it and name one of its {packed} files" if packed else f"looked for {', '.join(sorted(IMAGE_SUFFIXES))}"


def _open_file(path: Path, option: str, take_mattes: bool) -> ImageSource:
    if not path.is_file():
        raise DataError(f"{option} {path}: no such folder, archive or list; name one that holds pictures")
    if path.suffix.lower() == PARQUET_SUFFIX:
        entries, remarks = read_parquet_entries(path, option)
        return ImageSource(str(path), entries, sequential=True, leftovers=Leftovers(remarks=tuple(remarks)))
    if path.suffix.lower() in LIST_SUFFIXES:
        listed, leftovers = read_path_list(path, option)
        return ImageSource(str(path), listed, leftovers=Leftovers(tuple(leftovers), remarks=_remarks_on_list(listed)), is_chosen=True)
    try:
        if tarfile.is_tarfile(path):  # first: a zip that is the last file in a tar would be taken for all of it
            members, remarks = read_tar_members(path, option, file_stamp(path))
            return _open_archive(path, members, take_mattes, remarks)
        if zipfile.is_zipfile(path):
            return _open_archive(path, read_zip_members(path, option), take_mattes)
        with path.open("rb") as file:
            if file.read(len(ZIP_MEMBER)) == ZIP_MEMBER:
                raise zipfile.BadZipFile("its end, with the list of its files, is missing")
    except ARCHIVE_ERRORS as error:
        raise resource_fault(error) or DataError(f"{option} {path}: a damaged archive ({error}); get it again") from None
    raise DataError(f"{option} {path}: neither a folder, a zip or tar archive, a parquet file, nor a list of paths (.txt)")


def _remarks_on_list(entries: Sequence[ImageEntry]) -> tuple[str, ...]:
    """Return a line about the masks that a list names, which are taken."""
    files = {entry.name: entry for entry in entries}
    return tuple(search_masks([*files], lambda name: files[name].read(), lambda name: read_header(files[name].file or name)).describe_chosen())


def _open_folder(folder: Path, option: str, take_mattes: bool) -> ImageSource:
    tree, top = FolderTree(folder, option), str(folder)

    def full_path(name: str) -> str:
        return os.path.join(top, name)  # noqa: PTH118

    heads = ((name, partial(read_head, full_path(name))) for name in tree.names)
    files = FileClassifier(heads, lambda name: read_file(full_path(name)), lambda name: read_header(full_path(name)), tree.link_reason, take_mattes)
    pairs = ((name, files.matte_of(name)) for name in files.picture_names())
    entries = tuple(file_entry(full_path(name), printable_name(name), None if matte is None else full_path(matte)) for name, matte in pairs)
    return ImageSource(top, entries, leftovers=files.leftovers(tree.leftovers, tree.hidden_count))


def _open_archive(path: Path, members: Sequence[ArchiveMember], take_mattes: bool, remarks: Sequence[str] = ()) -> ImageSource:
    by_name = {member.name: member for member in members}  # of equal names the last, as unpacking would leave it
    replaced = [member.name for member in members if by_name[member.name] is not member]
    latest = ((member.name, partial(member.read_head, HEAD_BYTES)) for member in members if by_name[member.name] is member)

    def header(name: str) -> ImageHeader:
        return parse_header(by_name[name].read_head(HEADER_BYTES), by_name[name].size_bytes)

    files = FileClassifier(latest, lambda name: by_name[name].read(), header, take_mattes=take_mattes)

    def entry(name: str, matte: str | None) -> ImageEntry:
        matte_entry = None if matte is None else entry(matte, None)
        return ImageEntry(printable_name(name), by_name[name].stamp, by_name[name].read, matte=matte_entry)

    entries = tuple(entry(name, files.matte_of(name)) for name in files.picture_names())
    leftovers = [LeftoverFile(printable_name(name), "a later member of the archive has the same name", "member") for name in replaced]
    return ImageSource(str(path), entries, sequential=True, leftovers=files.leftovers(leftovers).extended(remarks=remarks))


def list_pictures(folder: Path, option: str = "--data") -> list[Path]:
    """Return the pictures under a folder, sorted, with links and special files, which decoding refuses.

    Raises:
        DataError: The folder does not exist or holds no picture.
    """
    if not folder.exists():
        raise DataError(f"{option} {folder}: no such folder; name one that holds pictures")
    if not folder.is_dir():
        raise DataError(f"{option} {folder}: neither a folder nor a pack (.npy)")
    return [entry.path for entry in open_source(folder, option).entries if entry.path is not None]


def refuse_output_inside(source: ImageSource, out: Path, option: str = "SRC") -> None:
    """Refuse to write pictures into their own source, which the user gives as `option`: the next call would take them for more of it.

    Raises:
        UsageError: `--out` is the source's folder, or a folder inside it that would be read.
    """
    folder, target = Path(source.spec).resolve(), out.resolve()
    if folder.is_dir() and target.is_relative_to(folder) and not any(is_hidden_name(part) for part in target.relative_to(folder).parts):
        raise UsageError(
            f"--out {out}: is inside {option}, {source.spec}, and would be read as part of it from then on; choose a folder outside of it, "
            f"such as --out {folder.parent / (target.name if target != folder else 'layers')}"
        )


def refuse_unreadable(label: str, total: int, unreadable: Sequence[dict[str, str]], way_out: str = "") -> None:
    """Refuse a source of which more files than `MAX_UNREADABLE_FRACTION` are unusable.

    Args:
        label: The source with its option, which begins the message.
        total: Number of its files.
        unreadable: `name` and `reason` of the unusable ones.
        way_out: How to continue without them; empty if the user allowed that.

    Raises:
        DataError: Too many files are unusable.
    """
    if len(unreadable) > MAX_UNREADABLE_FRACTION * total and way_out:
        first = unreadable[0]
        raise DataError(
            f"{label}: {len(unreadable)} of {total} files are not usable pictures, the first {first['name']!r}: {first['reason']}; {way_out}"
        )


def find_bad_starts(entries: Iterable[ImageEntry]) -> list[dict[str, str]]:
    """Return `name` and `reason` of the files that are no usable pictures, as far as their first bytes tell: empty, or of another kind.

    This takes little time before work that takes long. Members of archives are not looked at.
    """
    bad = []
    for entry in entries:
        if entry.file is None:
            continue
        with suppress(UnreadableImageError):
            read_header(entry.file)
            continue
        try:
            decode_bytes(entry.read(), keep_alpha=True, size_px=HEADER_CHECK_PX)  # some good ones have their header at the end
        except UnreadableImageError as error:
            bad.append({"name": entry.name, "reason": str(error)})
    return bad


def safe_name(name: str, max_length: int = 48) -> str:
    """Return a name with everything but ASCII letters, digits, `-` and `_` replaced by `_`, cut to a maximum length."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:max_length] or "picture"


def output_stem(name: str) -> str:
    """Return a file name of plain letters for a picture of any name, different for different names."""
    return f"{safe_name(PurePosixPath(name).stem)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
