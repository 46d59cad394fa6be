"""Every recipe can be run, or is refused by one line that says where it is wrong and what to do."""

from __future__ import annotations

import json
import random
import re
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from helpers.mutations import counts, mutated, mutated_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitlgan import recipe as recipes
from mitlgan.api.context import resolve_recipe
from mitlgan.cli.options import recipe_from
from mitlgan.compare.arms import _recipe_arm
from mitlgan.compare.domains import resolve_domains
from mitlgan.compare.plan import ComparisonPlan
from mitlgan.compare.sweep_plan import SweepPlan, plan_recipes
from mitlgan.errors import UsageError
from mitlgan.recipe import (
    NO_PATHS,
    DensenetTranslatorRecipe,
    Recipe,
    as_dict,
    find_recipe,
    load,
    load_recipe,
    mattes_source,
    parse_recipe,
    pictures_of_setting,
    setting_keys,
    to_toml,
    with_data_source,
    with_full_mattes,
    with_full_source,
    with_overrides,
)
from mitlgan.recipe.messages import all_keys
from mitlgan.recipe.text_keys import takes_any_text

VALID = """\
# A small generator.
schema_version = 1
name = "tiny"
command = "pretrain"
role = "fg"
size_px = 32

[data]
source = "demo"
backdrop = [
    255,
    0,
    7,
]

[generator]
latent_dim = 8
widths = [8, 6, 4]

[critic]
widths = [4, 6]
dropout = [0.0, 0.3]
kernel = 5

[objective]
kind = "wgan_gp"

[training]
kimg = 2.5
batch = 4
"""

COMPOSE = """\
name = "tiny-scene"
command = "compose"
role = "scene"
size_px = 32

[composer.translator]
widths = [4, 6, 8]
blocks = 2

[critic]
widths = [4, 6]
dropout = [0.0, 0.3]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A valid recipe."""
    path = tmp_path / "tiny.toml"
    path.write_text(VALID)
    return path


