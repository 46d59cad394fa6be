"""`mitlgan recipes ls|cat|cp|validate`."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_file

_SENTENCE_END = re.compile(r"[.!?](?= +[^a-z0-9 ]| *$)")
"""Not within `et al. 2021` or `Table 7.1`."""

app = options.group("List, read, copy and check the shipped recipes.")


@app.command("ls")
def recipes_ls(as_json: options.Json = False) -> None:
    """List the shipped recipes."""
    from mitlgan.runtime.shipped_files import shipped_folder, shipped_recipe_names

    comments = {name: _first_sentence(shipped_folder("recipes") / f"{name}.toml") for name in shipped_recipe_names()}
    print_result(as_json, {"recipes": comments}, "\n".join(f"{name:<24} {comment}" for name, comment in comments.items()))


@app.command("cat")
def recipes_cat(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe, see `recipes ls`, or a file.")], as_json: options.Json = False
) -> None:
    """Print a recipe with its comments."""
    from mitlgan import recipe

    text = recipe.read_recipe_text(name, "NAME")
    print_result(as_json, {"name": name, "text": text}, text.rstrip("\n"))


@app.command("cp")
def recipes_cp(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe, see `recipes ls`, or a file.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to copy it; must not exist. Or a folder.")],
    as_json: options.Json = False,
) -> None:
    """Copy a recipe, to edit it."""
    from mitlgan import recipe
    from mitlgan.runtime.files import write_atomically

    source = recipe.find_recipe(name, "NAME")
    place = target / source.name if target.is_dir() else target
    claim_file(place, "FILE")
    write_atomically(place, source.read_bytes(), is_new=True)
    print_result(as_json, {"file": str(place)}, str(place))


@app.command("validate")
def recipes_validate(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped recipe, see `recipes ls`, or a file.")],
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Check a recipe as training would."""
    from mitlgan.artifacts.summary import describe_recipe
    from mitlgan.recipe import as_dict, load_recipe
    from mitlgan.recipe.advice import training_advice

    recipe = load_recipe(name, settings or [], "NAME")
    described, advice = describe_recipe(recipe, name=name), training_advice(recipe)
    for line in advice:
        log(line)
    print_result(
        as_json,
        {"valid": True, "recipe": as_dict(recipe), "total": described["total"], "advice": advice},
        f"{name}: valid, {described['total']['trainable']:,} trainable parameters",
    )


def _first_sentence(path: Path) -> str:
    """Return the first sentence of a recipe's comment, over as many lines as it takes; empty without a comment."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    comment = " ".join(line.removeprefix("#").strip() for line in lines)
    end = _SENTENCE_END.search(comment)
    return comment if end is None else comment[: end.end()]
