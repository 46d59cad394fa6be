"""Small recipes and artifacts that many tests share."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread a worker: several workers of several threads each slow each other down tenfold
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # the many processes of the tests need not compile all modules again
    sys.dont_write_bytecode = False

import pytest
import torch
from helpers import short_exports  # noqa: F401  (here, so that all tests have it)
from torch import nn

from mitlgan import networks
from mitlgan.artifacts.card import LayerCard, make_card
from mitlgan.artifacts.load_save import save_network
from mitlgan.compare import nearest_images
from mitlgan.metrics.extractors import registry
from mitlgan.networks.feature_networks.spec import FeatureNetworkSpec
from mitlgan.recipe import ComposerRecipe, DenseTranslatorRecipe, Recipe, ThesisCriticRecipe, ThesisGeneratorRecipe
from mitlgan.report import plots, run_report
from mitlgan.report.schema import ArmResult, Row
from mitlgan.runtime.signals import STOP_SIGNALS
from mitlgan.stages import training_speed

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets background jobs ignore it, and `nohup` the next
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONGEST_FIRST = (
    "test_readme.py", "project/test_make.py", "cli/test_train.py", "compare/test_evaluator.py", "gpu/test_session.py", "stages/test_ladder_runs.py",
    "stages/test_grown_runs.py", "studio/test_browser_generate.py", "studio/test_browser_project.py", "api/test_api.py", "test_crashes.py",
    "test_kill_points.py", "test_mutations.py", "test_tour.py", "compare/test_arm_training.py", "runtime/test_distributed.py", "test_wheel.py",
    "test_container.py", "recipe/test_cluster.py",
)  # fmt: skip
"""Files of many seconds. They run first: a long one that begins last has one worker wait for the other."""

if TYPE_CHECKING:  # the fixtures import the loop themselves: most tests do without it
    from mitlgan.data.pack.image_pack import FourthChannel
    from mitlgan.stages.context import RunContext
    from mitlgan.training.run_directory import Run


def pytest_configure(config: pytest.Config) -> None:
    """The order is ours, see below; without xdist the option is unknown, and harmless."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    here = Path(__file__).parent
    rank = {here / name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session")
def children() -> ForkServerContext:
    """How to start child processes: they share one import of torch, and nothing else with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mitlgan.artifacts.safetensors_io"])
    return context


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 2 MB; skips where none can be mounted (other tests simulate a full one there)."""
    place = tmp_path / "small-disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="session")
def fg_recipe() -> Recipe:
    """Of 8 px, the smallest there is."""
    return Recipe(
        name="tiny-fg",
        command="pretrain",
        role="fg",
        size_px=8,
        generator=ThesisGeneratorRecipe(latent_dim=3, widths=(4,)),
        critic=ThesisCriticRecipe(widths=(4, 6), dropout=(0.0, 0.0)),
    )


@pytest.fixture(scope="session")
def compose_recipe(fg_recipe: Recipe) -> Recipe:
    return Recipe(
        name="tiny-scene",
        command="compose",
        role="scene",
        size_px=8,
        composer=ComposerRecipe(translator=DenseTranslatorRecipe(widths=(4, 4, 4), blocks=1)),
        critic=fg_recipe.critic,
    )


def _generator(recipe: Recipe, latent_dim: int) -> networks.Generator:
    """Its running statistics have moved, so that they count in every comparison."""
    assert recipe.generator is not None
    generator = networks.build_generator(recipe.generator.model_copy(update={"latent_dim": latent_dim}), recipe.size_px)
    generator(torch.randn(16, latent_dim))
    return generator.eval()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory, fg_recipe: Recipe, compose_recipe: Recipe) -> dict[str, Path]:
    """An artifact of each role: `fg`, `bg`, `scene` (a composer of the two). Read them; copy them to damage them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("artifacts")
    made: dict[str, Path] = {}
    generators: dict[str, networks.Generator] = {}
    cards: dict[str, LayerCard] = {}
    for role, latent_dim in (("fg", 3), ("bg", 2)):
        generators[role] = _generator(fg_recipe, latent_dim)
        assert fg_recipe.generator is not None
        form = fg_recipe.generator.model_copy(update={"latent_dim": latent_dim})
        recipe = fg_recipe.model_copy(update={"role": role, "name": f"tiny-{role}", "generator": form})
        made[role] = folder / role / "generator.safetensors"
        made[role].parent.mkdir()
        save_network(made[role], generators[role], make_card(generators[role], recipe, kimg=1.5, licence="CC0"))
        cards[role] = LayerCard(role=recipe.role, generator=form, sha256_before="0", sha256_after="0")
    assert compose_recipe.composer is not None
    composer = networks.build_composer(compose_recipe.composer, generators, compose_recipe.size_px).eval()
    made["scene"] = folder / "scene" / "composer.safetensors"
    made["scene"].parent.mkdir()
    save_network(made["scene"], composer, make_card(composer, compose_recipe, layers=cards))
    return made


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """The entry point leaves signals ignored, as its process ends; here it goes on, and Ctrl-C is to end the tests."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for all tests and workers, apart from the user's: demo packs and features of real pictures are made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MITLGAN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _few_measured_iterations() -> Iterator[None]:
    """Estimates of a training's speed are right in form after two iterations; a good one takes two seconds, and the tests ask for many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_speed, "MIN_ITERATIONS", 1)
        patch.setattr(training_speed, "MEASURED_S", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _few_nearest_samples() -> Iterator[None]:
    """Reports look up the nearest training pictures of 200 samples; a dozen have the same form."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (nearest_images, run_report):
            patch.setattr(module, "NEAREST_SAMPLES", 12)
        yield


