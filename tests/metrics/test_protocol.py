"""Evaluation: numbers that carry their protocol, features that are kept, and refusals."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitlgan.data.pack.image_pack import FourthChannel, ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import ArtifactError, DataError, NanError, UsageError
from mitlgan.images.pixels import composite_on, to_float
from mitlgan.metrics import protocol as evaluation
from mitlgan.metrics.extractors.extractor import Extractor
from mitlgan.metrics.extractors.registry import open_extractor
from mitlgan.metrics.frechet import frechet_from_features
from mitlgan.metrics.protocol import EvalProtocol, evaluate, evaluate_pack, flat_metrics, measure_anchors

QUICK = EvalProtocol(extractor="efficientnet-lite0@32", samples=40, split="test", seed=0)


@pytest.fixture(scope="module")
def network() -> Extractor:
    return open_extractor("efficientnet-lite0@32")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))


def pictures(count: int, seed: int, size_px: int = 16, channels: int = 3) -> NDArray[np.uint8]:
    """Smooth coloured blobs, so that a network has something to see."""
    small = torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(small, (size_px, size_px), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8).numpy()


def pack(path: Path, pixels: NDArray[np.uint8], fourth: FourthChannel | None = None) -> ImagePack:
    with PackWriter(path, pixels.shape[-1], fourth) as writer:
        for index, picture in enumerate(pixels):
            writer.append(picture, {"name": f"{index}.png", "sha256": "0" * 64, "width": 16, "height": 16})
        return writer.publish(resize="lanczos", crop="centre", licence="none", made_by={"command": "test"}, skipped=[])


@pytest.fixture
def real(tmp_path: Path) -> ImagePack:
    return pack(tmp_path / "real.npy", pictures(60, 1))


class Fake:
    """An artifact that keeps note of its seeds; its image is a function of the seed alone."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = to_float(torch.from_numpy(pixels))
        self.seeds: list[int] = []

    def sample(self, seeds: Sequence[int]) -> Tensor:
        self.seeds += seeds
        return self.pixels[[seed % len(self.pixels) for seed in seeds]]


def test_every_number_carries_what_it_takes_to_compare_it(real: ImagePack, network: Extractor) -> None:
    result = evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network)
    measures = ("frechet", "kid", "diversity", "precision", "recall", "density", "coverage")
    assert set(result) == {"schema_version", "protocol", *measures, "burnt_dark", "burnt_bright"}
    for key in measures:
        number = result[key]
        assert np.isfinite(number["value"])
        assert number["extractor"] == "efficientnet-lite0@32"
        assert (number["generated"], number["real"], number["split"], number["size_px"]) == (40, 40, "test", 16)
        assert number["data_sha256"] == real.content_sha256
        assert number["weights_sha256"].startswith("57934424")
        assert number["resize"] == "bilinear-antialias"
    assert result["frechet"]["name"] == "FD (efficientnet-lite0@32)"
    assert result["kid"]["name"] == "KID (efficientnet-lite0@32)"
    assert result["kid"]["subset_size"] == 20
    assert result["protocol"]["samples"] == 40
    assert flat_metrics(result)["fd"] == result["frechet"]["value"]
    assert set(flat_metrics(result)) == {
        "fd",
        "kid",
        "kid_std",
        "diversity",
        "precision",
        "recall",
        "density",
        "coverage",
        "burnt_dark",
        "burnt_bright",
    }
    ends = (result["burnt_dark"]["lowest"], result["burnt_bright"]["highest"])
    assert ends == (int(pictures(50, 2)[:40].min()), int(pictures(50, 2)[:40].max()))


def test_only_inception_gives_a_fid(real: ImagePack, network: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "is_inception", True)
    result = evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network)
    assert (result["frechet"]["name"], result["kid"]["name"], result["recall"]["name"]) == ("FID", "KID", "recall")


