"""Products, the whole way by commands: metadata with reviews, a list of URLs, pictures from a server, a pack."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import Command
from PIL import Image

from mitlgan.data.pack.image_pack import ImagePack

Writer = Callable[[Any], str]
DIALECTS: dict[str, Writer] = {"json": json.dumps, "python": repr}


class Shop(BaseHTTPRequestHandler):
    """One picture at each address; those of 4 are gone, the last part of an address says its shade."""

    def do_GET(self) -> None:
        number = int(self.path.rpartition("/")[2].partition(".")[0])
        content = io.BytesIO()
        Image.new("RGB", (40, 40), (number * 20, 10, 10)).save(content, "PNG")
        self.send_response(404 if number == 4 else 200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(content.getvalue())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def write_files(folder: Path, shop: str, write: Writer) -> tuple[Path, Path]:
    """Ten products in the source's form, gzip: 1 is disliked, 2 has few reviews, 3 no picture, 5 and 6 share one."""
    metadata, reviews = [], []
    for number in range(10):
        row = {"asin": f"B{number:03d}", "title": "It's", "imUrl": f"{shop}/images/I/{5 if number == 6 else number}.jpg"}
        if number == 3:
            del row["imUrl"]
        metadata.append(row)
        reviews += [{"asin": row["asin"], "overall": 3.0 if number == 1 else 5.0}] * (11 if number == 2 else 12)
    paths = folder / "meta.json.gz", folder / "reviews.json.gz"
    for path, rows in zip(paths, (metadata, reviews), strict=True):
        path.write_bytes(gzip.compress("\n".join(map(write, rows)).encode()))
    return paths


@pytest.mark.parametrize("dialect", DIALECTS)
def test_from_reviews_to_a_pack(command: Command, folder: Path, shop: str, dialect: str) -> None:
    metadata, reviews = write_files(folder, shop, DIALECTS[dialect])
    listed = command("data", "read", "products", metadata, "--reviews", reviews, "--write-urls", "urls.jsonl", "--json")
    assert (listed.code, listed.json["products"], listed.json["without_url"]) == (0, 7, 1)
    rows = [json.loads(line) for line in Path("urls.jsonl").read_text().splitlines()]
    assert [row["asin"] for row in rows] == ["B000", "B004", "B005", "B006", "B007", "B008", "B009"]
    assert rows[0] == {"asin": "B000", "url": f"{shop}/images/I/0.jpg"}
    fetched = command("data", "fetch", "urls.jsonl", "--out", "images", "--json")
    assert (fetched.code, fetched.json["counts"]["fetched"], fetched.json["counts"]["failed"]) == (0, 5, 1)
    keys = {row["key"]: row["file"] for row in map(json.loads, Path("images/keys.jsonl").read_text().splitlines())}
    assert set(keys) == {"B000", "B005", "B006", "B007", "B008", "B009"}
    assert keys["B005"] == keys["B006"]
    packed = command("data", "read", "products", metadata, "--reviews", reviews, "--images", "images", "--out", "p.npy", "--size", "16", "--json")
    assert packed.code == 0, packed.err
    pack = ImagePack.open(Path("p.npy"))
    assert [source["name"] for source in pack.sources()] == ["B000", "B005", "B007", "B008", "B009"]  # 6 is the same file as 5
    assert [int(pixel) for pixel in pack.pixels[:, 0, 8, 8]] == [0, 100, 140, 160, 180]  # each has its own picture


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_metadata_itself_is_a_list(command: Command, folder: Path, shop: str, dialect: str) -> None:
    metadata, reviews = write_files(folder, shop, DIALECTS[dialect])
    assert command("data", "fetch", metadata, "--url-column", "imUrl", "--key-column", "asin", "--out", "all").code == 0
    assert "B001" in Path("all/keys.jsonl").read_text()
    again = command("data", "fetch", metadata, "--url-column", "imUrl", "--out", "plain", "--json")
    assert not Path("plain/keys.jsonl").exists()
    for images in ("all", "plain"):  # without keys, pictures are known by their addresses
        pack = f"{images}.npy"
        done = command("data", "read", "products", metadata, "--reviews", reviews, "--images", images, "--out", pack, "--size", "16")
        assert done.code == 0, done.err
        assert len(ImagePack.open(Path(pack))) == 5
    assert again.json["counts"]["had"] == 0


def test_metadata_of_2018_has_lists_and_the_first_address_of_a_product_counts(command: Command, folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"asin": "a", "imageURL": ["http://s/small.jpg"], "imageURLHighRes": [" http://s/large.jpg ", "http://s/side.jpg"]},
        {"asin": "b", "imageURL": ["http://s/b.jpg"], "imageURLHighRes": []},
        {"asin": "c", "imUrl": ["http://s/c.jpg"]},
        {"asin": "c", "imUrl": ""},
        {"asin": "d", "imUrl": float("nan")},
        {"asin": "e", "imUrl": None},
    ]
    Path("meta.json").write_text("\ufeff" + "\r\n".join(map(json.dumps, rows)) + "\r\n")
    Path("reviews.json").write_text("\n".join(json.dumps({"asin": row["asin"], "overall": "5.0"}) for row in rows))
    done = command(
        "data", "read", "products", "meta.json", "--reviews", "reviews.json", "--min-reviews", "1", "--write-urls", "new/urls.jsonl", "--json"
    )
    assert (done.code, done.json["products"], done.json["without_url"]) == (0, 3, 2), done.err
    urls = {row["asin"]: row["url"] for row in map(json.loads, Path("new/urls.jsonl").read_text().splitlines())}
    assert urls == {"a": "http://s/large.jpg", "b": "http://s/b.jpg", "c": "http://s/c.jpg"}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "null", '"many"', '""'])