@pytest.fixture(scope="session", autouse=True)
def _extractors_are_built_once() -> Iterator[None]:
    """An extractor never changes its network, so all tests of a process share the one of each file of weights."""
    build = registry._build
    built: dict[tuple[str, Path], nn.Module] = {}

    def build_once(spec: FeatureNetworkSpec, state: dict[str, torch.Tensor], path: Path) -> nn.Module:
        if spec.sha256 is None:  # the file may hold any weights
            return build(spec, state, path)
        if (spec.name, path) not in built:
            built[spec.name, path] = build(spec, state, path)
        return built[spec.name, path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_build", build_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _curves_are_drawn_once() -> Iterator[None]:
    """The same rows give the same drawing, which takes 40 ms, a dozen times a report."""
    draw = plots._draw
    drawn: dict[str, plots.Curve | None] = {}

    def draw_once(prefix: str, arms: Sequence[ArmResult], rows: Sequence[Sequence[Row]], *rest: Any) -> plots.Curve | None:
        key = repr((prefix, [arm.label for arm in arms], rows, rest))
        if key not in drawn:
            drawn[key] = draw(prefix, arms, rows, *rest)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_draw", draw_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_disks() -> Iterator[None]:
    """Files need not outlive a loss of power here; each wait takes milliseconds, and the tests make tens of thousands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packs of a dozen pictures of 8 px: `fg` (with alpha), `bg`, `scene` (with mattes)."""
    from helpers import tiny_runs

    folder = tmp_path_factory.mktemp("packs")
    fourths: dict[str, FourthChannel | None] = {"fg": "alpha", "bg": None, "scene": "matte"}
    return {role: tiny_runs.pack(folder / f"{role}.npy", seed=seed, fourth=fourth) for seed, (role, fourth) in enumerate(fourths.items())}


@pytest.fixture
def environment(tmp_path: Path) -> RunContext:
    """One process on the CPU, with a folder of its own, that keeps what it is told to show."""
    from helpers import tiny_runs

    return tiny_runs.run_context(tmp_path / "runs")


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory, packs: dict[str, Path]) -> dict[str, Run]:
    """Finished pretrainings of `fg` and `bg` by a few updates of the real loop. Read them; copy them to change them."""
    from helpers import tiny_runs

    from mitlgan.stages.pretrain import pretrain

    environment = tiny_runs.run_context(tmp_path_factory.mktemp("pretrained"))
    return {role: pretrain(tiny_runs.recipe(role, packs[role], updates=3), environment) for role in ("fg", "bg")}


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory, packs: dict[str, Path], pretrained: dict[str, Run]) -> Run:
    """A finished composition of the two, likewise."""
    from helpers import tiny_runs

    from mitlgan.stages.compose import compose

    environment = tiny_runs.run_context(tmp_path_factory.mktemp("composed"))
    return compose(tiny_runs.recipe("scene", packs["scene"], updates=3, compose=True), tiny_runs.layers(pretrained), environment)


@pytest.fixture(params=["pretrain", "compose"])
def start_run(request: pytest.FixtureRequest, packs: dict[str, Path], tmp_path: Path) -> Callable[..., Run]:
    """A function that starts a run of either kind under a root of its own: `start_run("straight", updates=6)`."""
    from helpers import tiny_runs

    from mitlgan.stages.compose import compose
    from mitlgan.stages.pretrain import pretrain

    is_composition = request.param == "compose"
    pretrained = request.getfixturevalue("pretrained") if is_composition else {}

    def run(root: str, **settings: Any) -> Run:
        environment = tiny_runs.run_context(tmp_path / root)
        if is_composition:
            return compose(tiny_runs.recipe("scene", packs["scene"], compose=True, **settings), tiny_runs.layers(pretrained), environment)
        return pretrain(tiny_runs.recipe("fg", packs["fg"], **settings), environment)

    return run


@pytest.fixture
def pretrain_fg(packs: dict[str, Path], environment: RunContext) -> Callable[..., Run]:
    """A function that starts a pretraining in the test's environment."""
    from helpers import tiny_runs

    from mitlgan.stages.pretrain import pretrain

    return lambda **settings: pretrain(tiny_runs.recipe("fg", packs["fg"], **settings), environment)
