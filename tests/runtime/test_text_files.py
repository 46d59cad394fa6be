"""Every text file that a user may hand in, in every encoding and with every line end that an editor gives it."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import images

from mitlgan import recipe
from mitlgan.data.curate.exclude_list import read_names
from mitlgan.data.curate.fetch import read_urls
from mitlgan.data.curate.table_rows import read_rows
from mitlgan.data.readers.celeba import read_attributes
from mitlgan.data.readers.products import ReviewLimits, choose_products
from mitlgan.data.sources.image_source import open_source
from mitlgan.errors import ArtifactError, DataError, MitlganError, UsageError
from mitlgan.latents.files import read_latent
from mitlgan.runtime.text_files import TextError, decode_text, iter_lines
from mitlgan.study.answers import score_answers

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16, little": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, big": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-32, little": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
}
REFUSED: dict[str, Callable[[str], bytes]] = {
    "Latin-1": lambda text: text.encode("latin-1"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16, torn": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le") + b"\x00\xd8",
}
LINE_ENDS = {"Unix": "\n", "Windows": "\r\n", "old Macintosh": "\r"}
RECIPE = "# é\n" + recipe.read_recipe_text("thesis-32/pretrain_fg")
JSON_LINES = '{"image": "é1.png", "stars": 5}\n{"image": "é2.png", "stars": 2}\n'


def of_path_list(path: Path) -> object:
    for number in (1, 2):
        (path.parent / f"é{number}.png").write_bytes(images.encoded(images.smooth(number), "PNG"))
    source = open_source(path)
    assert all(entry.read() for entry in source.entries)
    return [entry.name for entry in source.entries]


def of_study(path: Path) -> object:
    answers = path.with_name("answers.json")
    answers.write_text(json.dumps({"schema_version": 1, "study": "é", "answers": [{"item": 0, "real": True}]}))
    return score_answers(path, [answers]).pictures[0]["source"]


def of_answers(path: Path) -> object:
    key = path.with_name("key.json")
    key.write_text(json.dumps({"schema_version": 1, "study": "é", "items": [{"arm": "a", "source": "s"}]}))
    return score_answers(key, [path]).arms["a"].real


def of_products(path: Path) -> object:
    reviews = path.with_name("reviews.jsonl")
    reviews.write_text('{"asin": "é", "overall": 5}\n')
    return choose_products(path, reviews, ReviewLimits(rating=1, reviews=1))


# name of the file, text, reader, what it gives, its error
READERS: dict[str, tuple[str, str, Callable[[Path], object], object, type[MitlganError]]] = {
    "path list": ("list.txt", "é1.png\né2.png\n", of_path_list, ["é1.png", "é2.png"], DataError),
    "exclude list": ("names.txt", "é1.png\na\\nb.png\n", read_names, ("é1.png", "a\nb.png"), DataError),
    "URL list": ("urls.txt", "# é\nhttp://a/é.png\nhttp://b\n", read_urls, ["http://a/é.png", "http://b"], DataError),
    "URL column": ("urls.csv", "é,url\n1,http://a\n2,http://b\n", lambda path: read_urls(path, "url"), ["http://a", "http://b"], DataError),
    "CSV": ("t.csv", 'é,b\n1,"x\ny"\n', lambda path: list(read_rows(path, "--metadata")), [{"é": "1", "b": "x\ny"}], DataError),
    "TSV": ("t.tsv", "é\tb\n1\t2\n", lambda path: list(read_rows(path, "--metadata")), [{"é": "1", "b": "2"}], DataError),
    "JSON lines": ("t.jsonl", JSON_LINES, lambda path: [row["image"] for row in read_rows(path, "--metadata")], ["é1.png", "é2.png"], DataError),
    "gzipped": ("t.csv.gz", "é,b\n1,2\n", lambda path: list(read_rows(path, "--metadata")), [{"é": "1", "b": "2"}], DataError),
    "latent": (
        "a.json", '{"note": "é",\n"latents": {"bg": [1, 2]}}\n', lambda path: read_latent(path, {"bg": 2}).tolist(), [1.0, 2.0], ArtifactError,
    ),
    "recipe": ("a.toml", RECIPE, recipe.load_recipe, recipe.load_recipe("thesis-32/pretrain_fg"), UsageError),
    "recipe, printed": ("a.toml", RECIPE, lambda path: recipe.read_recipe_text(path), RECIPE, UsageError),
    "study key": ("key.json", '{"schema_version": 1, "study": "é",\n"items": [{"arm": "a", "source": "é"}]}', of_study, "é", DataError),
    "study answers": ("a.json", '{"schema_version": 1, "study": "é",\n"answers": [{"item": 0, "real": true}]}', of_answers, 1, DataError),
    "CelebA's attributes": ("a.txt", "1\né Bald\né.jpg 1 -1\n", read_attributes, (["é", "Bald"], {"é.jpg": {"é": 1, "Bald": -1}}), DataError),
    "products": ("meta.json", '{"asin": "é", "imUrl": "http://a/b.jpg"}\n', of_products, {"é": "b.jpg"}, DataError),
}  # fmt: skip


def written(folder: Path, reader: str, content: bytes) -> Path:
    path = folder / READERS[reader][0]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_every_encoding_and_line_end(tmp_path: Path, reader: str, encoding: str, line_end: str) -> None:
    _, text, read, expected, _ = READERS[reader]
    assert read(written(tmp_path, reader, ENCODINGS[encoding](text.replace("\n", LINE_ENDS[line_end])))) == expected


@pytest.mark.parametrize("encoding", REFUSED)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_the_rest_in_one_line(tmp_path: Path, reader: str, encoding: str) -> None:
    if reader == "path list" and encoding == "Latin-1":
        pytest.skip("such bytes are names, see below")
    _, text, read, _, error = READERS[reader]
    path = written(tmp_path, reader, REFUSED[encoding](text))
    with pytest.raises(error, match=r":\d+: .*UTF-(8|16)") as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_what_is_not_there_in_one_line(tmp_path: Path, reader: str) -> None:
    _, _, read, _, _ = READERS[reader]
    with pytest.raises(MitlganError, match=str(tmp_path)):
        read(tmp_path / READERS[reader][0])


def test_a_list_of_paths_may_hold_names_that_are_not_utf_8(tmp_path: Path) -> None:
    content = images.encoded(images.smooth(1), "PNG")
    for name in (b"\xe9.png", b"in\\back.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "new.png").write_bytes(content)
    (tmp_path / "list.txt").write_bytes(b"\xe9.png\r\nin\\new.png\r\nin\\back.png\r\n")  # a part of the third is a name with a backslash
    source = open_source(tmp_path / "list.txt").entries
    assert [entry.name for entry in source] == [r"\xe9.png", "in/new.png", r"in\back.png"]
    assert all(entry.read() == content for entry in source)


def test_a_line_that_is_no_text_is_named() -> None:
    with pytest.raises(TextError) as caught:
        decode_text(b"a\nb\nc\xff\nd")
    assert caught.value.line == 3
    with pytest.raises(TextError) as caught:
        list(iter_lines(io.BytesIO(b"a\r\nb\0\r\n")))
    assert caught.value.line == 2


@pytest.mark.parametrize("text", ["", "a", "a\n", "\n", "\n\na", "a\r\n\r\nb\r", "a\u2028b\x0bc\x85d"])
def test_text_stays_as_it_is_but_for_its_line_ends(text: str) -> None:
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    for encode in ENCODINGS.values():
        assert decode_text(encode(text)) == expected


def test_latents_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"latents": {"bg": [0.1, -2.5]}}'.encode("utf-16"))
    assert torch.equal(read_latent(path, {"bg": 2}), torch.tensor([0.1, -2.5]))
