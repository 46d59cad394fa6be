"""The sets' own formats: what is right is read to the byte, what is wrong is refused in a line that says where to get it."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mitlgan.data import readers
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.readers import faces
from mitlgan.data.readers.common import Picture
from mitlgan.data.readers.products import ReviewLimits
from mitlgan.errors import DataError, UsageError
from mitlgan.images.pixels import to_grayscale

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
DIGITS = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)


def idx(path: Path, values: NDArray[np.uint8], magic: int) -> Path:
    content = struct.pack(f">I{values.ndim}I", magic, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_idx_is_read_to_the_byte(tmp_path: Path, name: str) -> None:
    pack = readers.pack_idx(idx(tmp_path / name, DIGITS, 0x803), tmp_path / "p.npy")
    assert pack.channels == 1
    assert np.array_equal(pack.pixels[:, 0], DIGITS)
    assert pack.manifest["made_by"]["original"] == "none that is known"
    assert pack.batch([3], channels=1).shape == (1, 1, 28, 28)
    assert np.array_equal(pack.batch([3], channels=3).numpy()[0], np.repeat(DIGITS[3][None], 3, 0))
    assert pack.mattes([3]) is None


def test_idx_needs_no_pack_to_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
    file = idx(tmp_path / "t10k-images-idx3-ubyte.gz", DIGITS, 0x803)
    pack = open_data(str(file), "scene", 28)
    assert len(pack) == 20
    assert open_data(str(file), "scene", 28).path == pack.path
    assert open_data(str(file), "scene", 32).size_px == 32


def test_idx_labels_choose(tmp_path: Path) -> None:
    images = idx(tmp_path / "i-idx3", DIGITS, 0x803)
    labels = idx(tmp_path / "l-idx1", np.arange(20, dtype=np.uint8) % 10, 0x801)
    pack = readers.pack_idx(images, tmp_path / "p.npy", labels=labels, classes=[3], limit=5)
    assert [source["label"] for source in pack.sources()] == ["3", "3"]
    assert np.array_equal(pack.pixels[1, 0], DIGITS[13])
    with pytest.raises(DataError, match=r"^--labels .*19 labels for 20 images"):
        readers.pack_idx(images, tmp_path / "q.npy", labels=idx(tmp_path / "m-idx1", np.zeros(19, np.uint8), 0x801))
    with pytest.raises(DataError, match=r"^--classes: needs --labels"):
        readers.pack_idx(images, tmp_path / "q.npy", classes=[1])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (struct.pack(">4I", 0x803, 2, 4, 4) + bytes(31), "promises 2 x 4 x 4 bytes, 31 are there"),
        (struct.pack(">4I", 0x801, 2, 4, 4) + bytes(32), "begins with 00000801"),
        (b"", "begins with nothing"),
        (gzip.compress(bytes(99), mtime=0)[:20], "damaged"),
    ],
)
def test_damaged_idx_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(DataError, match=rf"^--data .*bad: .*{says}"):
        readers.pack_idx(tmp_path / "bad", tmp_path / "p.npy")
    assert not (tmp_path / "p.npy").exists()


def test_an_absent_set_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"yann\.lecun\.com"):
        readers.pack_idx(tmp_path / "none", tmp_path / "p.npy")
    with pytest.raises(DataError, match=r"cs\.toronto\.edu"):
        readers.pack_cifar(tmp_path, tmp_path / "p.npy")
    with pytest.raises(DataError, match="mmlab"):
        readers.pack_celeba(tmp_path, tmp_path / "p.npy")
    with pytest.raises(DataError, match=r"ucsd\.edu"):
        readers.pack_products(tmp_path / "m", tmp_path / "p.npy", reviews=tmp_path / "r", images=tmp_path)


def test_real_digits() -> None:
    file = SHARED / "mnist-10k-images-idx3-ubyte.gz"
    if not file.is_file():
        pytest.skip("needs the shared digits")
    images = readers.idx.read_idx(file, readers.idx.IMAGES)
    assert images.shape == (10_000, 28, 28)
    assert 25 < images.mean() < 40  # mostly black, as digits are


def cifar(folder: Path, *, bad: int | None = None) -> None:
    folder.mkdir()
    for number, name in enumerate((*readers.cifar.TRAIN, *readers.cifar.TEST)):
        records = np.zeros((10_000, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(10_000) % 10
        records[:, 1 : 1 + 1024] = number + 1  # red
        if number == bad:
            records[7, 0] = 11
        (folder / name).write_bytes(records.tobytes())


def test_cifar(tmp_path: Path) -> None:
    cifar(tmp_path / "c")
    pack = readers.pack_cifar(tmp_path / "c", tmp_path / "p.npy", classes=[5], limit=1200)
    assert len(pack) == 1200
    assert pack.pixels[1100, :, 0, 0].tolist() == [2, 0, 0]  # of the second file, red alone
    assert next(iter(pack.sources()))["label"] == "dog"
    test = readers.pack_cifar(tmp_path / "c", tmp_path / "t.npy", split="test", limit=3)
    assert test.pixels[0, 0, 0, 0] == 6


@pytest.mark.parametrize(
    ("source", "split", "first", "recorded"),
    [("", "Test", 6, "test"), ("", "TRAIN", 1, "train"), ("test_batch.bin", "train", 6, "test"), ("data_batch_2.bin", "train", 2, "train")],
)
def test_cifar_records_the_split_that_was_read(tmp_path: Path, source: str, split: str, first: int, recorded: str) -> None:
    cifar(tmp_path / "c")
    pack = readers.pack_cifar(tmp_path / "c" / source, tmp_path / "p.npy", split=split, limit=3)
    assert (int(pack.pixels[0, 0, 0, 0]), pack.manifest["made_by"]["split"]) == (first, recorded)


@pytest.mark.parametrize(("source", "split"), [("", "validation"), ("", "tset"), ("data_batch_2.bin", "test")])
def test_cifar_refuses_a_split_that_it_has_not(tmp_path: Path, source: str, split: str) -> None:
    cifar(tmp_path / "c")
    with pytest.raises(UsageError, match=f"--split {split}: "):
        readers.pack_cifar(tmp_path / "c" / source, tmp_path / "p.npy", split=split, limit=3)


def test_cifar_is_checked(tmp_path: Path) -> None:
    cifar(tmp_path / "c", bad=0)
    with pytest.raises(DataError, match="a label of 11"):
        readers.pack_cifar(tmp_path / "c", tmp_path / "p.npy")
    file = tmp_path / "c" / "data_batch_1.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="not 10000 records of 3073"):
        readers.pack_cifar(tmp_path / "c", tmp_path / "p.npy")


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    root = tmp_path / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    for index in range(1, 5):
        Image.new("RGB", (178, 218), (index * 40, 0, 0)).save(root / "img_align_celeba" / f"{index:06d}.jpg")
    rows = [f"{index:06d}.jpg  {1 if index % 2 else -1}  {1 if index < 3 else -1}" for index in range(1, 5)]
    (root / "list_attr_celeba.txt").write_text("\n".join(["4", "Smiling Male", *rows]) + "\n")
    return root


def test_celeba_by_attributes(celeba: Path, tmp_path: Path) -> None:
    pack = readers.pack_celeba(celeba, tmp_path / "p.npy", attributes=["Smiling", "Male=-1"])
    assert [source["name"] for source in pack.sources()] == ["000003.jpg"]
    assert pack.size_px == 40
    assert "research" in pack.manifest["licence"]
    with pytest.raises(UsageError, match=r"^--attribute Simling"):
        readers.pack_celeba(celeba, tmp_path / "p.npy", attributes=["Simling"])


@pytest.mark.parametrize(
    ("before", "after", "says"), [("4\n", "5\n", "promises 5"), ("  1  1", "  1", "needs 2 values"), ("4\n", "x\n", "not CelebA's")]
)
def test_celeba_attributes_are_checked(celeba: Path, tmp_path: Path, before: str, after: str, says: str) -> None:
    file = celeba / "list_attr_celeba.txt"
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(DataError, match=says):
        readers.pack_celeba(celeba, tmp_path / "p.npy", attributes=["Smiling"])


def test_celeba_as_kaggle_ships_it(celeba: Path, tmp_path: Path) -> None:
    """Its folder is nested twice, its attributes are a table with a header and without the count."""
    nested = tmp_path / "kaggle"
    (nested / "img_align_celeba").mkdir(parents=True)
    (celeba / "img_align_celeba").rename(nested / "img_align_celeba" / "img_align_celeba")
    rows = [f"{index:06d}.jpg,{1 if index % 2 else -1},{1 if index < 3 else -1}" for index in range(1, 5)]
    (nested / "list_attr_celeba.csv").write_text("\r\n".join(["image_id,Smiling,Male", *rows]) + "\r\n")
    pack = readers.pack_celeba(nested, tmp_path / "p.npy", attributes=["Smiling", "Male=-1"])
    assert [(source["name"], source["label"]) for source in pack.sources()] == [("000003.jpg", "Smiling")]
    (nested / "list_attr_celeba.csv").write_text("image_id,Smiling,Male\n000001.jpg,1\n")
    with pytest.raises(DataError, match=r"list_attr_celeba.csv:2: needs 2 values"):
        readers.pack_celeba(nested, tmp_path / "p.npy", attributes=["Smiling"])


@pytest.mark.parametrize("root", ["Img/img_align_celeba", "celeba-dataset/img_align_celeba/img_align_celeba", "archive"])
@pytest.mark.parametrize("form", ["txt", "quoted", "spaces"])
def test_celeba_lies_in_folders_of_other_copies(celeba: Path, tmp_path: Path, root: str, form: str) -> None:
    source = tmp_path / "copy"
    (source / root).parent.mkdir(parents=True)
    (celeba / "img_align_celeba").rename(source / root)
    table = source / {"Img": "Anno", "celeba-dataset": "celeba-dataset", "archive": "archive"}[root.partition("/")[0]]
    table.mkdir(exist_ok=True)
    text = (celeba / "list_attr_celeba.txt").read_text()
    if form == "txt":
        (table / "list_attr_celeba.txt").write_text(text)
    else:
        separator = '","' if form == "quoted" else " , "
        lines = [separator.join(line.split()) for line in ["image_id Smiling Male", *text.splitlines()[2:]]]
        (table / "list_attr_celeba.csv").write_text("\n".join(f'"{line}"' if form == "quoted" else line for line in lines), encoding="utf-8-sig")
    pack = readers.pack_celeba(source, tmp_path / "p.npy", size_px=8, attributes=["Smiling", "Male=-1"])
    assert [source["name"] for source in pack.sources()] == ["000003.jpg"]


def test_attributes_that_contradict_leave_no_picture(celeba: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture is left"):
        readers.pack_celeba(celeba, tmp_path / "p.npy", attributes=["Smiling", "Smiling=-1"])


def test_limit_counts_pictures_that_can_be_read(celeba: Path, tmp_path: Path) -> None:
    (celeba / "img_align_celeba" / "000001.jpg").write_bytes(b"\xff\xd8")
    kept = readers.pack_celeba(celeba, tmp_path / "p.npy", size_px=8, limit=2)
    assert [source["name"] for source in kept.sources()] == ["000002.jpg", "000003.jpg"]


def test_limit_counts_faces(celeba: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(picture: Image.Image) -> tuple[int, int, int, int] | None:
        return (0, 0, 40, 40) if np.asarray(picture)[0, 0, 0] >= 75 else None  # the first of the four has none

    for module in ("celeba", "faces"):
        monkeypatch.setattr(f"mitlgan.data.readers.{module}.face_finder", lambda model: find)
    kept = readers.pack_celeba(celeba, tmp_path / "p.npy", faces=True, limit=2)
    assert [source["name"] for source in kept.sources()] == ["000002.jpg", "000003.jpg"]
    folder = readers.pack_faces(celeba / "img_align_celeba", tmp_path / "q.npy", size_px=16, limit=2)
    assert [source["name"] for source in folder.sources()] == ["000002.jpg", "000003.jpg"]


def test_yunet_gives_the_largest_face_and_a_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = pytest.importorskip("cv2")
    model = tmp_path / "yunet.onnx"
    with pytest.raises(DataError, match=r"^--face-model .*yunet.onnx: no such file"):
        faces.face_finder(model)
    model.write_bytes(b"no model")
    with pytest.raises(DataError, match=r"^--face-model .*yunet.onnx: not a YuNet that OpenCV"):
        faces.face_finder(model)

    class Detector:
        def setInputSize(self, size_px: tuple[int, int]) -> None:  # noqa: N802
            self.size_px = size_px

        def detect(self, pixels: np.ndarray) -> tuple[int, np.ndarray | None]:
            small, large = [0, 0, 5, 5, *[0] * 10], [20, 30, 20, 30, *[0] * 10]
            return 1, np.array([small, large], np.float32) if pixels.shape[:2] == (80, 60) else None

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Detector())
    find = faces.face_finder(model)
    assert find(Image.new("RGB", (60, 80))) == (18, 28, 42, 62)
    assert find(Image.new("RGB", (50, 50))) is None


def test_faces_are_cut_and_others_skipped() -> None:
    left, right = Image.new("RGB", (60, 60)), Image.new("RGB", (80, 60))
    right.paste((255, 255, 255), (40, 10, 60, 30))
    skipped: list[dict[str, str]] = []
    found = list(
        faces.crop_faces([Picture("a", left, ""), Picture("b", right, "")], lambda picture: (40, 10, 60, 30) if picture.width == 80 else None, skipped)
    )
    assert [picture.name for picture in found] == ["b"]
    assert isinstance(found[0].pixels, Image.Image)
    assert np.asarray(found[0].pixels).shape == (20, 20, 3)
    assert np.asarray(found[0].pixels).min() == 255
    assert skipped == [{"name": "a", "reason": "no face found"}]


@pytest.fixture
def products(tmp_path: Path) -> Path:
    root = tmp_path / "products"
    (root / "images").mkdir(parents=True)
    metadata, reviews = [], []
    for number in range(20):
        asin = f"B{number:03d}"
        metadata.append({"asin": asin, "imUrl": f"http://example.com/I/{number}.jpg"})
        stars, count = (3.0 if number == 1 else 5.0), (11 if number == 2 else 12)
        reviews += [{"asin": asin, "overall": stars}] * count
        shade = 9 if number >= 8 else 100 if number in (3, 4) else number * 20  # 8 and later: one placeholder; 4 repeats 3
        Image.new("RGB", (70, 70), (shade, shade, shade)).save(root / "images" / f"{number}.jpg")
    (root / "images" / "5.jpg").unlink()
    lines = [json.dumps(row) for row in metadata]
    lines[6] = repr(metadata[6])  # an older dump's Python literal
    (root / "meta.json.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (root / "reviews.json").write_text("\n".join(map(json.dumps, reviews)))
    return root


def pack_products(root: Path, out: Path, choice: ReviewLimits | None = None) -> ImagePack:
    return readers.pack_products(root / "meta.json.gz", out, reviews=root / "reviews.json", images=root / "images", choice=choice)


def test_products_are_benedettis_choice(products: Path, tmp_path: Path) -> None:
    """Average rating >= 4.00 and >= 12 reviews, no duplicates, no placeholders, 64 px."""
    pack = pack_products(products, tmp_path / "p.npy")
    assert [source["name"] for source in pack.sources()] == ["B000", "B003", "B006", "B007"]
    assert pack.size_px == 64
    reasons = {entry["name"]: entry["reason"] for entry in pack.manifest["skipped"]}
    assert "same file" in reasons["B004"]
    assert "no picture" in reasons["B005"]
    assert "placeholder: 12 products" in reasons["B008"]
    assert not {"B001", "B002"} & reasons.keys()
    assert len(pack_products(products, tmp_path / "q.npy", ReviewLimits(rating=0, reviews=1))) == 6


def test_a_product_whose_address_is_none_is_skipped(products: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"asin": f"B{number:03d}", "imUrl": "http://[::1/a.jpg" if number in (0, 5) else ""}) for number in (0, 3, 5)]
    (products / "meta.json.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (products / "images" / "0.jpg").rename(products / "images" / "B000.jpg")
    pack = pack_products(products, tmp_path / "p.npy")
    assert [source["name"] for source in pack.sources()] == ["B000"]
    assert {entry["name"]: entry["reason"] for entry in pack.manifest["skipped"]} == {
        "B003": "no picture B003.* or of its address", "B005": "no picture B005.* or of its address",
    }  # fmt: skip


def test_two_pictures_of_one_name_are_no_products_picture(products: Path, tmp_path: Path) -> None:
    (products / "images" / "other").mkdir()
    for name in ("0.jpg", "6.png"):
        Image.new("RGB", (70, 70), (1, 2, 3)).save(products / "images" / "other" / name)
    pack = pack_products(products, tmp_path / "p.npy")
    assert [source["name"] for source in pack.sources()] == ["B003", "B006", "B007"]
    reasons = {entry["name"]: entry["reason"] for entry in pack.manifest["skipped"]}
    assert reasons["B000"] == f"{products / 'images/0.jpg'} and {products / 'images/other/0.jpg'} both have its name; leave one of them there"


def test_products_with_nothing_left(products: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture is left"):
        pack_products(products, tmp_path / "p.npy", ReviewLimits(reviews=99))


def test_hostile_metadata_is_not_evaluated(products: Path, tmp_path: Path) -> None:
    (products / "meta.json.gz").write_text("__import__('os').system('touch " + str(tmp_path / "owned") + "')\n")
    with pytest.raises(DataError, match=r"meta.json.gz:1: not an object with asin"):
        pack_products(products, tmp_path / "p.npy")
    assert not (tmp_path / "owned").exists()


def test_colours_have_a_brightness() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], dtype=np.uint8).reshape(4, 3, 1, 1)
    assert to_grayscale(colours).ravel().tolist() == [76, 150, 29, 255]