def test_the_whole_path_is_the_distance_of_the_features(real: ImagePack, network: Extractor) -> None:
    fake = pictures(60, 3)
    whole = EvalProtocol(extractor="efficientnet-lite0@32", samples=60)
    result = evaluate(Fake(fake), real, whole, extractor=network)
    by_hand = frechet_from_features(network(torch.from_numpy(np.array(real.pixels))).numpy(), network(torch.from_numpy(fake)).numpy())
    assert result["frechet"]["value"] == pytest.approx(by_hand, rel=1e-6)


def test_perfect_copies_score_zero(real: ImagePack, network: Extractor) -> None:
    whole = EvalProtocol(extractor="efficientnet-lite0@32", samples=60)
    assert evaluate(Fake(np.array(real.pixels)), real, whole, extractor=network)["frechet"]["value"] == pytest.approx(0, abs=1e-3)
    assert evaluate_pack(real, real, whole, extractor=network)["frechet"]["value"] == pytest.approx(0, abs=1e-9)


def test_worse_pictures_score_worse(real: ImagePack, network: Extractor) -> None:
    similar, noise = pictures(50, 4), np.random.default_rng(0).integers(0, 256, (50, 3, 16, 16)).astype(np.uint8)
    near, far = (evaluate(Fake(made), real, QUICK, extractor=network) for made in (similar, noise))
    assert near["frechet"]["value"] < far["frechet"]["value"]
    assert near["kid"]["value"] < far["kid"]["value"]


def test_protocol_seeds_never_share_a_latent(real: ImagePack, network: Extractor) -> None:
    seen = []
    for seed in (0, 1):
        fake = Fake(pictures(50, 2))
        evaluate(fake, real, EvalProtocol(extractor="efficientnet-lite0@32", samples=30, seed=seed), extractor=network)
        assert len(set(fake.seeds)) == 30
        seen.append(set(fake.seeds))
    assert not seen[0] & seen[1]


def test_the_same_protocol_gives_the_same_numbers(real: ImagePack, network: Extractor) -> None:
    first, second = (evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network) for _ in range(2))
    assert first == second
    other = evaluate(Fake(pictures(50, 2)), real, EvalProtocol(extractor="efficientnet-lite0@32", samples=40, seed=1), extractor=network)
    assert other["frechet"]["value"] != first["frechet"]["value"]


