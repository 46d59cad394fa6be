"""An option that would have no effect is refused with what it belongs to: nothing that a user asks for is left out silently."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny_runs
from helpers.commands import Command
from PIL import Image

UNUSED = {
    ("sample", "SCENE", "--latent", "l.json", "--seed", "3"): "--seed: cannot go with --latent",
    ("sample", "SCENE", "--latent", "l.json", "-n", "3"): "--count: cannot go with --latent",
    ("sample", "SCENE", "--like", "0.png", "--seed", "0"): "--seed: cannot go with --like",
    ("sample", "SCENE", "--sheet", "s.png", "--out", "o"): "--out: cannot go with --sheet",
    ("sample", "SCENE", "--sheet", "s.png", "--layers"): "--layers: cannot go with --sheet",
    ("sample", "SCENE", "--sheet", "s.png", "--format", "webp"): "--format: cannot go with --sheet",
    ("sample", "SCENE", "--sheet", "s.png", "--no-metadata"): "--no-metadata: cannot go with --sheet",
    ("sample", "SCENE", "-n", "1", "--filter", "lanczos"): "--filter: pictures keep their size; give --scale or --size",
    ("sample", "FG", "-n", "1", "--layers"): "--layers: a generator has one layer",
    ("sample", "SCENE", "-n", "1", "--format", "psd", "--no-metadata"): "--no-metadata: is of PNG, WebP and OpenRaster",
    ("export", "SCENE", "--to", "psd", "--no-metadata"): "--no-metadata: is of OpenRaster",
    ("study", "score", "key.json", "a.json", "--page", "study.html"): "--page: is for --sheet",
    ("mix", "SCENE", "1", "2", "--filter", "lanczos"): "--filter: pictures keep their size",
    ("mix", "SCENE", "1", "2", "--features", "1", "--lerp"): "--lerp: is a path between latents",
    ("inpaint", "0.png", "--method", "mean", "--filter", "nearest"): "--filter: pictures keep their size",
    ("interpolate", "SCENE", "--from", "1", "--to", "2", "--lerp", "--easing", "slerp"): "--easing: cannot go with --lerp",
    ("grid", "SCENE", "--seeds", "0-3", "--row-seeds", "1", "--column-seeds", "2"): "--seeds: is of both axes",
    ("directions", "FG", "--samples", "64"): "--samples: is of --by features",
    ("embed", "0.png", "--artifact", "BG", "--extractor", "digits"): "--extractor: is of the perceptual distance",
    ("embed", "0.png", "--artifact", "BG", "--weights", "absent.pt"): "--weights: is of the perceptual distance",
    ("evaluate", "SCENE", "--data", "photos", "--grid", "g.png"): "--grid: belongs to --separation",
    ("evaluate", "SCENE", "--data", "photos", "--swaps", "4"): "--swaps: belongs to --separation",
    ("describe", "recommended/fg-32", "--format", "md"): "--format: is of the tables that --layers prints",
    ("data", "prepare", "photos", "--out", "o", "--size", "8", "--image-column", "file"): "--image-column: is a column of --metadata",
    ("data", "prepare", "photos", "--out", "o", "--size", "8", "--keep-alpha", "--backdrop", "red"): "--backdrop: cannot go with --keep-alpha",
    ("data", "read", "folder", "photos", "--out", "o.npy", "--size", "8", "--reviews", "x"): "--reviews: of products, and does nothing for folder",
    ("bench", "--only", "startup", "--minutes", "3"): "--minutes: belongs to --quality",
    ("bench", "--only", "startup", "--data", "photos"): "--data: belongs to --quality",
    ("bench", "--dry-run"): "--dry-run: belongs to --quality",
    ("bench", "--quality", "--quick"): "--quick: is of the other parts",
    ("bench", "--only", "startup", "--max-pictures", "1000"): "--max-pictures: belongs to --only growth",
    **{("export", "SCENE", "--to", to, *option): f"{option[0]}: is of a picture in layers, --to ora or psd"
       for to in ("card", "onnx", "torch-export", "png-sheet", "slim", "hub-folder")
       for option in (("--seed", "3"), ("--like", "0.png"), ("--scale", "2"), ("--size", "64"), ("--filter", "bicubic"), ("--no-metadata",))},
    **{("pretrain", "fg", "--from", f"pretrained/modern-{start}", "--set", setting, *dry): f"--set {setting.partition('=')[0]}: {decider}"
       for dry in ((), ("--dry-run",))
       for start, setting, decider in (
           ("fg-32", "generator.latent_dim=64", "the generator of --from"),
           ("fg-32", "training.critic_first_kimg=1", "transfer.new_critic_first_kimg decides"),
           ("fg-32", "transfer.freeze=2", "has no effect, since a new critic begins"),
           ("fg-wide-32", "critic.kernel=5", "the critic of"),
           ("fg-wide-32", "transfer.new_critic_first_kimg=1", "has no effect, since the critic of"))},
    ("export", "SCENE", "--to", "ora", "--like", "0.png", "--seed", "1"): "--seed: cannot go with --like",
    ("export", "SCENE", "--to", "ora", "--filter", "bicubic"): "--filter: pictures keep their size",
}  # fmt: skip


@pytest.mark.parametrize("arguments", UNUSED, ids=" ".join)
def test_an_option_without_effect_is_refused(arguments: tuple[str, ...], command: Command, folder: Path, artifacts: dict[str, Path]) -> None:
    (folder / "photos").mkdir()
    for index, pixels in enumerate(tiny_runs.pixels(2, 3)):
        for place in (folder, folder / "photos"):
            Image.fromarray(pixels.transpose(1, 2, 0)).save(place / f"{index}.png")
    before = sorted(folder.rglob("*"))
    roles = {role.upper(): str(path) for role, path in artifacts.items()}
    done = command(*(roles.get(word, word) for word in arguments))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(UNUSED[arguments]), done.err
    assert done.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_trials_of_an_arm_that_is_not_compared_are_refused(command: Command, folder: Path) -> None:
    asked = ("compare", "--recipe", "thesis-32/compose", "--data", "demo", "--budgets", "1", "--trials", "nope=3", "--dry-run")
    done = command(*asked)
    assert done.code == 2
    assert done.err.splitlines()[-1] == "--trials nope: no arm has this name; they are composed, wgan"
