"""What the user set and an artifact decides is refused, and what a recipe of their own says of it gives way in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_runs

import mitlgan
from mitlgan.artifacts.card import read_card
from mitlgan.artifacts.loaded_artifact import artifact_path
from mitlgan.errors import UsageError
from mitlgan.recipe import as_dict, load_recipe, with_overrides
from mitlgan.stages.compose import compose
from mitlgan.stages.pretrain import pretrain, with_start
from mitlgan.stages.replaced_settings import report_replaced
from mitlgan.training.run_directory import Run

NARROW, WIDE, LARGER = (artifact_path(f"pretrained/modern-{name}") for name in ("fg-32", "fg-wide-32", "fg-64"))
WIDE_CRITIC = WIDE.parent / "critic" / "critic.safetensors"
NEW_CRITIC = f"a new critic begins ({NARROW}: no critic is kept with it)"
GROWN_CRITIC = "critic={kind = 'grown', image_channels = 4, parent_px = 32, parent = {image_channels = 4}}"

FROM_NARROW, KEPT = f"the generator of --from {NARROW} decides, and ", f"the critic of {WIDE_CRITIC} decides, and "
FROM_WIDE, FROM_LARGER = FROM_NARROW.replace(str(NARROW), str(WIDE)), FROM_NARROW.replace(str(NARROW), str(LARGER))
DECIDED: list[tuple[str, Path, list[str], str]] = [
    (
        "few/fg-32",
        NARROW,
        ["generator.latent_dim=64"],
        f"generator.latent_dim: {FROM_NARROW}generator.latent_dim is 128",
    ),
    (
        "few/fg-32",
        NARROW,
        [" generator.widths =[64, 32, 16]"],
        f"generator.widths: {FROM_NARROW}generator.widths is [128, 64, 32]",
    ),
    ("few/fg-32", NARROW, ["generator.kind=dcgan"], f'generator.kind: {FROM_NARROW}generator.kind is "thesis"'),
    (
        "few/fg-32",
        NARROW,
        ["generator={latent_dim = 64, widths = [128, 64, 32], image_channels = 4}"],
        f"generator: {FROM_NARROW}generator.",
    ),
    ("few/fg-32", WIDE, ["generator.latent_dim=64"], f"generator.latent_dim: {FROM_WIDE}generator.latent_dim is 128"),
    ("few/fg-64", LARGER, ["generator.parent_rate=0.5"], f"generator.parent_rate: {FROM_LARGER}"),
    (
        "few/fg-64",
        WIDE,
        ["generator.parent.latent_dim=64"],
        f"generator.parent.latent_dim: {FROM_WIDE}generator.parent.",
    ),
    (
        "few/fg-64",
        WIDE,
        ["generator.parent_px=16", "generator.parent.widths=[9, 9]"],
        f"generator.parent_px: {FROM_WIDE}",
    ),
    ("recommended/fg-64-sharp", WIDE, ["generator.parent.latent_dim=64"], f"generator.parent.latent_dim: {FROM_WIDE}"),
    ("few/fg-32", WIDE, ["critic.kernel=5"], f"critic.kernel: {KEPT}critic.kernel is 3"),
    ("few/fg-32", WIDE, ["critic.spectral=false"], f"critic.spectral: {KEPT}critic.spectral is true"),
    ("few/fg-32", WIDE, ["critic.kind=mlp"], f'critic.kind: {KEPT}critic.kind is "thesis"'),
    ("few/fg-32", WIDE, ["critic.kind=strided", "critic.leak=0.5"], f'critic.kind: {KEPT}critic.kind is "thesis"'),
    ("few/fg-64", WIDE, [GROWN_CRITIC, "critic.parent.kernel=7"], f"critic.parent.kernel: the critic of {WIDE_CRITIC} decides, and critic.parent."),
    (
        "few/fg-32",
        WIDE,
        ["transfer.new_critic_first_kimg=3"],
        f"transfer.new_critic_first_kimg: has no effect, since the critic of {WIDE_CRITIC}",
    ),
    ("few/fg-32", NARROW, ["transfer.freeze=2"], f"transfer.freeze: has no effect, since {NEW_CRITIC}"),
    ("few/fg-32", NARROW, ["transfer={freeze=3, new_critic_first_kimg=9}"], f"transfer.freeze: has no effect, since {NEW_CRITIC}"),
    (
        "few/fg-32",
        WIDE,
        ["transfer={freeze=1,new_critic_first_kimg=9}"],
        f"transfer.new_critic_first_kimg: has no effect, since the critic of {WIDE_CRITIC}",
    ),
    (
        "few/fg-32",
        NARROW,
        ["transfer.new_critic_first_kimg=0.1", "training.critic_first_kimg=0.05"],
        "training.critic_first_kimg: transfer.new_critic_first_kimg decides, and training.critic_first_kimg is 0.1",
    ),
]


@pytest.mark.parametrize(("name", "start", "settings", "message"), DECIDED)
def test_what_the_user_set_and_an_artifact_decides_is_refused(name: str, start: Path, settings: list[str], message: str) -> None:
    lines: list[str] = []
    with pytest.raises(UsageError) as refused:
        with_start(load_recipe(name, settings), start, None, lines.append, settings)
    assert str(refused.value).startswith(f"--set {message}")
    assert str(refused.value).endswith("; leave it out")
    assert not lines or "parent" in message, "one line is all; a parent is looked at after the critic"


@pytest.mark.parametrize(
    ("name", "start", "settings"),
    [
        ("few/fg-32", NARROW, ["generator.latent_dim=128", "generator.widths=[128, 64, 32]", "generator.kind=thesis"]),
        ("few/fg-32", WIDE, ["generator.widths=[192, 96, 48]", "critic.kernel=3", "training.critic_first_kimg=3", "transfer.freeze=2"]),
        ("few/fg-32", WIDE, ["objective.kind=lsgan", "critic.kernel=5", "transfer.new_critic_first_kimg=3"]),
        ("few/fg-32", NARROW, ["critic.kernel=5", "critic.widths=[8, 8, 8]", "transfer.freeze=0"]),
        ("few/fg-32", NARROW, ["transfer.new_critic_first_kimg=3", "training.critic_first_kimg=3"]),
        ("few/fg-32", NARROW, ["transfer={freeze=0, new_critic_first_kimg=3}"]),
        ("few/fg-32", WIDE, ["transfer={freeze=2}"]),
        ("few/fg-64", WIDE, ["generator.change=0.25", "generator.parent_rate=0.5", "generator.fine_width=8", "generator.parent.widths=[192, 96, 48]"]),
        ("recommended/fg-64-sharp", WIDE, ["generator.width=8", "generator.parent_px=32"]),
        ("few/fg-32", NARROW, ["training.batch=8", "generator_optimiser.learning_rate=1e-3", "critic_optimiser.learning_rate=1e-3", "seed=3"]),
    ],
)
def test_what_has_its_effect_is_taken(name: str, start: Path, settings: list[str]) -> None:
    """Values of networks that are made here, and those that the artifact has anyway."""
    recipe = load_recipe(name, ["training.kimg=20", *settings])
    lines: list[str] = []
    begun, _ = with_start(recipe, start, None, lines.append, settings)
    for setting in settings:
        table, _, key = setting.partition("=")[0].rpartition(".")
        if table not in ("transfer", "training") and key != "transfer":  # [transfer] is worked out
            assert _value(as_dict(begun), table, key) == _value(as_dict(recipe), table, key)
    assert not any("in place of the recipe's" in line for line in lines), "a shipped recipe says itself what gives way"


@pytest.mark.parametrize(
    "settings",
    [["critic.kind=grown", 'critic.parent={kind="thesis",image_channels=4}', "critic.parent_px=16"], [GROWN_CRITIC]],
)
def test_a_parent_without_which_the_kind_is_not_whole_gives_way(settings: list[str]) -> None:
    lines: list[str] = []
    begun, critic = with_start(load_recipe("few/fg-64", settings), WIDE, None, lines.append, settings)
    assert critic is not None
    assert begun.critic.kind == "grown"
    assert (begun.critic.parent, begun.critic.parent_px) == (read_card(critic).critic, 32)
    assert any(line.startswith(f"the critic of {critic} decides in place of the recipe's critic.parent") for line in lines)
    with pytest.raises(UsageError, match=r"^transfer\.freeze is 9, but the critic of .* has 3 convolutions; add --set transfer\.freeze=3$"):
        with_start(load_recipe("few/fg-64", [*settings, "transfer.freeze=9"]), WIDE, None, lines.append, settings)


def _value(tree: Any, table: str, key: str) -> Any:
    for part in filter(None, table.split(".")):
        tree = tree[part]
    return tree[key]


IN_PLACE = "decides in place of the recipe's"
OWN: list[tuple[str, Path, dict[str, Any], list[str]]] = [
    ("few/fg-32", NARROW, {}, []),
    ("few/fg-32", WIDE, {}, []),  # of other widths, which a shipped recipe says itself
    ("few/fg-64", WIDE, {}, []),
    ("recommended/fg-64-sharp", WIDE, {}, []),
    ("few/fg-32", NARROW, {"generator__latent_dim": 128}, []),
    ("few/fg-32", NARROW, {"generator__latent_dim": 64}, [f"the generator of --from {NARROW} {IN_PLACE} generator.latent_dim"]),
    (
        "few/fg-32",
        NARROW,
        {"generator": {"kind": "mlp", "widths": [9], "image_channels": 4}},
        [f"the generator of --from {NARROW} {IN_PLACE} generator.kind"],
    ),
    (
        "few/fg-32",
        WIDE,
        {"generator__latent_dim": 64, "critic__kernel": 5},
        [f"the generator of --from {WIDE} {IN_PLACE} generator.latent_dim", f"the critic of {WIDE_CRITIC} {IN_PLACE} critic.kernel"],
    ),
    ("few/fg-32", NARROW, {"critic__kernel": 5}, []),  # of a new one
    ("few/fg-32", NARROW, {"name": "mine"}, []),  # of the same networks; it says nothing of the time of a new critic
    ("few/fg-32", NARROW, {"training__critic_first_kimg": 1.0}, [f"transfer.new_critic_first_kimg {IN_PLACE} training.critic_first_kimg"]),
    ("few/fg-64", NARROW, {"generator__parent__latent_dim": 64}, [f"the generator of --from {NARROW} {IN_PLACE} generator.parent.latent_dim"]),
    (
        "few/fg-32",
        WIDE,
        {"name": "mine"},  # which ships nowhere
        [f"the generator of --from {WIDE} {IN_PLACE} generator.widths", f"the critic of {WIDE_CRITIC} {IN_PLACE} critic.widths"],
    ),
]


@pytest.mark.parametrize(("name", "start", "change", "lines"), OWN)
def test_a_recipe_of_the_users_own_gives_way_in_one_line(name: str, start: Path, change: dict[str, Any], lines: list[str]) -> None:
    told: list[str] = []
    with_start(with_overrides(load_recipe(name), **change), start, None, told.append)
    assert [line for line in told if IN_PLACE in line] == lines


def test_the_first_that_decides_a_key_counts() -> None:
    before = load_recipe("few/fg-32")
    after = with_overrides(before, critic__kernel=5, critic__leak=0.5, seed=3)
    told: list[str] = []
    report_replaced(with_overrides(before, name="mine"), after, {"critic.kernel": "one", "critic": "another"}, ["seed=3"], told.append)
    assert told == [f"one {IN_PLACE} critic.kernel", f"another {IN_PLACE} critic.leak"]
    for setting in ("critic.kernel=5", "critic.kernel", "critic={}"):
        with pytest.raises(UsageError, match=rf"^--set {setting.partition('=')[0]}: one decides, and critic.kernel is 5; leave it out$"):
            report_replaced(before, after, {"critic.kernel": "one", "critic": "another"}, [setting], told.append)
    assert len(told) == 2


def test_a_grown_critic_of_a_composition(packs: dict[str, Path], pretrained: dict[str, Run], tmp_path: Path) -> None:
    """`compose --critic` replaces the parent of a critic that grows, as `pretrain` does."""
    grown = {"kind": "grown", "parent": {"widths": [4], "dropout": [0.0]}, "parent_px": 8, "width": 3}
    recipe = with_overrides(tiny_runs.recipe("scene", packs["scene"], compose=True), size_px=16, critic=grown)
    layers, critic = tiny_runs.layers(pretrained), pretrained["fg"].path
    with pytest.raises(UsageError, match=rf"^--set critic.parent.widths: the critic of --critic {critic} decides, and .* is \[4, 6\];"):
        compose(recipe, layers, tiny_runs.run_context(tmp_path / "runs"), critic=critic, settings=["critic.parent.widths=[4]"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("key", ["generator.latent_dim", "generator__latent_dim", "generator"])
def test_settings_in_python_are_refused_alike(key: str, *, reuse: bool, tmp_path: Path) -> None:
    value = {"latent_dim": 64, "widths": [128, 64, 32], "image_channels": 4} if key == "generator" else 64
    with pytest.raises(UsageError, match=rf"^settings {key.replace('__', '.')}: the generator of start .* decides, and generator\.\w+ is "):
        mitlgan.pretrain("fg", start=NARROW, settings={key: value}, reuse=reuse, out=tmp_path / "runs", device="cpu", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_training_is_refused_before_pictures_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mitlgan.stages.ladder.open_recipe_data", lambda *_, **__: pytest.fail("it read pictures"))
    settings = ["generator.latent_dim=64"]
    with pytest.raises(UsageError, match=r"^--set generator\.latent_dim: ") as refused:
        pretrain(load_recipe("few/fg-32", settings), tiny_runs.run_context(tmp_path / "runs"), start=NARROW, settings=settings)
    assert refused.value.exit_code == 2
    assert not (tmp_path / "runs").exists()
