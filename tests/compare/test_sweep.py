"""Sweeps: what is planned, that one goes on where it stopped, and that its ranking says what its numbers mean."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import tiny_runs

from mitlgan.compare import sweep
from mitlgan.compare.sweep import untrained_artifact
from mitlgan.compare.sweep_plan import MAX_NAME, SweepPlan, describe_equal_trainings, plan_recipes, scale_length
from mitlgan.errors import NanError, UsageError
from mitlgan.metrics.protocol import EvalProtocol
from mitlgan.recipe import load_recipe, to_toml, with_overrides
from mitlgan.report.formatting import DASH
from mitlgan.report.ranking import CAVEAT, RankedRun, Ranking, ranking_markdown, ranking_summary, tell_sets_apart, write_ranking
from mitlgan.runtime.files import lock_folder
from mitlgan.stages.existing_runs import get_or_train
from mitlgan.stages.parallel import TrainingProcess
from mitlgan.stages.pretrain import pretrain
from mitlgan.training.checkpoint import load_checkpoint
from mitlgan.training.run_directory import Run
from mitlgan.training.schedule import count_generator_updates


def test_data_and_scale_by_pattern(tmp_path: Path) -> None:
    plan = SweepPlan(["classic/akel-01", "classic/akel-09", "classic/akel-11"], data=["akel-0*=digits", "demo"], scale=["akel-09=0.02", "0.1"])
    recipes = plan_recipes(plan)
    assert [recipe.data.source for recipe in recipes] == [str(Path("digits").resolve())] * 2 + ["demo"]
    assert [count_generator_updates(recipe) for recipe in recipes] == [3000, 600, 3000]


def test_a_pattern_takes_the_shipped_recipes() -> None:
    assert [recipe.name for recipe in plan_recipes(SweepPlan(["classic/akel-0[12]*", "classic/bielko-*"]))] == [
        "akel-01", "akel-02", "bielko-128", "bielko-32", "bielko-64",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("classic/akel-0[12]", ["akel-01", "akel-02"]),
        ("classic/akel-0[!3-9]", ["akel-01", "akel-02"]),
        ("classic/akel-0?", [f"akel-{number:02d}" for number in range(1, 10)]),
    ],
)
def test_every_form_of_pattern_counts(pattern: str, names: list[str]) -> None:
    assert [recipe.name for recipe in plan_recipes(SweepPlan([pattern]))] == names


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "classic" / "akel-0[12]"
    file.parent.mkdir()
    file.write_text(to_toml(with_overrides(load_recipe("classic/akel-01"), name="mine")))
    assert [recipe.name for recipe in plan_recipes(SweepPlan(["classic/akel-0[12]"]))] == ["mine"]


def test_recipes_of_one_name_are_refused_with_a_way_out() -> None:
    both = ["recommended/fg-32", "recommended/fg-64"]
    message = r"^RECIPES: recommended/fg-32 and recommended/fg-64 are both named modern-fg; sweep each with an --out of its own$"
    with pytest.raises(UsageError, match=message):
        plan_recipes(SweepPlan(both))
    with pytest.raises(UsageError, match=r"^RECIPES: recommended/fg-32 and recommended/fg-32 are both named modern-fg; give it once$"):
        plan_recipes(SweepPlan([both[0], both[0]]))
    for path in both:
        assert [recipe.name for recipe in plan_recipes(SweepPlan([path]))] == ["modern-fg"]


def test_figures_by_other_weights_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_runs.recipe("bg", tiny_runs.pack(tmp_path / "bg.npy"))
    (tmp_path / "results").mkdir()
    calls: list[str] = []

    def measured(*_: object, extractor: SimpleNamespace) -> dict[str, str]:
        calls.append(extractor.weights_sha256)
        return {"judge": extractor.weights_sha256}

    monkeypatch.setattr(sweep, "evaluate", measured)
    monkeypatch.setattr(sweep, "measure_anchors", lambda *_, extractor: {"real_halves": measured(extractor=extractor)})
    monkeypatch.setattr(sweep, "flat_metrics", dict)
    for weights in ("first", "second", "second"):
        extractor = SimpleNamespace(name="timm:resnet18", weights_sha256=weights)
        protocol = EvalProtocol(extractor=extractor.name, samples=20, split="train")
        figures = sweep._measure(recipe, SimpleNamespace(tensors_sha256="x"), tmp_path, protocol, extractor, is_first=True)  # type: ignore[arg-type]
        assert {figures[side]["judge"] for side in ("trained", "untrained", "real_halves")} == {weights}
    assert calls == ["first"] * 3 + ["second"] * 3, "and the same figures are not measured twice"


def test_a_ladder_is_scaled_with_its_steps_and_the_critics_own_time() -> None:
    (ladder,) = plan_recipes(SweepPlan(["classic/progressive-64"], scale=["0.1"]))
    whole = load_recipe("classic/progressive-64")
    assert [step.kimg for step in ladder.grow or ()] == pytest.approx([0.1 * step.kimg for step in whole.grow or ()], rel=0.01)
    assert (count_generator_updates(ladder), ladder.training.checkpoint_kimg) == (count_generator_updates(whole) // 10, whole.training.checkpoint_kimg)
    (grown,) = plan_recipes(SweepPlan(["recommended/fg-64-grown"], scale=["0.04"]))
    assert (grown.training.kimg, grown.training.critic_first_kimg) == (pytest.approx(4.8, rel=0.01), pytest.approx(0.24, rel=0.01))


def test_a_sweep_without_a_generator_that_learns_is_refused_before_any_training(tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "bg.npy")
    (tmp_path / "tiny.toml").write_text(to_toml(tiny_runs.recipe("bg", source, critic_first_kimg=1.0)))
    plan = SweepPlan([str(tmp_path / "tiny.toml")], extractors=("efficientnet-lite0@32",), samples=20)
    with pytest.raises(UsageError, match=r"^training\.critic_first_kimg is 1, and training\.kimg 0"):
        sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"transfer": {}}, {"critic_start": {"freeze": 1}}])
def test_a_sweep_of_a_recipe_that_goes_on_from_another_training_is_refused_before_any_training(tmp_path: Path, change: dict[str, Any]) -> None:
    source = tiny_runs.pack(tmp_path / "bg.npy", seed=0)
    plain = tiny_runs.recipe("bg", source)
    for recipe in (plain, with_overrides(plain, name="onward", **change)):
        (tmp_path / f"{recipe.name}.toml").write_text(to_toml(recipe))
    plan = SweepPlan([str(tmp_path / f"{name}.toml") for name in (plain.name, "onward")], extractors=("efficientnet-lite0@32",), samples=20)
    with pytest.raises(UsageError, match=r"^onward: goes on from a trained (generator|critic), which cannot be named here; train it by itself"):
        sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener())
    assert not (tmp_path / "out").exists()


def test_scaling_keeps_the_number_of_grids() -> None:
    recipe = scale_length(load_recipe("classic/akel-04"), 0.1)
    assert count_generator_updates(recipe) == 400
    assert recipe.training.snapshot_iterations == 20
    assert recipe.training.checkpoint_iterations == 200
    assert count_generator_updates(scale_length(load_recipe("classic/akel-04"), 1e-6)) == 1


def test_variations_are_every_combination() -> None:
    recipes = plan_recipes(SweepPlan(["classic/dogs"], vary=["critic.kernel=3,5", "generator.activation=relu,leaky_relu"]))
    assert [recipe.name for recipe in recipes] == [
        "dogs-kernel-3-activation-relu", "dogs-kernel-3-activation-leaky_relu", "dogs-kernel-5-activation-relu", "dogs-kernel-5-activation-leaky_relu",
    ]  # fmt: skip
    assert [getattr(recipe.critic, "kernel", None) for recipe in recipes] == [3, 3, 5, 5]
    assert [getattr(recipe.generator, "activation", None) for recipe in recipes] == ["relu", "leaky_relu"] * 2


def test_a_ladder_of_widths_stretches_the_lists_of_the_recipe() -> None:
    """Bordák, Pelle and Németh searched the depth; one number, or the last of a list, holds for the blocks that a deeper critic has more."""
    plan = SweepPlan(["classic/dogs", "thesis/wgan"], vary=["critic.widths=[8,16,32],[8,16,32,32,32]"], settings=["seed=1"])
    dogs, deep_dogs, thesis, deep_thesis = (recipe.critic for recipe in plan_recipes(plan))
    assert [recipe.name for recipe in plan_recipes(plan)][:2] == ["dogs-widths-8-16-32", "dogs-widths-8-16-32-32-32"]
    assert [getattr(critic, "dropout", None) for critic in (dogs, deep_dogs)] == [(0.25,) * 3, (0.25,) * 5]
    assert [getattr(critic, "dropout", None) for critic in (thesis, deep_thesis)] == [(0.0, 0.0, 0.3), (0.0, 0.0, 0.3, 0.0, 0.0)]
    strided = plan_recipes(SweepPlan(["classic/akel-02"], vary=["critic.widths=[8,16],[8,16,32,64,64]"]))
    assert [getattr(recipe.critic, "strides", None) for recipe in strided] == [(2, 2), (2,) * 5]


QUOTED = [["1_000", '"b"'], ["1.50", '"b,c"'], ['"b"', "1979-05-27T07:32:00"], ["0x10", "1e3", '"b"'], ["[1,2]", '"b"'], ['"a"', "{a = 1}"]]


@pytest.mark.parametrize(
    "values", [["2024", "2025"], ["1_000", "1000"], ["2024-05-01", "2024-06-01"], ["true", "x"], ['"2024"', "7"], ['"a,b"', "7"], *QUOTED]
)
def test_texts_that_vary_may_look_like_numbers(values: list[str]) -> None:
    for key in ("data.source", "licence"):
        recipes = plan_recipes(SweepPlan(["classic/dogs"], vary=[f"{key}={','.join(values)}"]))
        texts = [value.strip('"') for value in values]
        if key == "licence":
            assert [recipe.licence for recipe in recipes] == texts
        else:
            assert [recipe.data.source for recipe in recipes] == [str(Path(text).resolve()) for text in texts]
    with pytest.raises(UsageError, match="seed: Input should be a valid integer"):
        plan_recipes(SweepPlan(["classic/dogs"], vary=["seed=2024-05-01,2024-06-01"]))


def test_keys_may_vary_together() -> None:
    vary = ["critic.widths=[8,16],[8,16,32];generator.widths=[32,16],[64,32,16]", "seed=1,2"]
    recipes = plan_recipes(SweepPlan(["classic/dogs"], vary=vary))
    pairs = [(recipe.critic.widths, getattr(recipe.generator, "widths", None), recipe.seed) for recipe in recipes]
    assert pairs == [((8, 16), (32, 16), 1), ((8, 16), (32, 16), 2), ((8, 16, 32), (64, 32, 16), 1), ((8, 16, 32), (64, 32, 16), 2)]
    assert max(len(recipe.name) for recipe in recipes) <= 64
    quoted = plan_recipes(SweepPlan(["classic/dogs"], vary=['data.source="a,b","c;d=e" ; seed = 1,2']))
    assert [(recipe.data.source, recipe.seed) for recipe in quoted] == [(str(Path("a,b").resolve()), 1), (str(Path("c;d=e").resolve()), 2)]
    long = plan_recipes(SweepPlan(["classic/dogs"], vary=["critic.widths=[100,200,300,400],[100,200,300,401]", "generator.widths=[999,998,997,996]"]))
    assert len({recipe.name for recipe in long}) == 2


@pytest.mark.parametrize(
    ("values", "spelt"),
    [
        (["Fotos/a.b", "Fotos/a_b", "plain"], {"plain": "plain"}),
        (["a_b", "A_b", "a.b", "c.d"], {"a_b": "a_b", "c.d": "c_d"}),
        (["-x", "x", "y"], {"x": "x", "y": "y"}),
        (["é", "è", "ä"], {}),
        (["[1 2]", "1 2", "1-2"], {"1-2": "1-2"}),
        ([f"{'long' * 20}/{end}" for end in ("a.b", "a_b")], {}),
    ],
)
def test_each_value_has_a_name_of_its_own(values: list[str], spelt: dict[str, str]) -> None:
    """Whatever its letters are, and in whatever order the values come; one that alone has its name keeps it."""
    names: dict[str, set[str]] = {value: set() for value in values}
    for order in (values, values[::-1]):
        recipes = plan_recipes(SweepPlan(["classic/akel-01"], vary=[f"data.source={','.join(order)}"]))
        assert [recipe.data.source for recipe in recipes] == [str(Path(value).resolve()) for value in order]
        for value, recipe in zip(order, recipes, strict=True):
            names[value].add(recipe.name)
    assert all(len(own) == 1 for own in names.values())
    assert len(set.union(*names.values())) == len(values)
    assert max(len(name) for own in names.values() for name in own) <= MAX_NAME
    for value, name in spelt.items():
        assert names[value] == {f"akel-01-source-{name}"}
    assert not any(f"akel-01-source-{name}" in names[value] for value in values if value not in spelt for name in spelt.values())


def test_combinations_of_values_with_one_name_have_names_of_their_own() -> None:
    plan = SweepPlan(["classic/akel-01", "classic/akel-02"], vary=["data.source=a.b,a_b;evaluation.samples=10,20", "seed=1,2"])
    recipes = plan_recipes(plan)
    assert len({recipe.name for recipe in recipes}) == len(recipes) == 8
    assert [recipe.name for recipe in recipes if Path(recipe.data.source).name == "a_b"] == [
        f"akel-0{number}-source-a_b-samples-20-seed-{seed}" for number in (1, 2) for seed in (1, 2)
    ]
    same = plan_recipes(SweepPlan(["classic/akel-01"], vary=["data.source=a.b,a_b", "seed=1"]))
    more = plan_recipes(SweepPlan(["classic/akel-01"], vary=["data.source=A.B,a_b,a.b", "seed=1"]))
    assert {recipe.name for recipe in same} < {recipe.name for recipe in more}


@pytest.mark.parametrize(
    ("vary", "first", "second"),
    [
        (["objective.label_noise=0,0.0"], "objective.label_noise=0", "objective.label_noise=0.0"),
        (["objective.label_noise=0.2,0.0,0.1,-0.0"], "objective.label_noise=0.0", "objective.label_noise=-0.0"),
        (["data.source=./photos,photos"], "data.source=./photos", "data.source=photos"),
        (["data.source=x,../{}/x"], "data.source=x", "data.source=../{}/x"),
        (["data.source=photos,./photos", "seed=1,2"], "data.source=photos", "data.source=./photos"),
        (["seed=1,2", "data.source=photos,photos/"], "data.source=photos", "data.source=photos/"),
        (["seed=1,1;data.source=photos,photos/"], "data.source=photos", "data.source=photos/"),
        (["objective.label_noise=0,0.0;data.source=a,./a"], "objective.label_noise=0;data.source=a", "objective.label_noise=0.0;data.source=./a"),
    ],
)
def test_values_that_make_one_recipe_are_refused(vary: list[str], first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are written: one training would be ranked as two rows."""
    monkeypatch.chdir(tmp_path)
    vary, second = [text.format(tmp_path.name) for text in vary], second.format(tmp_path.name)
    for recipes in (["classic/akel-01"], ["classic/akel-01", "classic/akel-02"]):
        with pytest.raises(UsageError) as refusal:
            plan_recipes(SweepPlan(recipes, vary=vary))
        assert str(refusal.value) == f"--vary: {first} and {second} make the same recipe of classic/akel-01; leave one of them out"