def count_extractions(network: Extractor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    plain = Extractor.__call__

    def counted(self: Extractor, images: Tensor) -> Tensor:
        counts.append(len(images))
        return plain(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    return counts


def test_real_features_are_kept_by_content_and_protocol(real: ImagePack, network: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_extractions(network, monkeypatch)
    first = evaluate_pack(real, real, QUICK, extractor=network)
    assert sum(counts) == 40
    assert evaluate_pack(real, real, QUICK, extractor=network) == first
    assert sum(counts) == 40
    same_content = pack(tmp_path / "copy.npy", np.array(real.pixels))
    evaluate_pack(same_content, same_content, QUICK, extractor=network)
    assert sum(counts) == 40
    changed = np.array(real.pixels)
    changed[0, 0, 0, 0] ^= 1
    evaluate_pack(pack(tmp_path / "changed.npy", changed), real, QUICK, extractor=network)
    assert sum(counts) == 80
    evaluate_pack(real, real, EvalProtocol(extractor="efficientnet-lite0@32", samples=40, seed=3), extractor=network)
    assert sum(counts) == 120


def test_a_damaged_cache_is_made_again(real: ImagePack, network: Extractor, tmp_path: Path) -> None:
    first = evaluate_pack(real, real, QUICK, extractor=network)
    kept = list((tmp_path / "cache" / "features").glob("*.npy"))
    assert len(kept) == 1
    for damage in (b"", kept[0].read_bytes()[:-7], b"\x80\x04N.", np.zeros(3, np.float32).tobytes()):
        kept[0].write_bytes(damage)
        assert evaluate_pack(real, real, QUICK, extractor=network) == first


@pytest.mark.parametrize("place", ["/dev/null/cache", "/proc/cache"])
def test_no_place_for_a_cache_is_no_error(real: ImagePack, network: Extractor, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    expected = evaluate_pack(real, real, QUICK, extractor=network)
    monkeypatch.setenv("MITLGAN_CACHE", place)
    assert evaluate_pack(real, real, QUICK, extractor=network) == expected


def test_mattes_are_dropped_and_alpha_is_laid_on_the_backdrop(real: ImagePack, network: Extractor, tmp_path: Path) -> None:
    whole = EvalProtocol(extractor="efficientnet-lite0@32", samples=60)
    matte = np.concatenate([real.pixels, pictures(60, 5, channels=1)], axis=1)
    scenes = pack(tmp_path / "scenes.npy", matte, "matte")
    assert evaluate_pack(scenes, real, whole, extractor=network)["frechet"]["value"] == pytest.approx(0, abs=1e-9)
    alpha = pictures(60, 6, channels=4)
    alpha[:, :3] = np.minimum(alpha[:, :3], alpha[:, 3:])
    objects = pack(tmp_path / "objects.npy", alpha, "alpha")
    assert evaluate(Fake(alpha), objects, whole, extractor=network)["frechet"]["value"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("backdrop", [(0, 0, 0), (255, 255, 255), (0, 255, 0)])
def test_a_generator_of_three_channels_is_measured_on_the_colour_that_it_learned(
    backdrop: tuple[int, int, int], network: Extractor, tmp_path: Path
) -> None:  # fmt: skip
    whole = EvalProtocol(extractor="efficientnet-lite0@32", samples=60)
    alpha = pictures(60, 6, channels=4)
    alpha[:, :3] = np.minimum(alpha[:, :3], alpha[:, 3:])
    objects = pack(tmp_path / "objects.npy", alpha, "alpha").with_backdrop(backdrop)
    perfect = Fake(composite_on(alpha, backdrop))
    values = {
        color: evaluate(perfect, objects.with_backdrop(color), whole, extractor=network)["frechet"]["value"] for color in (backdrop, (9, 99, 200))
    }
    assert values[backdrop] == pytest.approx(0, abs=1e-3)
    assert values[9, 99, 200] > 1
    assert evaluate(perfect, objects, whole, extractor=network)["frechet"]["value"] == values[backdrop]  # from the cache of features


def test_more_colour_than_alpha_never_wraps_around() -> None:
    bright = torch.full((1, 4, 2, 2), 255, dtype=torch.uint8)
    bright[:, 3] = 10
    assert evaluation.to_rgb(bright).min() == 255  # 10 of the object and 245 of the white backdrop


def test_anchors_give_halves_and_named_others(real: ImagePack, network: Extractor, tmp_path: Path) -> None:
    strangers = pack(tmp_path / "bare.npy", np.random.default_rng(0).integers(0, 256, (50, 3, 16, 16)).astype(np.uint8))
    stream: Iterator[Tensor] = iter([torch.from_numpy(pictures(20, 8)), torch.from_numpy(pictures(20, 9))])
    found = measure_anchors(real, QUICK, {"bare_backgrounds": strangers, "real_pasted": stream}, extractor=network)
    assert list(found) == ["real_halves", "bare_backgrounds", "real_pasted"]
    halves = found["real_halves"]["frechet"]
    assert (halves["generated"], halves["real"]) == (30, 30)  # of 60
    assert 0 < halves["value"] < found["bare_backgrounds"]["frechet"]["value"]
    assert found["real_pasted"]["frechet"]["generated"] == 40


@pytest.mark.parametrize(("count", "names"), [(2, ["bare_backgrounds"]), (3, ["bare_backgrounds"]), (4, ["real_halves", "bare_backgrounds"])])
def test_halves_of_fewer_than_four_pictures_are_left_out(network: Extractor, tmp_path: Path, count: int, names: list[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50 + count, 3, 16, 16)).astype(np.uint8)
    few, strangers = pack(tmp_path / "few.npy", noise[:count]), pack(tmp_path / "bare.npy", noise[count:])
    assert list(measure_anchors(few, QUICK, {"bare_backgrounds": strangers}, extractor=network)) == names


def test_fewer_pictures_than_asked_are_counted(real: ImagePack, network: Extractor) -> None:
    result = evaluate(Fake(pictures(50, 2)), real, EvalProtocol(extractor="efficientnet-lite0@32", samples=80), extractor=network)
    assert (result["frechet"]["generated"], result["frechet"]["real"]) == (80, 60)


def test_progress_names_both_sides(real: ImagePack, network: Extractor) -> None:
    told: list[tuple[str, int, int]] = []
    evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network, progress=lambda *step: told.append(step))
    assert told == [("real", 32, 40), ("real", 40, 40), ("generated", 32, 40), ("generated", 40, 40)]


def test_another_image_size_is_refused(real: ImagePack, network: Extractor, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="makes 3 x 32 x 32 images"):
        evaluate(Fake(pictures(50, 2, size_px=32)), real, QUICK, extractor=network)
    with pytest.raises(DataError, match="holds 32 px images"):
        evaluate_pack(pack(tmp_path / "big.npy", pictures(5, 1, size_px=32)), real, QUICK, extractor=network)


def test_images_that_are_not_finite_are_refused(real: ImagePack, network: Extractor) -> None:
    broken = Fake(pictures(50, 2))
    broken.pixels[7, 0, 0, 0] = float("nan")
    with pytest.raises(NanError, match=r"^artifact"):
        evaluate(broken, real, QUICK, extractor=network)


def test_one_picture_is_too_few(network: Extractor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 2"):
        evaluate(Fake(pictures(50, 2)), pack(tmp_path / "one.npy", pictures(1, 1)), QUICK, extractor=network)


def test_absent_weights_end_with_2_and_nothing_is_put_in_their_place(real: ImagePack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    fake = Fake(pictures(50, 2))
    with pytest.raises(UsageError, match="--extractor efficientnet-lite0") as refusal:
        evaluate(fake, real, EvalProtocol(extractor="inception", samples=40))
    assert refusal.value.exit_code == 2
    assert not fake.seeds


def test_a_distance_at_infinitely_many_samples_where_asked(real: ImagePack, network: Extractor, tmp_path: Path) -> None:
    many = pack(tmp_path / "many.npy", pictures(90, 1))
    asked = EvalProtocol(extractor="efficientnet-lite0@32", samples=90, extrapolate=True)
    found = evaluate(Fake(pictures(90, 2)), many, asked, extractor=network)
    line = found["frechet_infinity"]
    assert line["value"] < found["frechet"]["value"]
    assert line["name"] == "FD (efficientnet-lite0@32), infinite samples"
    assert line["sizes"][-1] == line["generated"] == 90
    assert flat_metrics(found)["fd_infinity"] == line["value"]


def test_inception_alone_gives_a_score(real: ImagePack, network: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "inception_score" not in evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network)
    monkeypatch.setattr(network, "is_inception", True)
    weights = torch.randn(11, network.dim, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(network._network, "class_weights", weights, raising=False)
    found = evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network)
    assert 1 <= found["inception_score"]["value"] <= 11
    assert found["inception_score"]["name"] == "Inception Score"


def test_samples_that_are_all_alike_have_no_diversity(real: ImagePack, network: Extractor) -> None:
    alike = evaluate(Fake(pictures(1, 2).repeat(50, 0)), real, QUICK, extractor=network)
    varied = evaluate(Fake(pictures(50, 2)), real, QUICK, extractor=network)
    assert alike["diversity"]["value"] == pytest.approx(0, abs=1e-4)
    assert 0.5 < varied["diversity"]["value"] < 1.5