def refusal(path: Path, text: str | bytes, *overrides: str) -> str:
    """The line with which a recipe is refused, without the file's folder."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        load_recipe(path, overrides)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.isprintable()
    return message.replace(f"{path.parent}/", "")


def line_of(text: str, part: str) -> int:
    """The line of a text where a part begins, counted by hand."""
    return text[: text.index(part)].count("\n") + 1


# What is valid


def test_reads_what_is_written(file: Path) -> None:
    read = load_recipe(file)
    assert (read.name, read.size_px, read.training.kimg, read.training.batch) == ("tiny", 32, 2.5, 4)
    assert read.generator is not None
    assert read.generator.widths == (8, 6, 4)
    assert read.data.backdrop == (255, 0, 7)
    assert read.critic.dropout == (0.0, 0.3)
    assert (read.seed, read.objective.critic_steps, read.generator_optimiser.beta2) == (0, 5, 0.9)


def test_the_thesis_is_the_default_network() -> None:
    """Tables 7.1 to 7.3."""
    generator = recipes.ThesisGeneratorRecipe()
    assert (generator.latent_dim, generator.widths, generator.activation, generator.leak) == (1536, (96, 48, 24, 12, 6), "tanh", 0.2)
    critic = recipes.ThesisCriticRecipe()
    assert (critic.widths, critic.dropout, critic.flatten_dropout, critic.kernel, critic.leak, critic.normalisation) == (
        (48, 96, 192, 384),
        (0.0, 0.0, 0.3, 0.0),
        0.3,
        5,
        0.2,
        "none",
    )
    translator = recipes.DenseTranslatorRecipe()
    assert (translator.widths, translator.blocks, translator.activation) == ((64, 128, 256), 6, "relu")


@pytest.mark.parametrize("text", [VALID, COMPOSE])
def test_dumped_and_loaded_it_is_the_same(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    first = load_recipe(path)
    path.write_text(to_toml(first))
    assert load_recipe(path) == first
    assert parse_recipe(as_dict(first)) == first
    assert parse_recipe(tomllib.loads(to_toml(first))) == first


def test_a_recipe_cannot_be_changed_in_place(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe(file).seed = 3  # type: ignore[misc]


def test_changed_checks_the_whole(file: Path) -> None:
    first = load_recipe(file)
    longer = with_overrides(first, training__kimg=3, seed=9)
    assert (longer.training.kimg, longer.seed, longer.name) == (3.0, 9, "tiny")
    assert with_overrides(longer, training__kimg=2.5, seed=0) == first
    assert with_overrides(with_overrides(first, training__limit_s=5.0), training__limit_s=None) == first
    with pytest.raises(UsageError, match=r"^tiny: generator\.widths has 3 entries"):
        with_overrides(first, size_px=64)


TRANSLATORS = ("dense", "resnet", "densenet", "light", "none")


@pytest.mark.parametrize("kind", TRANSLATORS)
def test_a_translator_of_every_kind_is_read_and_written(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(COMPOSE.replace("widths = [4, 6, 8]\nblocks = 2", f'kind = "{kind}"'))
    first = load_recipe(path)
    assert first.composer is not None
    assert first.composer.translator.kind == kind
    path.write_text(to_toml(first))
    assert load_recipe(path) == first


def test_a_translator_without_kind_is_the_thesis(file: Path) -> None:
    file.write_text(COMPOSE)
    read = load_recipe(file)
    assert read.composer is not None
    assert read.composer.translator == recipes.DenseTranslatorRecipe(widths=(4, 6, 8), blocks=2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('kind = "none"\nresidual_scale = 0.3', "tiny.toml:8: unknown key 'composer.translator.residual_scale'; only kind = "),
        ('kind = "none"\nactivation = "tanh"', "tiny.toml:8: unknown key 'composer.translator.activation'; "),
        ('kind = "resnet"\nresidual_scale = 0.3', 'tiny.toml:8: composer.translator: residual_scale = 0.3 contradicts activation = "tanh"'),
        ("growth_rate = 3", "tiny.toml:7: unknown key 'composer.translator.growth_rate'; only kind = "),
        (
            'kind = "light"\nwidth = 200',
            "tiny.toml:6: composer.translator: width = 200, blocks = 3, unshuffle = 4 and detail = 16 make 2,254,203 parameters",
        ),
        ('kind = "light"\nresidual_scale = 3.0', "tiny.toml:8: composer.translator.residual_scale: Input should be less than or equal to 2"),
        (
            'kind = "vit"',
            "tiny.toml:7: composer.translator.kind: Input should be 'dense', 'resnet', 'densenet', 'unet', 'light' or 'none' (given: 'vit')",
        ),
    ],
)
def test_a_translators_contradiction_is_refused_by_name(file: Path, settings: str, expected: str) -> None:
    assert refusal(file, COMPOSE.replace("widths = [4, 6, 8]\nblocks = 2", settings)).startswith(expected)


@pytest.mark.parametrize("fusion", ['kind = "add"', 'kind = "alpha"\nharmonise = false'])
def test_a_composition_without_a_parameter_is_refused(file: Path, fusion: str) -> None:
    text = COMPOSE.replace("widths = [4, 6, 8]\nblocks = 2", 'kind = "none"') + f"\n[composer.fusion]\n{fusion}\n"
    assert refusal(file, text).startswith('tiny.toml:7: composer.translator.kind = "none" leaves nothing to train')
    assert refusal(file, text, 'composer.translator.kind="none"').startswith("--set composer.translator.kind: ")
    assert load_recipe(file, ['composer.translator.kind="light"']).composer is not None


def test_a_changed_kind_takes_over_what_it_can_and_names_the_rest(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load._print_note.cache_clear()
    file.write_text(COMPOSE)
    recipe = load_recipe(file, ["composer.translator.growth_rate=3", "composer.translator.kind=densenet"])
    assert recipe.composer is not None
    assert recipe.composer.translator == DensenetTranslatorRecipe(widths=(4, 6, 8), growth_rate=3)
    assert capsys.readouterr().err == "note: --set composer.translator.kind=densenet: without blocks, which this kind does not take\n"
    with pytest.raises(UsageError, match=r"--set composer.translator.blocks: composer.translator.blocks: "):
        load_recipe(file, ["composer.translator.blocks=3", "composer.translator.kind=densenet"])  # given for it, so not left out


# Row 35: the text


def test_unknown_key_in_a_table(file: Path) -> None:
    assert refusal(file, VALID.replace("kernel", "kernell")) == (
        f"tiny.toml:{line_of(VALID, 'kernel')}: unknown key 'critic.kernell'; the closest known one is 'critic.kernel'"
    )


def test_unknown_key_at_the_top(file: Path) -> None:
    assert refusal(file, VALID.replace("size_px", "size_pix")) == "tiny.toml:6: unknown key 'size_pix'; the closest known one is 'size_px'"


def test_unknown_table(file: Path) -> None:
    text = VALID.replace("[training]", "[trainig]")
    assert refusal(file, text) == f"tiny.toml:{line_of(VALID, '[training]')}: unknown key 'trainig'; the closest known one is 'training'"


def test_a_key_in_the_wrong_table_is_shown_its_own(file: Path) -> None:
    assert refusal(file, VALID.replace("seed", "").replace("size_px = 32", "size_px = 32\nkimg = 3")) == (
        "tiny.toml:7: unknown key 'kimg'; the closest known one is 'training.kimg'"
    )
    assert "'critic.flatten_dropout'" in refusal(file, VALID.replace("latent_dim = 8", "flatten_dropout = 0"))


def test_unknown_key_in_a_nested_table(file: Path) -> None:
    assert refusal(file, COMPOSE.replace("blocks", "block")) == (
        "tiny.toml:8: unknown key 'composer.translator.block'; the closest known one is 'composer.translator.blocks'"
    )


def test_unknown_key_that_is_dotted_or_quoted(file: Path) -> None:
    text = VALID.replace("[objective]\nkind", "[objective]\n'penalty.weight' = 3\nkind")
    assert refusal(file, text).startswith(f"tiny.toml:{line_of(text, '[objective]')}: unknown key 'objective.penalty.weight'")
    text = VALID.replace("[objective]\nkind", "[objective]\nsteps.critic = 3\nkind")
    assert refusal(file, text).startswith(f"tiny.toml:{line_of(text, 'steps.critic')}: unknown key 'objective.steps'")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("inceptoin", "is unknown; the closest known one is 'inception'"),
        ("efficientnet_lite0@96", "is unknown; the closest known one is 'efficientnet-lite0'"),
        ("timm:", "is unknown; the closest known one is 'timm:NAME'"),
        ("inception@", "after @ goes one input size in pixels, for instance inception@96"),
        ("digits@56", "takes pictures of 28 px only; leave out @56"),
        ("timm:resnet18@big", "after @ goes one input size in pixels, for instance timm:resnet18@96"),
    ],
)
def test_unknown_extractor(file: Path, name: str, reason: str) -> None:
    text = VALID + f'\n[evaluation]\nextractor = "{name}"\n'
    shown = f"evaluation.extractor: '{name}'" + (": " if reason.startswith(("after", "takes")) else " ") + reason
    assert refusal(file, text) == f"tiny.toml:{line_of(text, 'extractor')}: {shown}"
    assert refusal(file, VALID, f'evaluation.extractor="{name}"') == f"--set evaluation.extractor: {shown}"


def test_every_extractor_that_there_is_can_be_named_in_a_recipe(file: Path) -> None:
    from mitlgan.metrics.extractors import registry
    from mitlgan.recipe.schema.training import EXTRACTORS

    assert set(EXTRACTORS) == set(registry.EXTRACTORS)
    for name in (*registry.EXTRACTORS, "efficientnet-lite0@32", "timm:resnet18.a1_in1k", "timm:resnet18@224"):
        source = "classic/akel-01" if name == "digits" else file  # grey, 28 px
        assert load_recipe(source, [f'evaluation.extractor="{name}"']).evaluation.extractor == name


def test_a_recipe_names_one_extractor_or_several(file: Path) -> None:
    recipe = load_recipe(file, ['evaluation.extractor=["efficientnet-lite0", "mobilenet-v2"]'])
    assert recipe.evaluation.extractor == recipe.evaluation.extractors == ("efficientnet-lite0", "mobilenet-v2")
    assert parse_recipe(as_dict(recipe)) == recipe
    assert with_overrides(recipe, evaluation__extractor="inception").evaluation.extractors == ("inception",)
    given = "--set evaluation.extractor: evaluation.extractor: "
    asked = "give the name of an extractor, or a list of names, such as ['efficientnet-lite0', 'mobilenet-v2']"
    for wrong in ("3", "[]", '["inception", 3]'):
        assert refusal(file, VALID, f"evaluation.extractor={wrong}") == given + asked
    assert (
        refusal(file, VALID, 'evaluation.extractor=["inception", "mobilenet"]')
        == f"{given}'mobilenet' is unknown; the closest known one is 'mobilenet-v2'"
    )
    assert refusal(file, VALID, 'evaluation.extractor=["inception", "inception"]') == f"{given}names one extractor twice; give each once"


def test_no_key_paints_the_terminal(file: Path) -> None:
    assert r"unknown key 'training.\x1b[31m\nred'; the closest known one is" in refusal(file, VALID + '"\\u001b[31m\\nred" = 1\n')


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        ("size_px = 32", 'size_px = "32"', "size_px", "size_px: Input should be a valid integer (given: '32')"),
        ("size_px = 32", "size_px = 32.0", "size_px", "size_px: Input should be a valid integer (given: 32.0)"),
        ("size_px = 32", "size_px = true", "size_px", "size_px: Input should be a valid integer (given: True)"),
        ('name = "tiny"', "name = 1979-05-27", "name", "name: Input should be a valid string (given: {'date': '1979-05-27'})"),
        ('name = "tiny"', 'name = "Tiny"', "name", "name: String should match pattern '^[a-z0-9][a-z0-9_-]{0,63}$' (given: 'Tiny')"),
        ('name = "tiny"', 'name = "../tiny"', "name", "(given: '../tiny')"),
        ('role = "fg"', 'role = "foreground"', "role", "role: Input should be 'fg', 'bg' or 'scene' (given: 'foreground')"),
        ("kernel = 5", "kernel = -5", "kernel", "critic.kernel: Input should be greater than or equal to 1 (given: -5)"),
        ("kernel = 5", "kernel = 33", "kernel", "critic.kernel: Input should be less than or equal to 31 (given: 33)"),
        ("kimg = 2.5", "kimg = nan", "kimg", "training.kimg: Input should be a finite number (given: nan)"),
        ("kimg = 2.5", "kimg = -inf", "kimg", "training.kimg: Input should be a finite number (given: -inf)"),
        ("kimg = 2.5", "kimg = 1e400", "kimg", "training.kimg: Input should be a finite number (given: inf)"),
        ("kimg = 2.5", "kimg = 0", "kimg", "training.kimg: Input should be greater than 0 (given: 0)"),
        ("batch = 4", "batch = 1", "batch", "training.batch: Input should be greater than or equal to 2 (given: 1)"),
        ("[8, 6, 4]", '[8, "6", 4]', "widths", "generator.widths.1: Input should be a valid integer (given: '6')"),
        ("[8, 6, 4]", "[]", "widths", "generator.widths: Tuple should have at least 1 item"),
        ("[0.0, 0.3]", "[0.0, 1.0]", "dropout", "critic.dropout.1: Input should be less than 1 (given: 1.0)"),
        ("    7,", "    700,", "backdrop", "data.backdrop.2: Input should be less than or equal to 255 (given: 700)"),
        ("    7,\n", "", "backdrop", "data.backdrop.2"),
        ("schema_version = 1", "schema_version = 2", "schema_version", "schema_version 2 is newer than 1, which this version reads; upgrade mitlgan"),
        ("schema_version = 1", "schema_version = 0", "schema_version", "schema_version: Input should be 1 (given: 0)"),
        ("[objective]\nkind", "[objective]\ncritic_steps = 101\nkind", "critic_steps", "less than or equal to 100 (given: 101)"),
        ("size_px = 32\n", "size_px = 32\nseed = -1\n", "seed", "seed: Input should be greater than or equal to 0 (given: -1)"),
        ("size_px = 32\n", "size_px = 32\nseed = 2147483648\n", "seed", "seed: Input should be less than 2147483648"),
    ],
)
def test_wrong_type_or_out_of_range(file: Path, old: str, new: str, where: str, expected: str) -> None:
    assert old in VALID
    text = VALID.replace(old, new)
    message = refusal(file, text)
    assert message.startswith(f"tiny.toml:{line_of(text, where)}: ")
    assert expected in message


def test_missing_key(file: Path) -> None:
    assert refusal(file, VALID.replace('role = "fg"\n', "")) == "tiny.toml:1: the key 'role' is missing"


def test_byte_order_marks(file: Path) -> None:
    file.write_text(VALID)
    plain = load_recipe(file)
    for content in (b"\xef\xbb\xbf" + VALID.encode(), VALID.encode("utf-16"), VALID.encode("utf-32")):
        file.write_bytes(content)
        assert load_recipe(file) == plain
    wrong = VALID.replace("kernel", "kernell")
    assert refusal(file, wrong.encode("utf-16")).startswith(f"tiny.toml:{line_of(VALID, 'kernel')}: unknown key")


def test_what_is_no_text_is_refused_with_its_line(file: Path) -> None:
    assert refusal(file, VALID.replace("[critic]", "# é\n[critic]").encode("latin-1")) == (
        f"tiny.toml:{line_of(VALID, '[critic]')}: is not UTF-8; save the file as UTF-8, or UTF-16 with a byte order mark"
    )
    assert refusal(file, VALID.replace("kimg = 2.5", "kimg = 2.5 \0")).startswith(f"tiny.toml:{line_of(VALID, 'kimg')}: holds a zero byte")
    assert refusal(file, VALID.encode("utf-16-le")).startswith("tiny.toml:1: holds a zero byte, so it is not UTF-8")


def test_crlf_is_read(file: Path) -> None:
    file.write_bytes(VALID.replace("\n", "\r\n").encode())
    crlf = load_recipe(file)
    file.write_text(VALID)
    assert crlf == load_recipe(file)


def test_crlf_keeps_the_lines_right(file: Path) -> None:
    text = VALID.replace("kernel", "kernell").replace("\n", "\r\n")
    assert refusal(file, text).startswith(f"tiny.toml:{line_of(VALID, 'kernel')}: unknown key")
    assert refusal(file, VALID.replace("kernel = 5", "kernel = ").replace("\n", "\r\n")).startswith(
        f"tiny.toml:{line_of(VALID, 'kernel')}: not valid TOML"
    )


def test_signs_that_only_look_like_line_ends_keep_the_lines_right(file: Path) -> None:
    text = VALID.replace("small", "small\u2028\u0085 or \u2029 so").replace("kernel", "kernell")
    assert refusal(file, text).startswith(f"tiny.toml:{line_of(VALID, 'kernel')}: unknown key")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("kernel = 5", "kernel = ", "kernel"),
        ("kernel = 5", "kernel 5", "kernel"),
        ("kernel = 5", "kernel = 5\nkernel = 5", "[objective]"),
        ("[critic]", "[critic", "[critic"),
        ("[critic]", "[data]", "[critic]"),
        ('"wgan_gp"', '"wgan_gp', '"wgan_gp"'),
        ("kimg = 2.5", "kimg = 2.5.1", "kimg"),
        ("batch = 4\n", "batch = [4,\n\n\n", "batch"),
    ],
)
def test_bad_toml(file: Path, old: str, new: str, where: str) -> None:
    message = refusal(file, VALID.replace(old, new))
    assert ": not valid TOML: " in message
    at = int(message.split(":")[1])
    assert abs(at - line_of(VALID, where)) <= 1  # a repeated key or table is noticed at its end
    assert "(at line" not in message


@pytest.mark.parametrize(
    "text",
    [
        f"seed = {'9' * 5000}\n{VALID}",
        f"seed = 0x{'f' * 5000}\n{VALID}",
        f"schema_version = 0x{'f' * 5000}\n{VALID.replace('schema_version = 1', '')}",
        f"{'.'.join('a' * 3000)} = 1\n{VALID}",
        f"a = {'[' * 3000}\n{VALID}",
        f"a = {'[' * 900}{']' * 900}\n{VALID}",
        f"a = {'{a = ' * 400}1{'}' * 400}\n{VALID}",
        f"a = '{'x' * 2_000_000}'",
        f"{'x' * 900_000} = 1\n{VALID}",
        "\x00",
        "",
    ],
    ids=range(11),
)
def test_hostile_text_is_refused_at_once(file: Path, text: str) -> None:
    before = time.process_time()
    message = refusal(file, text)
    assert time.process_time() - before < 2
    assert message.startswith("tiny.toml")
    assert len(message) < 2500


def test_absent_and_unreadable(tmp_path: Path) -> None:
    for name in (str(tmp_path / "absent.toml"), str(tmp_path), "x" * 300, "demo", ""):
        with pytest.raises(UsageError, match=r"^--recipe .*: no such file or shipped recipe"):
            load_recipe(name)
    with pytest.raises(
        UsageError, match=r"^--recipe thesis-32/pretrain_f: .*; the closest shipped one is thesis-32/pretrain_[fb]g \(see `mitlgan recipes ls`\)$"
    ):
        load_recipe("thesis-32/pretrain_f")
    with pytest.raises(UsageError, match="no such file or shipped recipe"):
        find_recipe("../recipes/thesis-32/compose")


def test_a_wrong_recipe_is_one_line_and_exit_code_2(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mitlgan.cli import main

    file.write_text(VALID.replace("kernel", "kernell"))
    monkeypatch.delenv("MITLGAN_DEBUG", raising=False)
    monkeypatch.setattr(sys, "argv", ["mitlgan", "pretrain", "fg", "--recipe", str(file), "--out", str(tmp_path / "runs")])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr()
    assert caught.value.code == 2
    assert shown.out == ""
    assert shown.err == f"{file}:{line_of(VALID, 'kernel')}: unknown key 'critic.kernell'; the closest known one is 'critic.kernel'\n"
    assert not (tmp_path / "runs").exists()


# Row 36: contradictions


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        (
            "size_px = 32\n\n[data]",
            "size_px = 8\n\n[data]",
            "widths = [8, 6, 4]",
            "generator.widths has 3 entries, which makes 32 px, not size_px = 8; give 1 widths",
        ),
        (
            "size_px = 32\n\n[data]",
            "size_px = 48\n\n[data]",
            "widths = [8, 6, 4]",
            "generator.widths has 3 entries, which makes 32 px, not size_px = 48; size_px must be 4 * 2^n, such as 32, 64 or 128",
        ),
        (
            "kernel = 5",
            'kernel = 5\nnormalisation = "batch"',
            "normalisation",
            'critic.normalisation = "batch" contradicts objective.kind = "wgan_gp": the penalty is per sample; use normalisation = "none"',
        ),
        ("kernel = 5", "kernel = 4", "kernel", "critic: kernel is 4; an odd one keeps the halving of sizes exact, such as 5"),
        ("[0.0, 0.3]", "[0.0]", "dropout", "critic: dropout has 1 values for 2 widths; give one for each"),
        (
            "kernel = 5",
            "kernel = 5\nimage_channels = 4",
            "image_channels",
            "critic.image_channels is 4, but the images have 3; make them equal",
        ),
        ("[training]", "[composer]\n[training]", "command", 'command = "pretrain" takes no [composer] table; remove it'),
        ('"pretrain"', '"compose"', "command", 'command = "compose" needs a [composer] table'),
    ],
)
def test_contradictions_are_refused_at_their_line(file: Path, old: str, new: str, where: str, expected: str) -> None:
    assert old in VALID
    text = VALID.replace(old, new)
    assert refusal(file, text) == f"tiny.toml:{line_of(text, where)}: {expected}"


def test_kernel_larger_than_the_image(file: Path) -> None:
    text = VALID.replace("size_px = 32", "size_px = 8").replace("[8, 6, 4]", "[8]").replace("kernel = 5", "kernel = 9")
    assert refusal(file, text) == f"tiny.toml:{line_of(text, 'kernel')}: critic.kernel = 9 is larger than the image, 8 px; at most 7"
    file.write_text(text.replace("kernel = 9", "kernel = 7"))
    load_recipe(file)


def test_a_critic_that_halves_too_often(file: Path) -> None:
    text = VALID.replace("widths = [4, 6]", "widths = [4, 4, 4, 4, 4, 4]").replace("[0.0, 0.3]", "[0, 0, 0, 0, 0, 0]")
    assert refusal(file, text) == f"tiny.toml:{line_of(text, 'widths = [4')}: critic.widths halves 32 px 6 times, which is not whole; give fewer widths"


@pytest.mark.parametrize(
    ("old", "new", "where", "expected"),
    [
        (
            "size_px = 32",
            "size_px = 26",
            "widths = [4, 6]",
            "critic.widths halves 26 px 2 times, which is not whole; give fewer widths",
        ),
        ('role = "scene"', 'role = "fg"', "role", 'role is "fg"; a composition makes scenes: role = "scene"'),
        ("[critic]", "[critic]\nimage_channels = 4", "image_channels", "critic.image_channels is 4, but the images have 3; make them equal"),
        ("[critic]", "[generator]\n[critic]", "command", 'command = "compose" takes no [generator] table; remove it'),
        ("[critic]", '[critic]\nnormalisation = "batch"', "normalisation", 'critic.normalisation = "batch" contradicts'),
    ],
)
def test_contradictions_of_a_composition(file: Path, old: str, new: str, where: str, expected: str) -> None:
    assert old in COMPOSE
    text = COMPOSE.replace(old, new)
    assert refusal(file, text).startswith(f"tiny.toml:{line_of(text, where)}: {expected}")


def test_whatever_is_accepted_can_be_built(file: Path) -> None:
    """Sizes, depths and kernels in all combinations: accepted by the recipe means accepted by the networks."""
    import torch

    from mitlgan import networks

    file.write_text(VALID)
    base, accepted = as_dict(load_recipe(file)), 0
    for size_px in (8, 12, 16, 32, 40, 64):
        for depth in (1, 2, 3, 4):
            for halvings in (1, 2, 3, 4):
                for kernel in (1, 3, 9, 31):
                    tree = {**base, "size_px": size_px, "generator": {"latent_dim": 2, "widths": [2] * depth}}
                    tree["critic"] = {"widths": [2] * halvings, "dropout": [0.0] * halvings, "kernel": kernel}
                    try:
                        made = parse_recipe(tree)
                    except UsageError:
                        continue
                    accepted += 1
                    assert made.generator is not None
                    with torch.device("meta"):
                        images = networks.build_generator(made.generator, size_px).eval()(torch.empty(2, 2))
                        assert images.shape == (2, 3, size_px, size_px)
                        assert networks.build_critic(made.critic, size_px)(images).shape == (2,)
    assert accepted == 3 * 2 + 4 * 3 + 4 * 4 + 4 * 4  # halvings times kernels at 8, 16, 32 and 64 px


# --set


def test_set_reads_values_as_toml_else_as_text(file: Path) -> None:
    read = load_recipe(
        file, ["training.kimg=50", "data.source=a folder/of pictures", "critic.widths=[2, 3]", "name = 'other'", "data.backdrop=[0,0,0]"]
    )
    assert (read.training.kimg, read.data.source, read.critic.widths, read.name) == (50.0, str(Path("a folder/of pictures").resolve()), (2, 3), "other")
    assert read.data.backdrop == (0, 0, 0)


@pytest.mark.parametrize("source", ["pics", "./pics", "../x/pics", "a b", " é", "1", "true", "[1]", "demo/pics", "a=b", "~/pics", 'a"b', "x\ty"])
def test_pictures_that_are_set_are_those_of_data(source: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every form of the setting: at one place, wherever its text is read later; and a second pass changes nothing."""
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    expected = with_data_source(load_recipe(file), source).data.source
    assert expected == str((tmp_path / "x" / source).resolve())
    quoted = json.dumps(source)
    for setting in (f"data.source={quoted}", f" data.source = {quoted}", f"data={{source={quoted}}}", f"data={{backdrop=[0, 0, 0], source={quoted}}}"):
        whole = with_full_source(setting)
        monkeypatch.chdir("/")
        assert with_full_source(whole) == whole
        assert with_full_source(setting, tmp_path / "x") == whole
        assert load_recipe(file, [whole]).data.source == expected
        assert "backdrop" not in setting or load_recipe(file, [whole]).data.backdrop == (0, 0, 0)
        monkeypatch.chdir(tmp_path / "x")
        assert load_recipe(file, [setting]) == load_recipe(file, [whole])


