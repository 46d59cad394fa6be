"""The classic recipes: the sources' tables to the letter, each trains, resumes to the bit and leaves what its author kept."""

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

from mitlgan.artifacts.summary import describe_recipe
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.writer import PackWriter
from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, as_dict, load_recipe, parse_recipe, shipped_recipe_names, with_overrides
from mitlgan.report.run_files import write_run_files
from mitlgan.stages.context import RunContext
from mitlgan.stages.pretrain import pretrain
from mitlgan.stages.resume import resume
from mitlgan.training import export
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import count_generator_updates

CLASSIC = [name for name in shipped_recipe_names() if name.startswith("classic/")]
ONE_SIZE = [name for name in CLASSIC if load_recipe(name).grow is None]
"""Ladders of sizes have tests of their own."""

# Akel 2022, table of experiments: steps, latent, batch, loss, generator (activation, BatchNorm, kernel),
# critic (BatchNorm, kernel, dropout, output).
MLP = ("leaky", True, None)
AKEL: dict[int, tuple[Any, ...]] = {
    1: (30000, 100, 32, "minimax", MLP, (False, None, None, "linear")),
    2: (4000, 100, 32, "minimax", ("relu", True, 3), (True, 3, 0.25, "linear")),
    3: (30000, 100, 32, "lsgan", MLP, (False, None, None, "linear")),
    4: (4000, 100, 32, "wgan_clip", ("relu", True, 4), (True, 3, 0.25, "linear")),
    5: (4000, 100, 32, "minimax", ("relu", True, 3), (False, 3, 0.4, "linear")),
    6: (4000, 100, 32, "minimax", ("leaky", True, 3), (False, 3, 0.4, "linear")),
    7: (30000, 200, 32, "lsgan", MLP, (False, None, None, "linear")),
    8: (30000, 200, 128, "lsgan", MLP, (False, None, None, "linear")),
    9: (30000, 200, 128, "lsgan", MLP, (False, 3, 0.4, "sigmoid")),
    10: (5000, 100, 64, "wgan_clip", ("relu", True, 4), (True, 3, 0.25, "linear")),
    17: (4000, 100, 32, "minimax", ("leaky", False, 4), (False, 5, 0.4, "linear")),
    18: (4000, 100, 128, "minimax", ("leaky", False, 4), (False, 5, 0.4, "linear")),
    19: (30000, 100, 64, "lsgan", MLP, (False, None, None, "linear")),
    20: (30000, 200, 128, "lsgan", MLP, (False, None, None, "linear")),
}
AKEL |= {number + 10: AKEL[number] for number in range(1, 7)}


def test_there_are_all() -> None:
    expected = [f"classic/akel-{number:02d}" for number in range(1, 21)]
    expected += [
        "classic/benedetti-cifar10",
        "classic/benedetti-products",
        "classic/bielko-128",
        "classic/bielko-32",
        "classic/bielko-64",
        "classic/dogs",
        "classic/dogs-dense",
        "classic/evolutionary",
        "classic/progressive-64",
        "classic/style-64",
    ]
    assert expected == CLASSIC


@pytest.mark.parametrize("number", range(1, 21))
def test_akel_is_the_table(number: int) -> None:
    steps, latent, batch, loss, (activation, norm, kernel), (critic_norm, critic_kernel, dropout, output) = AKEL[number]
    recipe = load_recipe(f"classic/akel-{number:02d}")
    generator, critic = recipe.generator, recipe.critic
    assert generator is not None
    assert (recipe.size_px, generator.image_channels) == ((28, 1) if number <= 10 else (40, 3))
    assert count_generator_updates(recipe) == steps
    assert (generator.latent_dim, recipe.training.batch, recipe.objective.kind) == (latent, batch, loss)
    assert recipe.training.snapshot_iterations == recipe.training.checkpoint_iterations == (500 if steps == 30000 else 200)
    assert getattr(generator, "kernel", None) == kernel
    assert ("relu" if getattr(generator, "activation", "leaky_relu") == "relu" else "leaky") == activation
    assert generator.leak == critic.leak == 0.2
    assert (getattr(generator, "normalisation", None) == "batch") is norm
    if norm:
        assert (getattr(generator, "norm_momentum", None), getattr(generator, "norm_order", None)) == (0.2, "after")
    assert (critic.normalisation == "batch") is critic_norm
    assert (getattr(critic, "kernel", None), critic.output) == (critic_kernel, output)
    assert set(getattr(critic, "dropout", ()) or [None]) == {dropout}
    assert set(getattr(critic, "strides", None) or (2,)) == {2}, "as printed"
    assert getattr(recipe.objective, "separate_updates", None) is True, "section 3.2.7"
    for optimiser in (recipe.generator_optimiser, recipe.critic_optimiser):
        if loss == "wgan_clip":
            assert (optimiser.kind, optimiser.learning_rate) == ("rmsprop", 5e-5)
        else:
            assert (optimiser.kind, optimiser.learning_rate, getattr(optimiser, "beta1", None)) == ("adam", 2e-4, 0.5)
    if loss == "wgan_clip":
        assert (getattr(recipe.objective, "clip", None), recipe.objective.critic_steps) == (0.01, 5)