def test_values_that_have_no_effect_are_named() -> None:
    plan = SweepPlan(["classic/benedetti-cifar10"], vary=["generator.base_width=256,512,1024", "training.kimg=1,2"])
    lines = describe_equal_trainings(plan_recipes(plan))
    assert len(lines) == 4
    assert lines[0] == (
        "advice: benedetti-cifar10-base_width-512-kimg-1 differs from benedetti-cifar10-base_width-256-kimg-1 only in generator.base_width, "
        "with no effect; leave one of them out"
    )
    assert not describe_equal_trainings(plan_recipes(SweepPlan(["classic/akel-0*"])))


def test_values_that_an_option_replaces_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^--vary: data\.source=a and data\.source=b make the same recipe of classic/akel-01; leave one"):
        plan_recipes(SweepPlan(["classic/akel-01"], vary=["data.source=a,b"], data=["demo"]))
    assert len(plan_recipes(SweepPlan(["classic/akel-0[12]"], vary=["data.source=demo"], data=["demo"]))) == 2


@pytest.mark.parametrize(
    ("plan", "start"),
    [
        (SweepPlan(["classic/dogs"], vary=["seed=1,2,1"]), "--vary seed=1,2,1: gives seed=1 twice; give it once"),
        (SweepPlan(["classic/dogs"], vary=["seed=1,1;data.source=a,a"]), "--vary seed=1,1;data.source=a,a: gives seed=1;data.source=a twice"),
        (SweepPlan(["classic/dogs"], vary=["critic.widths=[8,16],[8]"], settings=["critic.dropout=[0.1,0.2]"]), "--set critic"),
        (SweepPlan(["classic/dogs"], vary=["critic.widths=[8,16];critic.dropout=[0.1]"]), "--set critic"),
        (SweepPlan(["classic/dogs"], vary=["critic.kernel=3,5;seed=1"]), "--vary critic.kernel=3,5;seed=1: its keys have 2, 1 values"),
        (SweepPlan(["classic/dogs"], vary=["critic.widths=3"]), "--set critic.widths"),
        (SweepPlan(["classic/dogs"], vary=["critic.kernel=3,5;seed"]), "--vary critic.kernel=3,5;seed: write it as"),
        (SweepPlan(["classic/dogs"], vary=["critic.kernel=3", "seed=1,2;critic.kernel=3,5"]), "--vary critic.kernel: is varied twice"),
        (SweepPlan(["classic/dogs"], vary=["=3"]), "--vary =3: write it as"),
        (SweepPlan([]), "RECIPES"),
        (SweepPlan(["thesis-32/compose"]), "thesis-32/compose: is for `compose`"),
        (SweepPlan(["classic/akel-01", "classic/akel-01"]), "RECIPES: classic/akel-01 and classic/akel-01 are both named akel-01; give it once"),
        (SweepPlan(["classic/akel-01"], data=["akel-2*=x"]), "--data: none of"),
        (SweepPlan(["classic/akel-01"], data=["akel-2*=x", "demo"]), "--data akel-2*=x: is for no recipe"),
        (SweepPlan(["classic/akel-01"], scale=["0.1", "akel-01=0.5"]), "--scale akel-01=0.5: is for no recipe, or an earlier --scale is for the same"),
        (SweepPlan(["classic/akel-01"], scale=["-1"]), "--scale -1"),
        (SweepPlan(["classic/akel-01"], vary=["critic.leak"]), "--vary critic.leak"),
        (SweepPlan(["classic/akel-01"], vary=["critic.kernel=3,5"]), "--set critic.kernel"),
    ],
)
def test_what_cannot_be_swept_is_refused(plan: SweepPlan, start: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_recipes(plan)
    assert str(caught.value).startswith(start)


def test_untrained_is_the_network_before_its_first_update(tmp_path: Path) -> None:
    recipe = with_overrides(tiny_runs.recipe("scene", tiny_runs.pack(tmp_path / "p.npy"), updates=1), generator_optimiser__learning_rate=1e-30)
    run = pretrain(recipe, tiny_runs.run_context(tmp_path / "runs"))
    found = load_checkpoint(run.path)
    assert found is not None
    first = untrained_artifact(recipe).network.state_dict()
    weights = [name for name in first if "running" not in name and "tracked" not in name]
    for name in weights:
        torch.testing.assert_close(first[name], found[0][f"generator.{name}"], rtol=0, atol=1e-20)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings in this process; notes which began."""
    begun: list[str] = []

    def run(workdir: Path, root: Path, jobs: Sequence[TrainingProcess], *, max_parallel: int, threads: int, on_failure: Any) -> None:
        assert (max_parallel, threads) == (2, 1)
        for job in jobs:
            if job.is_done(root):
                continue
            begun.append(job.label)
            if "bad" in job.label:
                on_failure(job, NanError("training: not finite; lower the learning rate"))
            else:
                get_or_train(job.recipe, tiny_runs.run_context(root))

    monkeypatch.setattr(sweep, "run_parallel", run)
    return begun


def recipe_file(folder: Path, name: str, source: Path) -> str:
    path = folder / f"{name}.toml"
    path.write_text(to_toml(with_overrides(tiny_runs.recipe("scene", source, updates=1), name=name)))
    return str(path)


def test_a_sweep_ranks_and_goes_on(tmp_path: Path, at_once: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "training_advice", lambda recipe, count: [f"advice: {count}"])
    source = tiny_runs.pack(tmp_path / "p.npy", count=40)
    files = [recipe_file(tmp_path, name, source) for name in ("one", "bad")]
    plan = SweepPlan(files, vary=["critic.kernel=3,5"], jobs=2, samples=20, extractors=["efficientnet-lite0@32"])
    listener = tiny_runs.Listener()
    ranking, paths = sweep.run_sweep(plan, tmp_path / "out", listener)
    assert [text for text in listener.said if "advice" in text] == [f"{name}: advice: 40" for name in at_once]  # before the first training
    assert at_once == ["one-kernel-3", "one-kernel-5", "bad-kernel-3", "bad-kernel-5"]
    ((title, rows),) = ranking.groups()
    assert title == "p.npy, 8 px, colour"
    assert [row.name for row in rows[2:]] == ["bad-kernel-3", "bad-kernel-5"]
    assert rows[2].notes == ["training: not finite; lower the learning rate"]
    for row in rows[:2]:
        assert row.kid is not None
        assert {"kid", "fd"} <= row.untrained.keys() & row.real_halves.keys()
    assert (rows[0].kid or 0) <= (rows[1].kid or 0)
    run = Path(rows[0].run_dir)
    assert {"summary.txt", "structure.svg", "losses.svg", "hyperparameters.md"} <= {path.name for path in run.iterdir()}
    html = paths.html.read_text()
    assert html.count("data:image/webp") == 2
    assert not any(row.printed for row in ranking.rows)
    assert "cannot be compared" not in html  # with published figures, of which there are none
    assert "--vary critic.kernel=3,5" in html
    assert json.loads(paths.json.read_text())["groups"][title][0]["place"] == 1

    at_once.clear()
    listener = tiny_runs.Listener()
    before = paths.md.read_text()
    sweep.run_sweep(SweepPlan(files[:1], vary=plan.vary, jobs=2, samples=20, extractors=plan.extractors), tmp_path / "out", listener)
    assert at_once == []
    assert not any("advice" in text for text in listener.said)  # all are trained
    assert "one-kernel-3" in before


def test_a_row_whose_run_is_held_says_so(tmp_path: Path, at_once: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny_runs.pack(tmp_path / "p.npy", count=40)
    recipe = with_overrides(tiny_runs.recipe("scene", source, updates=1), name="one")
    run = pretrain(recipe, tiny_runs.run_context(tmp_path / "out" / "runs"))
    (run.path / "generator.safetensors").unlink()
    monkeypatch.setattr(sweep, "list_steps", lambda _: [])  # nothing was kept yet
    plan = SweepPlan([recipe_file(tmp_path, "one", source)], samples=20, extractors=["efficientnet-lite0@32"])
    with lock_folder(run.path):
        ranking, paths = sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener(), train=False)
    assert ranking.rows[0].notes == [f"{run.path} is held by another process, which works on it; wait for that, then call this again"]
    assert "is held by another process" in paths.md.read_text()
    ranking, _ = sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener(), train=False)
    assert ranking.rows[0].notes == ["not finished"]


def test_an_unfinished_training_is_ranked_as_far_as_it_came(tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "p.npy", count=40)
    recipe = with_overrides(tiny_runs.recipe("scene", source, updates=4), name="one", training__checkpoint_iterations=1)
    run = pretrain(recipe, tiny_runs.run_context(tmp_path / "out" / "runs"))
    (run.path / "generator.safetensors").unlink()
    newest = max((run.path / "checkpoints").glob("*.safetensors"))
    newest.unlink()
    (tmp_path / "one.toml").write_text(to_toml(recipe))
    plan = SweepPlan([str(tmp_path / "one.toml")], samples=20, extractors=["efficientnet-lite0@32", "efficientnet-lite0@48"])
    ranking, paths = sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener(), train=False)
    (row,) = ranking.rows
    assert row.ranks
    assert (row.iterations, row.notes) == (3, ["unfinished: measured at 75% of its 4 iterations"])
    assert 0 < row.seconds < run.read_status()["seconds"]  # those of the step, not of the run
    assert row.kid != row.by("efficientnet-lite0@48").kid
    assert row.by("efficientnet-lite0@48").kid is not None
    assert len(list((tmp_path / "out" / "results").glob("one*.json"))) == 2
    text = paths.md.read_text()
    assert text.index("### By efficientnet-lite0@32") < text.index("### By efficientnet-lite0@48")
    assert "Measured by efficientnet-lite0@32 and efficientnet-lite0@48, 20 samples" in text
    assert "--extractor efficientnet-lite0@32 --extractor efficientnet-lite0@48" in text
    assert "--rank-only`" in text
    with lock_folder(run.path):
        ranking, _ = sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener(), train=False)
    assert ranking.rows[0].notes == ["unfinished: measured at 75% of its 4 iterations; in training"]


def test_an_extractor_of_digits_refuses_a_sweep_of_other_pictures_before_training(tmp_path: Path, at_once: list[str]) -> None:
    source = tiny_runs.pack(tmp_path / "p.npy", count=40)
    plan = SweepPlan([recipe_file(tmp_path, "one", source)], jobs=2, samples=20, extractors=["efficientnet-lite0@32", "digits"])
    with pytest.raises(UsageError, match=r"^--extractor digits: takes grey pictures of 28 px, not colour ones of 8 px; name --extractor "):
        sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener())
    assert at_once == []
    assert not (tmp_path / "out").exists()


def test_the_order_is_compared_with_the_published_one() -> None:
    row = RankedRun(
        name="a", size_px=28, channels=1, data="digits", objective="lsgan", networks="mlp / mlp", batch=32, iterations=1, seconds=1.0,
        trained={}, untrained={}, real_halves={},
    )  # fmt: skip
    figures = [("a", 0.1, 0.4, "FID 52.5"), ("b", 0.2, 0.3, "FID 53.7"), ("c", 0.3, 0.2, "FID 55.4"), ("d", 0.4, 0.1, "FID 62.0"), ("e", 0.05, 0.0, "")]
    rows = [
        RankedRun(**{
            **row.__dict__, "name": name, "trained": {"kid": kid}, "printed": printed,
            "by_extractor": {"digits@28": {"trained": {"kid": other}, "untrained": {}, "real_halves": {}}},
        })
        for name, kid, other, printed in figures
    ]  # fmt: skip
    protocol = {"extractor": "lite@96", "extractors": ["lite@96", "digits@28"], "samples": 20, "split": "train", "seed": 0}
    ranking = Ranking(rows, protocol, "mitlgan sweep", "mitlgan")
    text = ranking_markdown(ranking)
    assert "rank correlation 1.00 (p = 0.08, 4 rows)" in text.split("### By digits@28")[0]
    assert "rank correlation -1.00 (p = 0.08, 4 rows)" in text.split("### By digits@28")[1]
    tables = [[line.split(" | ")[1] for line in part.splitlines() if line.startswith("| ") and line[2].isdigit()] for part in text.split("### By")[1:]]
    assert tables == [["e", "a", "b", "c", "d"], ["e", "d", "c", "b", "a"]]
    ((_, by_name),) = ranking_summary(ranking)["rank_correlations"].items()
    assert by_name["digits@28"] == {"spearman": -1.0, "p_value": 2 / 24, "rows": 4}
    assert "Spearman" not in ranking_markdown(Ranking(rows[:3], protocol, "mitlgan sweep", "mitlgan"))


@pytest.mark.slow
def test_a_sweep_in_processes(tmp_path: Path) -> None:
    source = tiny_runs.pack(tmp_path / "p.npy", count=40)
    plan = SweepPlan([recipe_file(tmp_path, "one", source)], vary=["critic.kernel=3,5"], jobs=2, samples=20, extractors=["efficientnet-lite0@32"])
    ranking, _ = sweep.run_sweep(plan, tmp_path / "out", tiny_runs.Listener())
    assert [row.iterations for row in ranking.rows] == [1, 1]


SETS: list[tuple[list[tuple[str, str, str]], list[str]]] = [
    ([("/s/A/bg", "bg", "1"), ("/s/B/bg", "bg", "2")], ["A/bg", "B/bg"]),
    ([("/s/A/bg", "bg", "1"), ("/s/C/bg", "bg", "1")], ["bg", "bg"]),
    ([("/s/A/bg", "bg", "1"), ("/s/A/bg", "bg", "")], ["bg", "bg"]),
    ([("/s/A/bg", "bg", "1"), ("/s/B/bg", "bg", "")], ["A/bg", "B/bg"]),
    ([("/A/x/bg", "bg", "1"), ("/B/x/bg", "bg", "2"), ("/B/y/fg", "fg", "3")], ["A/x/bg", "B/x/bg", "fg"]),
    ([("demo", "bg", "1"), ("demo", "fg", "2")], ["demo, bg", "demo, fg"]),
    ([("/s/bg", "bg", "1"), ("/s/bg", "bg", "2")], ["bg, bg, set 1", "bg, bg, set 2"]),
]


@pytest.mark.parametrize(("sets", "names"), SETS)
def test_runs_on_different_pictures_are_never_in_one_table(sets: list[tuple[str, str, str]], names: list[str]) -> None:
    rows = [
        RankedRun(
            name=str(i), size_px=8, channels=3, data=Path(source).name, objective="", networks="", batch=1, iterations=1, seconds=1.0,
            trained={"kid": i}, untrained={}, real_halves={}, split="train", real=40, source=source, role=role, data_sha256=sha,
        )
        for i, (source, role, sha) in enumerate(sets)
    ]  # fmt: skip
    distinct = tell_sets_apart(rows)
    assert [row.data for row in distinct] == names
    ranking = Ranking(distinct, {"extractor": "e", "samples": 20, "split": "train", "seed": 0}, "mitlgan sweep", "mitlgan")
    assert len(ranking.groups()) == len(set(names))
    assert all(f"40 real train pictures of {name}" in ranking_markdown(ranking) for name in names)


@pytest.mark.parametrize(("iterations", "words"), [(3_749, ">99%"), (1, "<1%"), (1_875, "50%")])
def test_only_a_whole_training_is_at_all_of_its_iterations(iterations: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "count_generator_updates", lambda _: 3_750)
    recipe: Any = None
    assert f"measured at {words} of its 3,750" in sweep._share_note(recipe, Run(tmp_path), iterations)


def test_a_ranking_puts_each_kid_between_its_ends(tmp_path: Path) -> None:
    row = RankedRun(
        name="akel-01", size_px=28, channels=1, data="digits", objective="minimax", networks="mlp / mlp", batch=32, iterations=3000, seconds=61.0,
        trained={"fd": 100.0, "kid": 0.5, "kid_std": 0.01}, untrained={"kid": 2.0}, real_halves={"kid": 0.0}, printed="FID 53.70",
    )  # fmt: skip
    other = RankedRun(**{**row.__dict__, "name": "a|b", "trained": {"kid": 0.25, "fd": 90.0}, "printed": ""})
    protocol = {"extractor": "e", "samples": 20, "split": "train", "seed": 0}
    text = ranking_markdown(Ranking([row, other], protocol, "mitlgan sweep", "mitlgan"))
    first, second = [line for line in text.splitlines() if line.startswith(("| 1", "| 2"))]
    assert r"a\|b" in first
    assert "88%" in first
    assert "| 2 | akel-01 | minimax | mlp / mlp | 3,000 x 32 |" in second
    assert "| 0.500 ± 0.010 | 2.000 | 0.000 | 75% | FID 53.70 |" in second
    assert CAVEAT.format(shortened=" the full length of training,") in text
    whole = RankedRun(**{**row.__dict__, "is_whole": True})
    assert CAVEAT.format(shortened="") in ranking_markdown(Ranking([whole, other], protocol, "mitlgan sweep", "mitlgan"))
    for printed in ("", row.printed):
        single = RankedRun(**{**row.__dict__, "printed": printed})
        pages = write_ranking(tmp_path / str(bool(printed)), Ranking([single], protocol, "mitlgan sweep", "mitlgan"))
        for page in (pages.html, pages.md):
            assert ("published figures are" in page.read_text()) == bool(printed)  # a page without any says nothing of them
    wild = RankedRun(**{**row.__dict__, "name": "wild", "trained": {"kid": 0.01, "fd": 1.0}, "diverged": True, "notes": ["diverged at iteration 5"]})
    ranking = Ranking([wild, row, other], protocol, "mitlgan sweep", "mitlgan")
    (last,) = [line for line in ranking_markdown(ranking).splitlines() if "wild" in line]
    assert last.startswith(f"| {DASH} |")
    assert last.endswith("| diverged at iteration 5 |")
    (rows,) = ranking_summary(ranking)["groups"].values()
    assert [(found["name"], found["place"]) for found in rows] == [("a|b", 1), ("akel-01", 2), ("wild", None)]


@pytest.mark.parametrize(("iterations", "is_whole"), [(30_000, True), (3_000, False), (None, False)])
def test_a_row_of_its_sources_length_is_whole(iterations: int | None, is_whole: bool) -> None:
    recipe = load_recipe("classic/akel-01")
    step = None if iterations is None else sweep.untrained_artifact(recipe).card.model_copy(update={"iterations": iterations})
    assert sweep._ranked_run(recipe, None, [], "", step).is_whole == is_whole
