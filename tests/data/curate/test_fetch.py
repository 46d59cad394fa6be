"""`data fetch`, against a server of the test's own."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers import images

from mitlgan.data.curate.fetch import FetchSettings, default_columns, fetch_pictures, read_keyed_urls, read_keys, read_urls
from mitlgan.errors import DataError

PICTURE = images.encoded(images.smooth(1), "PNG")
BOMB = images.png(20_000, 20_000)
QUICK = FetchSettings(max_bytes=200_000, timeout_s=0.4, deadline_s=1.0, tries=2, pause_s=0.01)


class Server(ThreadingHTTPServer):
    asked: Counter[str]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client gone is what some of the tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        kind = self.path.split("?")[0].strip("/").split("/")[0]
        getattr(self, f"give_{kind}", self.give_picture)()

    def answer(self, code: int, content: bytes = b"", kind: str = "image/png", length: int | None = None, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def give_picture(self) -> None:
        self.answer(200, PICTURE)

    def give_jpeg(self) -> None:
        self.answer(200, images.encoded(images.smooth(2), "JPEG"), "image/jpeg")

    def give_sent_away(self) -> None:
        self.answer(302, Location="http://[::1/a.jpg")

    def give_binary(self) -> None:
        self.answer(200, PICTURE, "binary/octet-stream")  # Amazon's store

    def give_untyped(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PICTURE)

    def give_gone(self) -> None:
        self.answer(404, b"no")

    def give_flaky(self) -> None:
        self.answer(*((503, b"later") if self.server.asked[self.path] == 1 else (200, PICTURE)))

    def give_page(self) -> None:
        self.answer(200, b"<html>", "text/html")

    def give_lie(self) -> None:
        self.answer(200, b"<html>not found</html>", "image/jpeg")

    def give_large(self) -> None:
        self.answer(200, b"", length=10**12)

    def give_endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(50_000))
        except OSError:
            pass

    def give_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        try:
            for _ in range(60):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass

    def give_silent(self) -> None:
        time.sleep(1.5)

    def give_short(self) -> None:
        self.answer(200, PICTURE[:100], length=len(PICTURE))
        self.close_connection = True

    def give_moved(self) -> None:
        self.answer(302, Location="/picture/moved.png")

    def give_circle(self) -> None:
        self.answer(302, Location="/circle")

    def give_file(self) -> None:
        self.answer(302, Location="file:///etc/passwd")

    def give_ftp(self) -> None:
        self.answer(302, Location="ftp://127.0.0.1/a.png")

    def give_bomb(self) -> None:
        self.answer(200, BOMB)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, Counter[str]]]:
    running = Server(("127.0.0.1", 0), Handler)
    running.asked = Counter()
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}", running.asked
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_pictures_are_fetched_once(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    base, asked = server
    addresses = [f"{base}/picture/a.png", f"{base}/jpeg/b", f"{base}/moved", f"{base}/flaky"]
    told: list[tuple[int, int]] = []
    found = fetch_pictures(addresses, tmp_path, QUICK, lambda done, total: told.append((done, total)))
    assert found["counts"] == {"asked": 4, "fetched": 4, "had": 0, "changed": 0, "failed": 0}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert asked["/flaky"] == 2
    manifest = json.loads((tmp_path / "fetch.json").read_text())
    files = [entry["file"] for entry in manifest["files"]]
    assert [Path(name).suffix for name in files] == [".png", ".jpg", ".png", ".png"]
    assert all((tmp_path / name).is_file() for name in files)
    before = asked.total()
    assert fetch_pictures(addresses, tmp_path, QUICK)["counts"] == {"asked": 4, "fetched": 0, "had": 4, "changed": 0, "failed": 0}
    assert asked.total() == before
    (tmp_path / files[1]).unlink()
    assert fetch_pictures(addresses, tmp_path, QUICK)["counts"]["fetched"] == 1


def test_a_file_that_was_changed_since_is_kept_and_told_and_a_damaged_one_is_fetched_again(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    addresses = [f"{server[0]}/picture/{name}.png" for name in "abc"]
    fetch_pictures(addresses, tmp_path, QUICK)
    first, second, _ = (tmp_path / entry["file"] for entry in json.loads((tmp_path / "fetch.json").read_text())["files"])
    turned = images.encoded(images.smooth(9), "PNG")
    first.write_bytes(turned)
    second.write_bytes(PICTURE[: len(PICTURE) // 2])
    assert fetch_pictures(addresses, tmp_path, QUICK)["counts"] == {"asked": 3, "fetched": 1, "had": 2, "changed": 1, "failed": 0}
    account = json.loads((tmp_path / "fetch.json").read_text())["files"]
    assert [entry["sha256"] for entry in account] == [hashlib.sha256(content).hexdigest() for content in (turned, PICTURE, PICTURE)]
    assert (first.read_bytes(), second.read_bytes()) == (turned, PICTURE)


REASONS = {
    "gone/a.png": "HTTP 404",
    "sent_away": "unreachable: Invalid IPv6 URL",
    "page": "not a picture: text/html",
    "lie": "no usable picture: HTML",
    "large": "too large: 1000000000000 bytes",
    "endless": "too large: more than 200000 bytes",
    "drip": "too slow",
    "silent": "timed out",
    "short": "cut short",
    "circle": "HTTP 302",
    "file": "HTTP 302",
    "ftp": "redirected to ftp",
    "bomb": "no usable picture",
}


def test_what_fails_is_listed_with_its_reason(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    base, asked = server
    addresses = [
        f"{base}/picture/good.png",
        *(f"{base}/{path}" for path in REASONS),
        "ftp://127.0.0.1/a.png",
        "file:///etc/passwd",
        "http://",
        "nonsense",
        "http://[::1/a.jpg",
        "http://[gan]/a.jpg",
    ]
    found = fetch_pictures(addresses, tmp_path, QUICK)
    said = {failure["url"].removeprefix(f"{base}/"): failure["reason"] for failure in found["failures"]}
    for path, reason in REASONS.items():
        assert said[path].startswith(reason), (path, said[path])
    for address in addresses[-6:]:
        assert said[address] == "not a web address (http or https)"
    assert found["counts"] == {"asked": len(addresses), "fetched": 1, "had": 0, "changed": 0, "failed": len(addresses) - 1}
    assert (asked["/gone/a.png"], asked["/short"]) == (1, 2)  # only what may help is tried again
    assert (tmp_path / "unreachable.txt").read_text().splitlines() == addresses[1:]
    left = {path.suffix for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert left == {".png", ".json", ".txt"}


def test_addresses_that_no_file_can_hold_are_failures_among_the_others(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    hostile = [f"{server[0]}/picture/\ud800.png", f"{server[0]}/pict\nure.png", f"{server[0]}/\u2028.png", "http://a:b/c.png", "http://\u2100/a.png"]
    summary = fetch_pictures([*hostile, f"{server[0]}/picture/good.png"], tmp_path, QUICK)
    assert [failure["url"] for failure in summary["failures"]] == hostile
    lines = (tmp_path / "unreachable.txt").read_text().splitlines()
    assert len(lines) == len(hostile)
    assert lines[0].endswith("\\ud800.png")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.png"
    with pytest.raises(DataError, match=r"none of 1 addresses gave a picture; .*unreachable"):
        fetch_pictures([address], tmp_path, QUICK)


def test_the_limit_of_all_together(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    settings = FetchSettings(max_total_bytes=2 * len(PICTURE) + 10, tries=1)
    found = fetch_pictures([f"{server[0]}/picture/{index}" for index in range(6)], tmp_path, settings)
    assert found["counts"]["fetched"] == 2
    assert set(found["reasons"]) == {"the limit of all files together is reached"}


def test_hostile_addresses_name_no_path(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    base = server[0]
    addresses = [f"{base}/picture/..%2f..%2fetc%2fpasswd", f"{base}/picture/%00%0a.png", f"{base}/picture/{'x' * 500}.png", f"{base}/picture/<b>.png"]
    fetch_pictures(addresses[:3], tmp_path / "out", QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    for path in (tmp_path / "out").iterdir():
        assert len(path.name) < 80
        assert path.name.isascii()


def test_lists(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("http://a/1\n\n# no\nhttp://a/2\nhttp://a/1\n", encoding="utf-8-sig")
    (tmp_path / "a.csv").write_text("id,imUrl\n1,http://a/1\n2,\n")
    assert read_urls(tmp_path / "a.txt") == ["http://a/1", "http://a/2"]
    assert read_urls(tmp_path / "a.csv", "imUrl") == ["http://a/1"]
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    for name in ("empty.txt", "binary.txt", "gone.txt"):
        with pytest.raises(DataError, match=f"LIST {tmp_path / name}"):
            read_urls(tmp_path / name)
    with pytest.raises(DataError, match="in column other"):
        read_urls(tmp_path / "a.csv", "other")


def test_cells_without_an_address_and_lists_of_them(tmp_path: Path) -> None:
    rows = [
        '{"asin": 0, "u": ["http://a/1", "", "http://a/2"]}',
        '{"asin": "b", "u": null}',
        '{"asin": "c", "u": NaN}',
        '{"asin": "d", "u": " http://a/1 "}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    assert read_keyed_urls(tmp_path / "a.jsonl", "u", "asin") == {"http://a/1": ["0", "d"], "http://a/2": ["0"]}
    (tmp_path / "a.csv").write_text("asin,u,note,note\nb,,x,y\nc,nan,,\nd,http://a/1,,\n")  # nothing reads the notes
    assert read_keyed_urls(tmp_path / "a.csv", "u", "asin") == {"http://a/1": ["d"]}
    with pytest.raises(DataError, match=r"line 2 has 'x' and 'y' in two columns of the name 'note'"):
        read_keyed_urls(tmp_path / "a.csv", "u", "note")
    (tmp_path / "a.csv").write_text("asin,u\nNaN,http://a/1\n")
    with pytest.raises(DataError, match=r"row 1 has no key in column asin"):
        read_keyed_urls(tmp_path / "a.csv", "u", "asin")


def test_a_list_without_any_web_address_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("asin,imUrl\nB1,http://a/1\n")
    with pytest.raises(DataError, match=r"a.csv: no address of http or https in it \(the column of a table: --url-column\), such as 'asin,imUrl'"):
        read_urls(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a.csv: no address of http or https in column asin, such as 'B1'"):
        read_urls(tmp_path / "a.csv", "asin")


@pytest.mark.parametrize(
    ("row", "columns"), [({"asin": "B", "url": "u"}, ("url", "asin")), ({"key": "a", "url": "u"}, ("url", "key")), ({"url": "u"}, ("", ""))]
)
def test_lists_of_this_package_need_no_columns(tmp_path: Path, row: dict[str, str], columns: tuple[str, str]) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    assert default_columns(tmp_path / "a.jsonl") == columns


def test_a_key_of_several_addresses_has_the_first_that_gave_a_picture(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    base = server[0]
    addresses = {f"{base}/gone/1.png": ["a"], f"{base}/picture/2.png": ["a"], f"{base}/picture/3.png": ["a", "b"]}
    fetch_pictures(addresses, tmp_path / "out", QUICK)
    names = {key: path.name.partition("-")[0] for key, path in read_keys(tmp_path / "out").items()}
    assert names == {"a": "2", "b": "3"}


def test_the_content_says_what_a_file_without_a_telling_type_is(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    result = fetch_pictures([f"{server[0]}/binary/1", f"{server[0]}/untyped/2", f"{server[0]}/page/3"], tmp_path / "out", QUICK)
    assert (result["counts"]["fetched"], result["reasons"]) == (2, {"not a picture": 1})


def test_a_damaged_file_of_keys_is_named_by_the_option_that_leads_to_it(server: tuple[str, Counter[str]], tmp_path: Path) -> None:
    addresses = {f"{server[0]}/picture/1": ["k"]}
    fetch_pictures(addresses, tmp_path / "out", QUICK)
    (tmp_path / "out" / "keys.jsonl").write_text('{"mine": 1}\n')
    with pytest.raises(DataError, match=r"^--out .*keys\.jsonl: line 1 is no key and file; move it away and run"):
        fetch_pictures(addresses, tmp_path / "out", QUICK)
    with pytest.raises(DataError, match=r"^--images .*keys\.jsonl: line 1 is no key and file"):
        read_keys(tmp_path / "out")
    assert (tmp_path / "out" / "keys.jsonl").read_text() == '{"mine": 1}\n'
    (tmp_path / "out" / "keys.jsonl").unlink()  # as the message advises
    fetch_pictures(addresses, tmp_path / "out", QUICK)
    assert list(read_keys(tmp_path / "out")) == ["k"]