@pytest.mark.parametrize("source", ["demo", "", "a\0b", "circle"])
def test_pictures_that_are_at_no_place_are_set_as_they_are(source: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    expected = with_data_source(load_recipe(file), source).data.source
    assert expected in (source, str(tmp_path / source))
    assert load_recipe(file, [f"data.source={json.dumps(source)}"]).data.source == expected


@pytest.mark.parametrize("source", ["pics", "../x/pics", "a b", "1_000", "true", "[1]", "demo/pics", 'a"b', "scenes", "demo"])
def test_mattes_that_are_set_are_at_one_place(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pictures that are trained on, in every form of the setting; `scenes` and `demo` are no paths, but as a picture's `scenes` is one."""
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    path = str((tmp_path / "x" / source).resolve())
    expected = source if source in ("scenes", "demo") else path
    quoted = json.dumps(source)
    settings = [
        f"composer.placement.mattes={quoted}",
        f" composer.placement = {{learn=false, scale=[0.5, 0.75], mattes={quoted}}}",
        f'composer={{order=["bg", "fg"], fusion={{kind="alpha"}}, placement={{mattes={quoted}}}}}',
    ]
    for setting in settings[:2]:
        whole = with_full_source(setting)
        assert pictures_of_setting(whole) == ([] if expected == source else [path])
        assert mattes_source(load_recipe("recommended/compose-32", [setting])) == expected
        monkeypatch.chdir("/")
        assert (with_full_source(whole), with_full_source(setting, tmp_path / "x")) == (whole, whole)
        assert mattes_source(load_recipe("recommended/compose-32", [whole])) == expected
        monkeypatch.chdir(tmp_path / "x")
    assert pictures_of_setting(with_full_source(settings[2])) == ([] if expected == source else [path])
    assert pictures_of_setting(with_full_source("data.source=scenes")) == [str(tmp_path / "x" / "scenes")]


@pytest.mark.parametrize("setting", ["seed=1", "data.source", "data={source=1}", "data={}", "data=pics", "data.backdrop=[1,2,3]", ""])
def test_settings_that_name_no_pictures_stay(setting: str) -> None:
    assert with_full_source(setting) == setting


LOOKALIKES = ["2024", "2024-05-01", "12:30:00", "1_000", "1e3", "0x1f", "true", "nan", "[1]", "{a = 1}", "photos"]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_a_text_may_look_like_a_number(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every key that takes any text; quoted or not, it is the same."""
    monkeypatch.chdir(tmp_path)
    composition = load_recipe("recommended/compose-32")
    keys = {key for key in all_keys() if takes_any_text(key)}
    assert keys == {"name", "licence", "data.source", "composer.placement.mattes"}
    for key in keys - ({"name"} if re.search("[^a-z0-9_-]", text) else set()):
        value = str(tmp_path / text) if key in NO_PATHS else text
        expected = with_overrides(composition, **{key.replace(".", "__"): value})
        for written in (text, f" {text} ", json.dumps(text), f"'{text}'"):
            assert load_recipe("recommended/compose-32", [f"{key}={written}"]) == expected
    assert setting_keys(f"licence={text}") == ["licence"]


@pytest.mark.parametrize("key", ["seed", "training.kimg", "evaluation.extractors", "command", "generator", "data", "generator.kind", "no.such", ""])
def test_other_keys_do_not_take_any_text(key: str) -> None:
    assert not takes_any_text(key)


def test_a_files_own_pictures_are_named_as_it_names_them(file: Path) -> None:
    file.write_text(to_toml(load_recipe(file)).replace(f'source = "{load_recipe(file).data.source}"', 'source = "pics"'))
    assert load_recipe(file, ["seed=1"]).data.source == "pics"


BEGINNINGS: dict[str, Callable[[Path, str | None], Recipe]] = {
    "train, pretrain, compose": lambda file, data: recipe_from(str(file), str(file), data=data, seed=None, settings=None),
    "the API": lambda file, data: resolve_recipe(file, data, None, None),
    "sweep": lambda file, data: plan_recipes(SweepPlan([str(file)], data=[] if data is None else [data]))[0],
    "compare": lambda file, data: resolve_domains(ComparisonPlan(recipe=str(file), data=data), Path("runs"))[0].recipe,
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_training_begins_with_the_full_path_of_the_pictures_that_its_recipe_names(
    beginning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from the working folder, as those of --data, which go before; a name that stands for no path stays."""
    begin, file = BEGINNINGS[beginning], tmp_path / "my.toml"
    shipped = load_recipe("thesis-32/compose" if beginning == "compare" else "thesis-32/pretrain_bg")
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    full = {source: str((tmp_path / "x" / source).resolve()) for source in ("pics", "../pics", "a b", "/pics", "demo/pics")}
    for source, expected in {**full, "demo": "demo", "absent": "absent", "": ""}.items():
        file.write_text(to_toml(with_overrides(shipped, data__source=source)))
        assert begin(file, None) == with_overrides(shipped, data__source=expected)
        assert begin(file, "others").data.source == str(tmp_path / "x" / "others")
        assert load_recipe(file).data.source == source  # as it is recorded
    (tmp_path / "x" / "absent").mkdir()
    file.write_text(to_toml(with_overrides(shipped, data__source="absent")))
    assert begin(file, None).data.source == str(tmp_path / "x" / "absent")


@pytest.mark.parametrize("beginning", [*(name for name in BEGINNINGS if name != "sweep"), "a baseline"])
def test_a_training_begins_with_the_full_path_of_the_mattes_that_its_recipe_names(
    beginning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = {**BEGINNINGS, "a baseline": lambda file, _: _recipe_arm(str(file), load_recipe("recommended/compose-32")).recipe}[beginning]
    file = tmp_path / "my.toml"
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    for source, expected in {"pics": str(tmp_path / "x" / "pics"), "../a": str(tmp_path / "a"), "/a": "/a", "scenes": "scenes", "demo": "demo"}.items():
        written = with_overrides(load_recipe("recommended/compose-32"), data__source="demo", composer__placement__mattes=source)
        file.write_text(to_toml(written))
        assert begin(file, None) == with_overrides(written, composer__placement__mattes=expected)
        assert load_recipe(file) == written  # as it is recorded


def test_mattes_stay_as_they_are_where_the_folder_is_not_around_them(tmp_path: Path) -> None:
    recipe = with_overrides(load_recipe("recommended/compose-32"), composer__placement__mattes="pics")
    inside = tmp_path / "a" / "runs" / "compose" / "x-001"
    for folder, expected in ((tmp_path / "a", str(tmp_path / "a" / "pics")), (tmp_path / "b", "pics"), (inside, "pics")):
        assert mattes_source(with_full_mattes(recipe, folder, inside=inside)) == expected
    without = load_recipe("thesis-32/compose")
    assert (mattes_source(without), with_full_mattes(without)) == (None, without)


def test_set_switches_off_what_a_recipe_switches_on() -> None:
    assert load_recipe("recommended/fg-32").training.shared_fakes
    assert load_recipe("recommended/fg-32", ["training.shared_fakes=false"]).training.shared_fakes is False


def test_set_makes_tables_and_the_last_one_wins(file: Path) -> None:
    read = load_recipe(file, ["evaluation.samples=10", "evaluation.samples=20", "training.limit_s=5"])
    assert (read.evaluation.samples, read.training.limit_s) == (20, 5.0)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.kimg", "--set training.kimg: write it as key=value, such as training.kimg=50"),
        ("=5", "--set =5: write it as key=value, such as training.kimg=50"),
        ("training..kimg=5", "--set training..kimg=5: write it as key=value, such as training.kimg=50"),
        ("name.x=5", "--set name.x=5: name is not a table"),
        ("training.kimg=long", "--set training.kimg: training.kimg: Input should be a valid number (given: 'long')"),
        ("training.kimg=nan", "--set training.kimg: training.kimg: Input should be a finite number (given: nan)"),
        ("training.kimgs=5", "--set training.kimgs: unknown key 'training.kimgs'; the closest known one is 'training.kimg'"),
        ("trainign.kimg=5", "--set trainign.kimg: unknown key 'trainign'; the closest known one is 'training'"),
        ("kimg=5", "--set kimg: unknown key 'kimg'; the closest known one is 'training.kimg'"),
        ("data.backdrop=[1, 2, 300]", "--set data.backdrop: data.backdrop.2: Input should be less than or equal to 255 (given: 300)"),
        ("critic.kernel=4", "--set critic.kernel: critic: kernel is 4; an odd one keeps the halving of sizes exact, such as 5"),
        ("critic.normalisation=batch", '--set critic.normalisation: critic.normalisation = "batch" contradicts objective.kind'),
        ("schema_version=9", "--set schema_version: schema_version 9 is newer than 1"),
        ("seed=" + "9" * 5000, "--set seed: seed: Input should be a valid integer"),
        ("seed=" + "[" * 5000, "--set seed: seed: Input should be a valid integer"),
        ('seed=3\nname="x"', "--set seed: seed: Input should be a valid integer"),
        ("name=\udcff", "tiny.toml:"),
        (".".join("a" * 3000) + "=1", "tiny.toml: a number too long or tables too deep for a recipe"),
    ],
)
def test_set_errors_name_the_option(file: Path, setting: str, expected: str) -> None:
    assert refusal(file, VALID, setting).startswith(expected)


def test_an_error_of_the_file_is_not_blamed_on_another_set(file: Path) -> None:
    assert refusal(file, VALID.replace("kernel", "kernell"), "critic.widths=[2,2]", "seed=3").startswith(f"tiny.toml:{line_of(VALID, 'kernel')}: ")


# Fuzz and properties


def recipe_or_refusal(path: Path, content: bytes, overrides: tuple[str, ...] = ()) -> Recipe | None:
    """A recipe that survives being written and read, or None: any other exception escapes."""
    path.write_bytes(content)
    try:
        read = load_recipe(path, overrides)
    except UsageError as error:
        refused = str(error)
    else:
        path.write_text(to_toml(read))
        assert load_recipe(path) == read
        return read
    assert refused.startswith((str(path), "--set"))
    assert refused.isprintable()
    return None


@counts
def test_mutated_recipes_are_recipes_or_refused(file: Path, count: int) -> None:
    for text in (VALID, COMPOSE):
        tree = tomllib.loads(text)
        for seed in range(count // 4):
            draw = random.Random(seed)
            recipe_or_refusal(file, mutated(text.encode(), draw))
            recipe_or_refusal(file, _toml(mutated_tree(tree, draw)))


def _toml(tree: dict[str, Any]) -> bytes:
    """As TOML, if TOML can say it."""
    try:
        return tomli_w.dumps(tree).encode()
    except (TypeError, ValueError):
        return b""


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200) | st.binary(max_size=100))
def test_property_any_text_is_a_recipe_or_refused(file: Path, text: str | bytes) -> None:
    recipe_or_refusal(file, text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(sorted(all_keys())) | st.text(max_size=20), value=st.text(max_size=20))
def test_property_any_set_is_a_recipe_or_refused(file: Path, key: str, value: str) -> None:
    recipe_or_refusal(file, VALID.encode(), (f"{key}={value}",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(sorted(all_keys())), value=JSON)
def test_property_any_value_of_any_key_is_checked(key: str, value: Any) -> None:
    tree = tomllib.loads(COMPOSE if key.startswith("composer") else VALID)
    *tables, last = key.split(".")
    node = tree
    for table in tables:
        node = node.setdefault(table, {})
    node[last] = value
    try:
        made = parse_recipe(tree, "here")
    except UsageError as error:
        message = str(error)
    else:
        assert parse_recipe(as_dict(made)) == made
        return
    assert message.startswith("here: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("modern/fg-32", "recommended/fg-32"),
        ("recipes/modern/compose-64.toml", "recommended/compose-64"),
        ("demo/wgan", "thesis-32/wgan"),
    ],
)
def test_a_recipe_is_found_by_its_earlier_name_and_the_new_name_is_said_once(
    old: str, new: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # in a checkout's root the path would have to exist
    load._print_note.cache_clear()
    assert find_recipe(old) == find_recipe(old) == find_recipe(new)
    stem = old.removeprefix("recipes/").removesuffix(".toml")
    assert capsys.readouterr().err == f"note: the recipe {stem} is now called {new}\n"
    with pytest.raises(UsageError, match="the closest shipped one is"):
        find_recipe(f"{old.removesuffix('.toml')}-absent")


@pytest.mark.parametrize(
    ("name", "changes", "start"),
    [
        ("classic/akel-02", ["critic.strides=[2,2]", "critic.leak=0.3"], "--set critic.strides: critic: strides has 2 values for 4 widths"),
        ("thesis/wgan", ["critic.widths=[2,2]", "critic.leak=0.3"], "--set critic.widths: critic: dropout has 4 values for 2 widths"),
        ("classic/akel-02", ["objective.kind=wgan_gp", "seed=1"], '--set objective.kind: critic.normalisation = "batch" contradicts'),
    ],
)
def test_a_contradiction_names_the_setting_that_made_it(name: str, changes: list[str], start: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(name, changes)
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    ("setting", "keys"),
    [
        ("training.kimg=3", ["training.kimg"]),
        (" seed = 3", ["seed"]),
        ("transfer={freeze=3, new_critic_first_kimg=9}", ["transfer", "transfer.freeze", "transfer.new_critic_first_kimg"]),
        ("critic={parent={kernel=3}}", ["critic", "critic.parent", "critic.parent.kernel"]),
        ("transfer.freeze", ["transfer.freeze"]),
        ("name={not toml", ["name"]),
    ],
)
def test_a_table_that_is_set_has_all_its_keys(setting: str, keys: list[str]) -> None:
    assert setting_keys(setting) == keys