def test_printed_counts_of_experiment_1() -> None:
    described = describe_recipe(load_recipe("classic/akel-01"))
    assert (described["total"]["parameters"], described["total"]["trainable"]) == (1_493_520, 1_489_936)
    assert described["networks"]["critic"]["parameters"] == 533_505
    assert described["total"]["parameters"] + described["networks"]["critic"]["parameters"] == 2_027_025


def test_benedettis_possible_misprint_is_an_option() -> None:
    recipe = load_recipe("classic/benedetti-products")
    assert recipe.generator is not None
    assert getattr(recipe.generator, "init_std", None) == 0.02
    load_recipe("classic/benedetti-products", ["generator.init_std=0.2", "critic.init_std=0.2"])


def test_bielko_is_as_deep_as_its_size() -> None:
    for size_px, doublings in ((32, 3), (64, 4), (128, 5)):
        rows = describe_recipe(load_recipe(f"classic/bielko-{size_px}"))["networks"]["generator"]["rows"]
        assert sum(row["type"] == "ConvTranspose2d" for row in rows) == doublings
        recipe = load_recipe("classic/bielko-32", [f"size_px={size_px}"])
        assert recipe.critic.kind == "strided"
        assert recipe.critic.sides_px(size_px)[-1] == 4, "both sides follow the size"
        assert recipe.critic.widths_at(size_px) == (*[64] * (doublings - 2), 128, 256)
        assert recipe.critic.dropouts_at(size_px) == (*[0.0] * (doublings - 1), 0.4)
        assert (recipe.critic, recipe.generator) == (
            load_recipe(f"classic/bielko-{size_px}").critic,
            load_recipe(f"classic/bielko-{size_px}").generator,
        )
    with pytest.raises(UsageError, match=r"critic.base_width halves the image down to 4 px, which 48 px does not allow"):
        load_recipe("classic/dogs", ["size_px=48", "critic.base_width=64"])


