"""A critic's lists with one value for each convolution follow its depth where they say no more than one number does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mitlgan.errors import UsageError
from mitlgan.recipe import Recipe, as_dict, load_recipe, read_recipe_text, shipped_recipe_names, to_toml, with_overrides
from mitlgan.recipe.even_lists import shorten_even_lists
from mitlgan.recipe.schema.critics import PER_CONVOLUTION

DEPTHS = (2, 5)
STRIDED = "classic/akel-05"


def _lists(name: str) -> dict[str, list[Any]]:
    """Return the lists with one value for each convolution that a shipped recipe's file has."""
    critic = tomllib.loads(read_recipe_text(name)).get("critic", {})
    return {key: critic[key] for key in PER_CONVOLUTION if isinstance(critic.get(key), list) and "base_width" not in critic}


LISTED = [name for name in shipped_recipe_names() if _lists(name)]
EVEN = [name for name in LISTED if all(len(set(values)) == 1 for values in _lists(name).values())]


def _critic(recipe: Recipe, *keys: str) -> dict[str, Any]:
    critic: Any = recipe.critic
    return {key: getattr(critic, key) for key in keys}


def test_the_table_has_recipes_of_every_family() -> None:
    assert {name.split("/")[0] for name in EVEN} == {"classic", "few", "inpaint", "recommended", "thesis-32"}
    assert {name.split("/")[0] for name in {*LISTED} - {*EVEN}} == {"thesis"}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", EVEN)
def test_even_lists_of_shipped_recipes_follow_the_depth(name: str, depth: int) -> None:
    widths = [8] * depth
    lists = _lists(name)
    expected = {key: (values[0],) * depth for key, values in lists.items()}
    loaded = load_recipe(name, [f"critic.widths={widths}"])
    assert _critic(loaded, "widths", *lists) == {"widths": tuple(widths), **expected}
    assert with_overrides(load_recipe(name), critic__widths=widths) == loaded
    assert as_dict(load_recipe(name, [f"critic.widths={widths}", *(f"critic.{key}={values[0]}" for key, values in lists.items())])) == as_dict(loaded)


@pytest.mark.parametrize("name", [name for name in LISTED if name not in EVEN])
def test_lists_of_different_values_are_refused_at_another_depth(name: str) -> None:
    with pytest.raises(UsageError, match=r"^--set critic\.widths: critic: dropout has 4 values for 2 widths; give one for each$"):
        load_recipe(name, ["critic.widths=[8,8]"])
    given = load_recipe(name, ["critic.widths=[8,8]", "critic.dropout=[0.1,0.2]"])
    assert _critic(given, "dropout") == {"dropout": (0.1, 0.2)}


@pytest.mark.parametrize("name", [STRIDED, "classic/evolutionary"])
def test_one_stride_holds_for_every_convolution(name: str, tmp_path: Path) -> None:
    assert to_toml(load_recipe(name, ["critic.strides=2", "critic.dropout=0.4"])) == to_toml(load_recipe(name))
    assert _critic(load_recipe(name, ["critic.strides=1", "critic.widths=[4,4]"]), "strides") == {"strides": (1, 1)}
    file = tmp_path / "recipe.toml"
    file.write_text(read_recipe_text(name).replace("strides = [2, 2, 2, 2]", "strides = 2"))
    assert to_toml(load_recipe(file)) == to_toml(load_recipe(name))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["critic.widths=[8,8]", "critic.strides=[2,2,2,2]"], "--set critic.strides: critic: strides has 4 values for 2 widths; give one for each"),
        (["critic.widths=[8,8]", "critic.dropout=[0.4,0.4,0.4]"], "--set critic.dropout: critic: dropout has 3 values for 2 widths; give one for each"),
        (["critic.strides=3"], "--set critic.strides: critic.strides.0: Input should be 1 or 2 (given: 3)"),
        (["critic.strides=true"], "--set critic.strides: critic.strides: Input should be a valid array (given: True)"),
        (["critic.widths=8"], "--set critic.widths: critic.widths: Input should be a valid array (given: 8)"),
        (["critic.widths=[]"], "--set critic.widths: critic.widths: "),
    ],
)
def test_what_the_settings_give_stays_as_it_is(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(STRIDED, settings)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("critic", "key", "shortened"),
    [
        ({"widths": [4, 4], "dropout": [0.1, 0.1]}, "critic.widths", {"dropout": 0.1}),
        ({"widths": [4, 4], "dropout": [0, 0.0]}, "critic.widths", {"dropout": 0}),
        ({"dropout": [0.1] * 4}, "critic.widths", {"dropout": 0.1}),  # as many as its kind has by default
        ({"kind": "strided", "widths": [4], "strides": [1], "dropout": [0.1]}, "critic.widths", {"strides": 1, "dropout": 0.1}),
        ({"widths": [4, 4], "dropout": [0.1, 0.1]}, "critic.kernel", {}),
        ({"widths": [4, 4], "dropout": [0.1, 0.1]}, "generator.widths", {}),
        ({"widths": [4, 4], "dropout": [0.1, 0.2]}, "critic.widths", {}),
        ({"widths": [4, 4], "dropout": [0.1]}, "critic.widths", {}),  # refused by itself
        ({"kind": "strided", "base_width": 8, "dropout": [0.4] * 4}, "critic.widths", {}),  # after the last four
        ({"widths": [4, 4], "dropout": [True, True]}, "critic.widths", {}),
        ({"widths": [], "dropout": []}, "critic.widths", {}),
        ({"widths": 4, "dropout": [0.1]}, "critic.widths", {}),
        ({"kind": "none", "dropout": [0.1] * 4}, "critic.widths", {}),
        ({"kind": "projected", "dropout": [0.1] * 4}, "critic.widths", {}),
    ],
)
def test_a_list_is_shortened_only_if_it_says_the_same(critic: dict[str, Any], key: str, shortened: dict[str, Any]) -> None:
    for path, values in (("critic", {"critic": dict(critic)}), ("critic.parent", {"critic": {"kind": "grown", "parent": dict(critic)}})):
        shorten_even_lists(values, [key.replace("critic.", f"{path}.")])
        table: Any = values["critic"] if path == "critic" else values["critic"]["parent"]
        assert table == {**critic, **shortened}


@pytest.mark.parametrize("values", [{}, {"critic": 3}, {"critic": {"parent": []}}, {"critic": []}])
def test_what_is_no_table_is_left_to_the_schema(values: dict[str, Any]) -> None:
    before = repr(values)
    shorten_even_lists(values, ["critic.widths", "critic.parent.widths", "widths", ""])
    assert repr(values) == before