def test_a_rating_or_product_that_is_none_names_its_line(command: Command, folder: Path, value: str) -> None:
    Path("meta.json").write_text('{"asin": "a", "imUrl": "http://s/a.jpg"}')
    Path("reviews.json").write_text(f'{{"asin": "a", "overall": 5}}\n{{"asin": "a", "overall": {value}}}\n')
    done = command("data", "read", "products", "meta.json", "--reviews", "reviews.json", "--write-urls", "urls.jsonl")
    assert (done.code, done.err.startswith("--reviews reviews.json:2: not an object with asin and overall")) == (3, True), done.err
    if value in ("NaN", "null", '""'):
        Path("meta.json").write_text(f'{{"asin": {value}, "imUrl": "http://s/a.jpg"}}')
        done = command("data", "read", "products", "meta.json", "--reviews", "meta.json", "--write-urls", "urls.jsonl")
        assert (done.code, "meta.json:1: not an object with asin" in done.err) == (3, True), done.err
    assert not Path("urls.jsonl").exists()


@pytest.mark.parametrize("name", ["unpacked.json.gz", "packed.json"])
def test_the_content_says_whether_a_file_is_gzip(command: Command, folder: Path, shop: str, name: str) -> None:
    """A browser unpacks a download and keeps its name."""
    metadata, reviews = write_files(folder, shop, json.dumps)
    content = metadata.read_bytes()
    Path(name).write_bytes(gzip.decompress(content) if name.startswith("unpacked") else content)
    listed = command("data", "read", "products", name, "--reviews", reviews, "--write-urls", "urls.jsonl", "--json")
    fetched = command("data", "fetch", name, "--url-column", "imUrl", "--key-column", "asin", "--out", "all", "--json")
    assert (listed.json["products"], fetched.json["counts"]["asked"]) == (7, 8)  # 5 and 6 share an address


def test_what_is_refused(command: Command, folder: Path, shop: str) -> None:
    metadata, reviews = write_files(folder, shop, json.dumps)
    Path("products.csv").write_text("asin,imUrl\nB1,http://a/1.jpg\n")
    Path("array.json").write_text('[{"asin": "B1"}]')
    Path("lines.txt").write_text("http://a/1.jpg\n")
    Path("keyless.jsonl").write_text('{"url": "http://a/1.jpg"}\n')
    (folder / "images").mkdir()
    before = {path.name for path in folder.iterdir()}
    read = ("data", "read", "products")
    for arguments, code, message in (
        (
            (*read, "products.csv", "--reviews", reviews, "--write-urls", "u.jsonl"),
            3,
            "SOURCE products.csv:1: not an object with asin, as JSON",
        ),
        ((*read, "array.json", "--reviews", reviews, "--write-urls", "u.jsonl"), 3, "SOURCE array.json:1: not an object with asin, as JSON"),
        ((*read, metadata, "--reviews", "products.csv", "--write-urls", "u.jsonl"), 3, "--reviews products.csv:1: not an object with asin and"),
        ((*read, metadata, "--reviews", reviews, "--min-reviews", "99", "--write-urls", "u.jsonl"), 3, "none of its products has enough good reviews"),
        ((*read, reviews, "--reviews", reviews, "--write-urls", "u.jsonl"), 3, "none of 8 products has the address of a picture (imUrl,"),
        ((*read, metadata, "--reviews", reviews, "--min-rating", "nan", "--write-urls", "u.jsonl"), 2, "--min-rating nan: give a number of stars"),
        (("data", "fetch", "products.csv", "--out", "f"), 3, "LIST products.csv: no address of http or https in it"),
        ((*read, metadata, "--reviews", reviews, "--min-reviews", "0", "--write-urls", "u.jsonl"), 2, "--min-reviews 0: give a number of at least 1"),
        ((*read, metadata, "--reviews", reviews, "--write-urls", "u.csv"), 2, "--write-urls u.csv: is a table of asin and URL"),
        ((*read, metadata, "--write-urls", "u.jsonl"), 2, "--write-urls: needs --reviews, and packs nothing"),
        ((*read, metadata, "--reviews", reviews, "--images", "images"), 2, "--out, --size: say where the pack goes"),
        ((*read[:2], "mnist", "x", "--write-urls", "u.jsonl"), 2, "--write-urls: of products"),
        (("data", "fetch", "lines.txt", "--key-column", "asin", "--out", "f"), 3, "LIST lines.txt: has lines of addresses and no keys"),
        (("data", "fetch", "keyless.jsonl", "--url-column", "url", "--key-column", "asin", "--out", "f"), 3, "LIST keyless.jsonl: row 1 has no key"),
        (("data", "fetch", "array.json", "--url-column", "url", "--out", "f"), 3, "LIST array.json: line 1 is not a JSON object, nor"),
    ):
        done = command(*arguments)
        assert (done.code, message in done.err, done.err.strip().count("\n")) == (code, True, 0), done.err
    assert {path.name for path in folder.iterdir()} == before