def narrowed(name: str, source: Path, updates: int) -> Recipe:
    """The recipe with its widths divided by 16 and batches of four: its very shape, for a fraction of a second."""
    tree = as_dict(load_recipe(name))
    for part in ("generator", "critic"):
        for key in ("base_width", "narrowest") if tree[part].get("base_width") else ("widths", "narrowest"):
            if key in tree[part]:
                tree[part][key] = [max(2, width // 16) for width in tree[part][key]] if key == "widths" else max(2, tree[part][key] // 16)
    tree["data"]["source"] = str(source)
    steps = tree["objective"]["critic_steps"]
    tree["training"] |= {"kimg": updates * 4 * steps / 1000, "batch": 4, "log_iterations": 1, "snapshot_iterations": 1, "checkpoint_iterations": 10}
    return parse_recipe(tree, name)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Path]:
    """Packs by size and channels."""
    result = {}
    for size_px, channels in ((28, 1), (40, 3), (32, 3), (64, 3), (128, 3)):
        path = tmp_path_factory.mktemp("classic") / f"{size_px}.npy"
        with PackWriter(path, size_px, None, grey=channels == 1) as writer:
            for picture in tiny_runs.pixels(10, seed=1, size_px=size_px):
                writer.append(picture[:channels].copy(), {"name": "x", "sha256": "", "width": 1, "height": 1})
            result[size_px, channels] = writer.publish(resize="lanczos", crop="", licence="CC0", made_by={}, skipped=[]).path
    return result


@pytest.mark.parametrize("name", ONE_SIZE)
def test_a_classic_recipe_trains_and_resumes_to_the_bit(
    name: str, sources: dict[tuple[int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run equals an uninterrupted one, for every objective, network and optimiser."""
    monkeypatch.setattr(export, "recalibrate_batchnorm", lambda network, _seed: network.eval())  # 2,048 images each; the artifacts are not looked at
    full = load_recipe(name)
    assert full.generator is not None
    source = sources[full.size_px, full.generator.image_channels]
    straight = pretrain(narrowed(name, source, 2), tiny_runs.run_context(tmp_path / "straight"))
    halved = pretrain(narrowed(name, source, 1), tiny_runs.run_context(tmp_path / "halved"))
    resumed = resume(halved.path, tiny_runs.run_context(tmp_path), more_kimg=4 * full.objective.critic_steps / 1000)
    tiny_runs.assert_same_trace(straight, resumed)
    assert all(math.isfinite(row["critic_loss"]) for row in map(json.loads, straight.stats_file.read_text().splitlines()))


@pytest.mark.parametrize("name", [name for name in shipped_recipe_names() if name.startswith(("classic/", "thesis/"))])
def test_a_generator_is_kept_at_each_of_the_authors_intervals(name: str) -> None:
    training = load_recipe(name).training
    if name.startswith("classic/benedetti"):  # the best epochs were read off the charts
        assert training.artifact_kimg == {"classic/benedetti-products": 49.774, "classic/benedetti-cifar10": 50.0}[name]
    elif name.startswith("classic/"):
        assert training.artifact_iterations == training.snapshot_iterations
    else:
        assert training.artifact_kimg == training.checkpoint_kimg


def classic(source: Path, **change: Any) -> Recipe:
    """A GAN of dense layers on small pictures; its critic wins at once when its learning rate is large."""
    tree = {
        "name": "small", "command": "pretrain", "role": "scene", "size_px": tiny_runs.SIZE_PX, "data": {"source": str(source)},
        "generator": {"kind": "mlp", "widths": [32], "latent_dim": 8}, "critic": {"kind": "mlp", "widths": [128, 64]},
        "objective": {"kind": "minimax", "critic_steps": 3},
        "generator_optimiser": {"learning_rate": 1e-4, "beta1": 0.5, "beta2": 0.999},
        "critic_optimiser": {"learning_rate": 1e-4, "beta1": 0.5, "beta2": 0.999},
        "training": {"kimg": 90 * 12 / 1000, "batch": 4, "ema_halflife_kimg": 0.0, "snapshot_iterations": 30, "checkpoint_iterations": 40},
    }  # fmt: skip
    return with_overrides(parse_recipe(tree, "small"), **change)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> ImagePack:
    return ImagePack.open(tiny_runs.pack(tmp_path_factory.mktemp("pictures") / "p.npy", count=40))


def test_a_too_strong_critic_is_diagnosed_and_dated(pictures: ImagePack, tmp_path: Path) -> None:
    """A training in which the generator cannot learn, provoked."""
    environment = tiny_runs.run_context(tmp_path)
    run = pretrain(classic(pictures.path, critic_optimiser__learning_rate=1e-2), environment)
    diagnosis = run.read_status()["diagnosis"]
    assert diagnosis.startswith("the critic tells real from generated without an error")
    iteration = int(diagnosis.split("since iteration ")[1].split()[0])
    rows = [json.loads(line) for line in run.stats_file.read_text().splitlines()]
    assert rows[iteration - 1]["probability_real"] > 0.99 > 0.01 > rows[iteration - 1]["probability_fake"]
    before = rows[iteration - 2]
    assert before["probability_real"] <= 0.99 or before["probability_fake"] >= 0.01
    assert "diagnosis" not in rows[iteration + 40]
    assert rows[-1]["diagnosis"] == diagnosis
    assert f"warning: {diagnosis}" in tiny_runs.said(environment)
    assert diagnosis in json.loads((run.path / "card.json").read_text())["notes"]


def test_a_fair_game_is_not(pictures: ImagePack, environment: RunContext) -> None:
    run = pretrain(classic(pictures.path), environment)
    assert run.read_status()["diagnosis"] == ""
    assert "warning" not in tiny_runs.said(environment)


@pytest.fixture(scope="module")
def finished(pictures: ImagePack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = classic(pictures.path, training__checkpoints_kept=3)
    return pretrain(recipe, tiny_runs.run_context(tmp_path_factory.mktemp("finished")))


def test_grids_and_checkpoints_come_every_k_iterations(finished: Run) -> None:
    assert [path.name for path in sorted((finished.path / "snapshots").iterdir())] == [f"i{number:08d}.png" for number in (0, 1, 2, 5, 30, 60, 90)]
    assert [path.stem for path in sorted((finished.path / "checkpoints").glob("*.safetensors"))] == ["000000040", "000000080", "000000090"]


def test_a_run_leaves_what_its_author_kept(finished: Run) -> None:
    left = {path.name: path.read_text() for path in write_run_files(finished)}
    assert list(left) == ["summary.txt", "structure.svg", "hyperparameters.md", "losses.svg", "scores.svg"]
    generator = (8 + 1) * 32 + 4 * 32 + (32 + 1) * 192
    critic = (192 + 1) * 128 + (128 + 1) * 64 + 65
    trainable = generator - 2 * 32  # BatchNorm's running statistics
    for count, trained in ((generator, trainable), (critic, critic), (generator + critic, trainable)):  # the whole is trained with the critic frozen
        assert f"parameters {count:,}, trainable {trained:,}," in left["summary.txt"]
    for name in ("structure.svg", "losses.svg", "scores.svg"):
        ElementTree.fromstring(left[name])
    words = [element.text or "" for element in ElementTree.fromstring(left["structure.svg"]).iter() if element.tag.endswith("text")]
    assert "generator" in words
    assert "critic" in words
    assert any("3 x 8 x 8" in word for word in words)
    assert "| generator_optimiser.beta1 | 0.5 |" in left["hyperparameters.md"]
    assert "| data.count | 40 |" in left["hyperparameters.md"]
    assert "epoch" in left["losses.svg"]
    assert "D(G(z))" in left["scores.svg"]
