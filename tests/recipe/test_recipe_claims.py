"""What comments in the shipped recipes say in numbers is what the recipes hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from mitlgan.artifacts.summary import describe_recipe
from mitlgan.compare.sweep import PUBLISHED_FIGURES
from mitlgan.recipe import Recipe, find_recipe, ladder_steps, load_recipe, shipped_recipe_names
from mitlgan.training.schedule import count_generator_updates, kimg_to_images

NUMBER = {"twice": 2, "three times": 3, "four times": 4, "eight times": 8, "once": 1}
GULRAJANI = 1e-4
"""The learning rate of Gulrajani et al. 2017."""


def integer(text: str) -> int:
    return int(text.replace(",", ""))


def _length(recipe: Recipe, iterations: str, batch: str, *steps: str) -> None:
    assert count_generator_updates(recipe) == integer(iterations)
    assert recipe.training.batch == integer(batch)
    assert all(recipe.objective.critic_steps == int(count) for count in steps)


def _epochs(recipe: Recipe, epochs: str, pictures: str) -> None:
    assert kimg_to_images(recipe.training.kimg) == integer(epochs) * integer(pictures)


def _about_epochs(recipe: Recipe, epochs: str, pictures: str, passes: str) -> None:
    assert recipe.objective.critic_steps == int(passes)
    assert kimg_to_images(recipe.training.kimg) / (integer(pictures) * int(passes)) == pytest.approx(integer(epochs), rel=0.02)


def _samples(recipe: Recipe, count: str) -> None:
    assert (recipe.evaluation.samples, recipe.evaluation.split) == (integer(count), "train")


def _size(recipe: Recipe, size_px: str) -> None:
    assert recipe.size_px == int(size_px)


def _colours(recipe: Recipe, size_px: str, colours: str) -> None:
    assert (recipe.size_px, recipe.critic.image_channels) == (int(size_px), {"grey": 1, "colour": 3}[colours])


def _doubled(recipe: Recipe, first_px: str, times: str) -> None:
    assert int(first_px) * 2 ** NUMBER[times] == recipe.size_px


def _printed(recipe: Recipe, value: str) -> None:
    assert float(PUBLISHED_FIGURES[recipe.name].removeprefix("FID ")) == float(value)


def _parameters(recipe: Recipe, generator: str, critic: str) -> None:
    networks = describe_recipe(recipe)["networks"]
    assert (networks["generator"]["parameters"], networks["critic"]["parameters"]) == (integer(generator), integer(critic))


def _composed(recipe: Recipe, parameters: str, trainable: str) -> None:
    total = describe_recipe(recipe)["total"]
    assert (total["parameters"], total["trainable"]) == (integer(parameters), integer(trainable))


def _light(recipe: Recipe, millions: str) -> None:
    assert round(describe_recipe(recipe)["networks"]["translator"]["parameters"] / 1e6, 2) == float(millions)


def _rate(recipe: Recipe, rate: str, times: str) -> None:
    assert float(rate) == pytest.approx(NUMBER[times] * GULRAJANI)
    assert float(rate) in (recipe.generator_optimiser.learning_rate, recipe.critic_optimiser.learning_rate)


def _rates(recipe: Recipe, times: str) -> None:
    assert recipe.critic_optimiser.learning_rate == pytest.approx(NUMBER[times] * recipe.generator_optimiser.learning_rate)


def _widths(recipe: Recipe, sizes: str) -> None:
    assert recipe.generator is not None
    listed = [int(size) for size in sizes.split(", ")]
    assert len(listed) == len(getattr(recipe.generator, "widths", ()))
    assert listed == [4 * 2**index for index in range(len(listed))]
    assert 2 * listed[-1] == ladder_steps(recipe)[0].size_px


CLAIMS: dict[str, Callable[..., None]] = {
    r"([\d,]+) iterations (?:of|x) ([\d,]+)(?: x (\d+) critic steps)?": _length,
    r"(?<!about )(?<!\d)(\d+) epochs of ([\d,]+)": _epochs,
    r"about (\d+) epochs of ([\d,]+) pictures, (\d+) passes of the critic each": _about_epochs,
    r"as the author: ([\d,]+) of the training set": _samples,
    r"^# .*?, (\d+) px(?=[,.:])": _size,
    r"(\d+) px (grey|colour)": _colours,
    r"(\d+) px, doubled (twice|three times)": _doubled,
    r"The author reports FID ([\d.]*\d)": _printed,
    r"^# ([\d,]+) parameters of the generator and ([\d,]+) of the critic": _parameters,
    r"counts ([\d,]+) parameters in the generator and ([\d,]+) in the critic": _parameters,
    r"counts ([\d,]+) parameters, ([\d,]+) of them trainable": _composed,
    r"([\d.]+) M parameters, at any size": _light,
    r"learning_rate = ([\de.-]+) +# (twice|four times|eight times) that of Gulrajani": _rate,
    r"(four times) the generator's": _rates,
    r"channels at ([\d, ]+) px; the last conv": _widths,
}
"""What a comment may claim, and how it is checked: called with the recipe and the parts of the match."""


def claims(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for pattern in CLAIMS:
        for result in re.finditer(pattern, text, re.MULTILINE):
            yield pattern, tuple(part for part in result.groups() if part is not None)


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_every_number_in_a_comment_holds(name: str) -> None:
    recipe = load_recipe(name)
    for pattern, parts in claims(find_recipe(name).read_text()):
        CLAIMS[pattern](recipe, *parts)


def test_every_kind_of_claim_is_met_somewhere() -> None:
    met = {pattern for name in shipped_recipe_names() for pattern, _ in claims(find_recipe(name).read_text())}
    assert met == set(CLAIMS)


def test_all_of_akel_measure_as_many_samples_as_the_author() -> None:
    assert {load_recipe(f"classic/akel-{number:02d}").evaluation.samples for number in range(1, 21)} == {5000}
