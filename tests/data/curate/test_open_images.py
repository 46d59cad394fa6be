"""Open Images: tables of classes, labels or boxes and images become a list of addresses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mitlgan.data.curate.fetch import read_urls
from mitlgan.data.curate.open_images import ClassTables, list_class, write_addresses
from mitlgan.errors import DataError, UsageError

IMAGES = """ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation
a1,train,https://farm/a1.jpg,,https://creativecommons.org/licenses/by/2.0/,,Ann,"A dog, asleep",1,x,https://thumb/a1.jpg,0.0
b2,train,https://farm/b2.jpg,,https://creativecommons.org/licenses/by/2.0/,,Bob,Dogs,1,x,,0.0
c3,train,https://farm/c3.jpg,,https://creativecommons.org/licenses/by/2.0/,,Cyd,Cat,1,x,https://thumb/c3.jpg,0.0
d4,train,https://farm/d4.jpg,,https://creativecommons.org/licenses/by/2.0/,,Dan,Far dog,1,x,https://thumb/d4.jpg,0.0
"""
BOXES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax
a1,xclick,/m/0bt9lr,1,0.1,0.6,0.2,1.0
a1,xclick,/m/0bt9lr,1,0.0,0.1,0.0,0.1
b2,xclick,/m/0bt9lr,1,0.0,1.0,0.0,0.5
c3,xclick,/m/01yrx,1,0.0,1.0,0.0,1.0
d4,xclick,/m/0bt9lr,1,0.0,0.1,0.0,0.1
"""
LABELS = "ImageID,Source,LabelName,Confidence\na1,verification,/m/0bt9lr,1\nb2,verification,/m/0bt9lr,0\nc3,verification,/m/01yrx,1\n"


@pytest.fixture
def tables(tmp_path: Path) -> ClassTables:
    (tmp_path / "classes.csv").write_text('/m/0bt9lr,Dog\n/m/01yrx,Cat\n/m/04h7h,"Harbor seal"\n')
    (tmp_path / "boxes.csv.gz").write_bytes(gzip.compress(BOXES.encode()))
    (tmp_path / "images.csv").write_text(IMAGES)
    return ClassTables(tmp_path / "classes.csv", tmp_path / "boxes.csv.gz", tmp_path / "images.csv")


def test_a_class_becomes_a_list_that_fetch_reads(tables: ClassTables, tmp_path: Path) -> None:
    assert [address.key for address in list_class("dog", tables)] == ["a1", "b2", "d4"]
    assert [address.key for address in list_class("Dog", tables, limit=2)] == ["a1", "b2"]
    large = list_class("Dog", tables, min_share=0.4, thumbnails=True)  # 0.5 * 0.8, and half; a distant dog is left out
    assert [(address.key, address.url) for address in large] == [("a1", "https://thumb/a1.jpg"), ("b2", "https://farm/b2.jpg")]
    write_addresses(large, tmp_path / "dogs.jsonl")
    assert read_urls(tmp_path / "dogs.jsonl", "url") == ["https://thumb/a1.jpg", "https://farm/b2.jpg"]
    first = json.loads((tmp_path / "dogs.jsonl").read_text().splitlines()[0])
    assert (first["key"], first["author"], first["license"]) == ("a1", "Ann", "https://creativecommons.org/licenses/by/2.0/")


def test_labels_without_boxes_count_where_people_confirmed_them(tables: ClassTables, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    labels = ClassTables(tables.classes, tmp_path / "labels.csv", tables.images)
    assert [address.key for address in list_class("Dog", labels)] == ["a1"]
    with pytest.raises(DataError, match=r"labels.csv: has no boxes, which --min-share needs"):
        list_class("Dog", labels, min_share=0.1)


def test_what_open_images_does_not_have_is_one_line(tables: ClassTables, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^CLASS Dgo: Open Images has no such class; the closest are Dog, ") as caught:
        list_class("Dgo", tables)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"^CLASS Harbor seal: none of images.csv has it"):
        list_class("Harbor seal", tables)
    with pytest.raises(DataError, match=r"^--classes .*images.csv: not the table of classes"):
        list_class("Dog", ClassTables(tables.images, tables.labels, tables.images))
    with pytest.raises(DataError, match=r"^--images .*boxes.csv.gz: has no column OriginalURL"):
        list_class("Dog", ClassTables(tables.classes, tables.labels, tables.labels))


def test_a_class_is_known_by_its_label_and_a_shared_name_is_both(tables: ClassTables) -> None:
    assert [address.key for address in list_class("/m/0BT9LR", tables)] == ["a1", "b2", "d4"]
    tables.classes.write_text("\ufeff/m/0bt9lr,Dog\n/m/01yrx,Dog\n")
    assert [address.key for address in list_class("Dog", tables)] == ["a1", "b2", "c3", "d4"]


@pytest.mark.parametrize(
    "row", ["a1,xclick,/m/0bt9lr", "a1,x,/m/0bt9lr,1,nan,0.6,0.2,1.0", "a1,x,/m/0bt9lr,1,10,90,20,80", "a1,x,/m/0bt9lr,1,0.6,0.1,0.2,1.0"]
)
def test_a_box_that_is_none_names_its_line(tables: ClassTables, tmp_path: Path, row: str) -> None:
    (tmp_path / "boxes.csv").write_text("\n".join([*BOXES.splitlines()[:2], row]))
    with pytest.raises(DataError, match=r"^--labels .*boxes.csv:3: needs an ImageID and, of a box, four shares"):
        list_class("Dog", ClassTables(tables.classes, tmp_path / "boxes.csv", tables.images))


def test_rejected_labels_do_not_count_however_they_are_written(tables: ClassTables, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("LabelName,Confidence,ImageID\n/m/0bt9lr,0.0,a1\n/m/0bt9lr,0.7,b2\n")
    assert [address.key for address in list_class("Dog", ClassTables(tables.classes, tmp_path / "labels.csv", tables.images))] == ["b2"]
    (tmp_path / "labels.csv").write_text("LabelName,Confidence,ImageID\n/m/0bt9lr,1,a1\n/m/0bt9lr,1\n")
    with pytest.raises(DataError, match=r"labels.csv:3: needs an ImageID"):
        list_class("Dog", ClassTables(tables.classes, tmp_path / "labels.csv", tables.images))


def test_pictures_without_an_address_are_counted_and_left_out(tables: ClassTables, tmp_path: Path) -> None:
    tables.images.write_text(IMAGES.replace("https://farm/a1.jpg", " ").replace("https://thumb/a1.jpg", ""))
    listed = list_class("Dog", tables, limit=2)
    assert [(address.key, address.url) for address in listed] == [("a1", ""), ("b2", "https://farm/b2.jpg"), ("d4", "https://farm/d4.jpg")]
    assert write_addresses(listed, tmp_path / "dogs.jsonl") == 2
    with pytest.raises(DataError, match="none of 1 pictures has an address"):
        write_addresses(listed[:1], tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
