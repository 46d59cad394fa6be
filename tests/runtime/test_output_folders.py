"""Work begins in empty folders: which files are in the way, and how that is said."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from helpers.unprivileged import unprivileged

from mitlgan.errors import ResourceError, UsageError
from mitlgan.runtime.output_folders import find_visible_file, require_empty_folder, require_writable, write_unless_other


@pytest.mark.parametrize(
    ("names", "visible"),
    [
        ([], None),
        ([".lock", ".DS_Store", "Thumbs.db", "desktop.ini", "fg/.gitkeep", "fg/@eaDir/a.png/b.jpg", ".git/config", "a/b/c/"], None),
        (["$Recycle.Bin/a.png", "RECYCLER/b.png", "@eadir/c.png", "#Recycle/d.png", "lost+found/e.png", "thumbs.db", "Desktop.ini"], None),
        (["recycler/b.png"], "recycler/b.png"),
        (["b.png", "a/z.png"], "b.png"),
        (["a/", "b.png"], "b.png"),
        (["a/.hidden", "a/b/deep.txt"], "a/b/deep.txt"),
    ],
)
def test_files_that_a_person_sees(tmp_path: Path, names: list[str], visible: str | None) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert find_visible_file(tmp_path) == (None if visible is None else tmp_path / visible)
    if visible is None:
        require_empty_folder(tmp_path, "--out")
        return
    with pytest.raises(UsageError, match=rf"^--out .*: holds other files, such as {visible}, and no work of an earlier call; give a new or empty"):
        require_empty_folder(tmp_path, "--out")


def test_a_link_is_seen_and_not_followed_and_an_absent_folder_is_empty(tmp_path: Path) -> None:
    assert find_visible_file(tmp_path / "absent") is None
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert find_visible_file(tmp_path) == tmp_path / "in" / "loop"
    (tmp_path / "in" / "loop").unlink()
    (tmp_path / "in" / "nowhere").symlink_to(tmp_path / "x")
    assert find_visible_file(tmp_path / "in") == tmp_path / "in" / "nowhere"


def test_a_file_is_written_unless_another_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for _ in range(2):
        write_unless_other(path, b"own", "--out")
        assert path.read_bytes() == b"own"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"^--out .*a\.png: is another file than the one that is to be written there; move it away, or give another"):
        write_unless_other(path, b"own", "--out")
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("is_link", [False, True])
def test_an_empty_file_of_a_killed_call_is_filled_and_a_link_to_one_stays(tmp_path: Path, is_link: bool) -> None:
    path, empty = tmp_path / "a.png", tmp_path / "empty"
    empty.touch()
    path.symlink_to(empty) if is_link else path.touch()
    with pytest.raises(UsageError, match="is another file") if is_link else nullcontext():
        write_unless_other(path, b"own", "--out", root=tmp_path)
    assert path.read_bytes() == (b"" if is_link else b"own")


def test_row_6_a_file_can_be_checked_before_it_is_made(tmp_path: Path) -> None:
    require_writable(tmp_path / "a.png")
    require_writable(tmp_path / "new" / "folder" / "a.png")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=f"^{tmp_path}/file: cannot be written"):
        require_writable(tmp_path / "file" / "a.png")
    with unprivileged() as folder:
        folder.chmod(0o555)
        for path in (folder / "a.png", folder / "new" / "a.png"):
            with pytest.raises(ResourceError, match=f"^{folder}: cannot be written"):
                require_writable(path)
