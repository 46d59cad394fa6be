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
