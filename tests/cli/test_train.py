"""The commands that train, really run: bare in an empty folder on the demo pictures, stopped by signals, refused, dry."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from helpers import tiny_runs
from helpers.commands import Command, start
from typer.main import get_command

from mitlgan.cli import options
from mitlgan.cli import pretrain as cli_pretrain
from mitlgan.cli import train as cli_train
from mitlgan.cli.main import app
from mitlgan.errors import UsageError
from mitlgan.recipe import as_dict, load_recipe, parse_recipe, shipped_recipe_names, to_toml, with_overrides
from mitlgan.runtime.json_files import read_jsonl
from mitlgan.training import run_directory
from mitlgan.training.checkpoint import list_checkpoints, load_checkpoint
from mitlgan.training.loop import TrainingLoop
from mitlgan.training.run_directory import Run

ROOT = Path(__file__).resolve().parents[2]
GOES_ON = {
    *("few/bg-32", "few/bg-64", "few/bg-64-sharp", "few/fg-32", "few/fg-64", "few/fg-64-sharp"),
    *("recommended/bg-64-grown", "recommended/fg-64-grown", "recommended/fg-64-sharp", "recommended/fg-128-sharp"),
}
# The shipped recipes, cut down to a few updates at 8 px.
TINY = {
    "size_px": 8, "critic.widths": [4, 6], "critic.dropout": [0.0, 0.0], "training.kimg": 0.024, "training.batch": 4, "objective.critic_steps": 2,
    "evaluation.samples": 12, "evaluation.extractor": '"efficientnet-lite0@32"', "evaluation.split": '"train"',
}  # fmt: skip
GENERATOR = {"generator.widths": [6], "generator.latent_dim": 3, "generator.blocks": 1}
COMPOSER = {"composer.translator.widths": [4, 4, 4], "composer.translator.blocks": 1}


def settings(*tables: dict[str, Any]) -> list[str]:
    return [part for table in tables for key, value in table.items() for part in ("--set", f"{key}={value}")]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_the_four_commands_work_bare_in_an_empty_folder(command: Command, folder: Path) -> None:
    results = {}
    for role in ("fg", "bg"):
        done = command("pretrain", role, *settings(TINY, GENERATOR), "--json")
        assert done.code == 0, done.err
        results[role] = done.json
        assert Path(done.json["artifact"]).is_file()
        assert (done.json["state"], done.json["role"], done.json["kimg"]) == ("done", role, 0.024)
        assert f"pretrain {role}: runs/pretrain/{role}-001" in done.err
    done = command("compose", *settings(TINY, COMPOSER), "--json")
    assert done.code == 0, done.err
    for role in ("fg", "bg"):
        assert f"{role}: {results[role]['artifact']} (0.024 kimg)" in done.err.splitlines()  # it says which it takes
    assert Path(done.json["artifact"]).name == "composer.safetensors"
    composed = done.json["run"]
    done = command("compare", "--baseline", "wgan", "--json")
    assert done.code == 0, done.err
    assert f"composition: {composed}" in done.err
    report = done.json
    assert report["verdict"]["outcome"] == "not comparable"  # of a dozen samples
    assert [arm["role"] for arm in report["arms"]] == ["composed", "baseline", "baseline"]
    assert [arm["length"] for arm in report["arms"]] == ["", "total", "stage"]
    assert report["arms"][0]["cost"]["kimg_stage"] == 0.024
    assert {anchor["name"] for anchor in report["anchors"]} == {"real_halves", "real_pasted", "bare_backgrounds"}
    arms_counts = [report["protocol"]["samples"], report["protocol"]["real"]]
    for anchor in report["anchors"]:  # the numbers of pictures are in the label where they are not those of the arms
        assert anchor["label"].endswith(f" ({anchor['counts'][0]:,} against {anchor['counts'][1]:,})") == (anchor["counts"] != arms_counts)
    counts = {anchor["name"]: anchor["counts"] for anchor in report["anchors"]}
    assert counts["real_halves"][0] == counts["real_halves"][1]
    assert counts["real_pasted"] == arms_counts
    page = Path(report["report"]).read_text()
    assert report["verdict"]["headline"].split(":")[0] in page
    for reference in ("<script src", "<link", 'src="http', "@import"):
        assert reference not in page  # self-contained
    assert (Path(report["report"]).parent / "metrics.json").is_file()
    assert {path.name for path in folder.iterdir()} == {"runs"}
    _looking_at_it(command, composed, results["fg"]["artifact"])


def _looking_at_it(command: Command, composed: str, artifact: str) -> None:
    """The other commands, on what the four made."""
    listed = command("runs", "ls", "--json").json["runs"]
    assert [row["state"] for row in listed] == ["done"] * 5  # the comparison is one of them
    assert composed in command("runs", "ls").out
    done = command("sample", composed, "-n", "3", "--seed", "5", "--layers", "--out", "pictures", "--json")
    assert done.code == 0, done.err
    assert done.json["files"] == [f"pictures/00000{seed}.png" for seed in (5, 6, 7)]
    assert done.json["grid"] == "pictures-grid.png"
    assert {"fg", "bg", "fused"} <= done.json["stages"].keys()
    for place in (Path("pictures"), *map(Path, done.json["stages"].values())):
        assert sorted(file.name for file in place.iterdir()) == ["000005.png", "000006.png", "000007.png"]
    measured = command("evaluate", artifact, "-n", "12", "--split", "train", "--json")
    assert measured.code == 0, measured.err
    assert measured.json["frechet"]["generated"] == 12
    assert measured.json["frechet"]["name"] == "FD (efficientnet-lite0@32)"
    described = command("describe", composed, "--json").json
    assert described["total"]["trainable"] < described["total"]["parameters"]
    done = command("resume", composed, "--kimg", "+0.008", "--json")
    assert (done.code, done.json["kimg"], done.json["target_kimg"]) == (0, 0.032, 0.032)
    assert command("runs", "rm", composed, "--json").json == {"removed": composed}
    assert not Path(composed).exists()


def test_every_training_leaves_the_same(command: Command, folder: Path, packs: dict[str, Path]) -> None:
    left = ["summary.txt", "structure.svg", "hyperparameters.md", "losses.svg", "scores.svg"]
    runs = {}
    for role, interval in (("fg", 1000), ("bg", 1)):  # the first is shorter than its interval
        log = ("--set", f"training.log_iterations={interval}")
        done = command("pretrain", role, "--data", packs["bg"], *settings(TINY, GENERATOR), *log, "--json")
        assert [Path(path).name for path in done.json["left"]] == left
        runs[role] = Path(done.json["run"])
    composed = command("train", "thesis-32/compose", "--data", packs["scene"], *settings(TINY, COMPOSER), "--json")
    assert composed.code == 0, composed.err
    assert all(f"{role}: {runs[role]}/generator.safetensors" in composed.err for role in ("fg", "bg"))
    run = Path(composed.json["run"])
    assert [Path(path).name for path in composed.json["left"]] == left
    summary = (run / "summary.txt").read_text()
    assert summary.count("trainable 0, not trainable") == 2  # the frozen layers, with the generators that they really have
    assert summary.endswith("parameters 4,907, trainable 2,298, not trainable 2,609\n")  # not those of the thesis
    again = command("train", "thesis-32/compose", "--data", packs["scene"], *settings(TINY, COMPOSER), "--json")
    assert again.json["run"] == composed.json["run"]  # a finished run of the same recipe and layers is taken
    other = command("compose", "--data", packs["scene"], *settings(TINY, COMPOSER), "--json")
    assert [Path(path).name for path in other.json["left"]] == left
    refused = command("train", "thesis-32/wgan", "--fg", runs["fg"])
    assert (refused.code, refused.err.strip()) == (2, "--fg, --bg, --layer: are of compositions; thesis-32/wgan has no [composer]; leave them out")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    command: Command, folder: Path, packs: dict[str, Path], pretrained: dict[str, Run]
) -> None:
    done = command("pretrain", "fg", "--data", packs["fg"], *settings(TINY, GENERATOR), "--dry-run", "--json")
    assert done.code == 0, done.err
    assert (done.json["pictures"], done.json["generator_updates"]) == (12, 3)
    assert done.json["recipe"]["training"]["batch"] == 4
    assert done.json["total"]["trainable"] > 0
    dry = command(
        "pretrain", "fg", "--data", packs["fg"], *settings(TINY, GENERATOR), "--set", "critic.widths=[256]", "--set", "critic.dropout=0", "--dry-run"
    )
    assert "advice: 12 pictures are few for a critic of 256 channels" in dry.err
    text = command("pretrain", "fg", "--data", packs["fg"], *settings(TINY, GENERATOR), "--dry-run").out
    assert text.startswith("pretrain fg: 12 pictures of 8 px, 3 generator updates")
    layers = [part for role, path in tiny_runs.layers(pretrained).items() for part in (f"--{role}", path)]
    done = command("compose", *layers, "--data", packs["scene"], *settings(TINY, COMPOSER), "--dry-run", "--json")
    assert done.code == 0, done.err
    assert done.json["pictures"] == 12
    assert done.json["estimate"]["updates"] == 3
    assert 0 < done.json["estimate"]["seconds"] < 60
    assert 1e7 < done.json["estimate"]["memory_bytes"] < 1e11
    assert " of memory, " in text
    assert text.rstrip().endswith(" of disk; nothing was written")
    trained = command("train", "thesis-32/pretrain_fg", "--data", packs["fg"], *settings(TINY, GENERATOR), "--dry-run", "--json")
    assert trained.json["estimate"]["updates"] == 3
    composition = ["--recipe", "thesis-32/compose", "--data", packs["scene"], *layers, *settings(TINY, COMPOSER)]
    compared = command("compare", *composition, "--baseline", "plain-wgan", "--equal", "kimg", "--dry-run", "--json")
    assert compared.code == 0, compared.err
    assert [one["updates"] for one in compared.json["estimate"]["trainings"]] == [3, 3]
    assert "advice" not in compared.err
    wide = command(
        "compare", *composition, "--set", "critic.widths=[256]", "--set", "critic.dropout=0", "--baseline", "plain-wgan", "--equal", "kimg", "--dry-run"
    )
    assert "advice: 12 pictures are few for a critic of 256 channels" in wide.err
    assert list(folder.iterdir()) == []


def test_pictures_without_a_matte_are_refused_before_a_run_begins(command: Command, folder: Path, packs: dict[str, Path]) -> None:
    done = command("pretrain", "fg", "--recipe", "recommended/fg-32", "--data", packs["bg"], *settings(TINY, GENERATOR))
    assert done.code == 3, done.err
    assert f"{packs['bg']}: has no alpha or matte" in done.err
    assert not list(folder.glob("runs/*/*"))


def test_the_demos_pictures_are_named_where_no_data_are(command: Command, folder: Path, packs: dict[str, Path]) -> None:
    ours = [*settings(TINY, GENERATOR), "--dry-run"]
    assert "no --data: the demo's pictures" in command("pretrain", "fg", *ours).err.splitlines()
    assert "no --data: the demo's pictures" in command("train", "thesis-32/pretrain_bg", *ours).err.splitlines()
    for source in (packs["fg"], "demo"):
        assert "no --data" not in command("pretrain", "fg", "--data", source, *ours).err
    assert "no --data: the demo's pictures" in command("pretrain", "fg", *ours[:-1]).err.splitlines()
    assert "no --data" not in command("pretrain", "fg", "--data", "demo", *ours[:-1]).err


def test_a_dry_run_checks_what_the_run_would(command: Command, folder: Path, packs: dict[str, Path], pretrained: dict[str, Run]) -> None:
    ours = ["--data", packs["fg"], *settings(TINY, GENERATOR), "--dry-run"]
    layers = tiny_runs.layers(pretrained)
    assert command("pretrain", "fg", *ours, "--from", "nowhere").code == 4
    assert command("pretrain", "fg", *ours, "--from", layers["bg"]).code == 4  # another architecture
    assert command("pretrain", "fg", *ours, "--device", "tpu").code == 2
    done = command("compose", "--fg", layers["bg"], "--bg", layers["bg"], "--data", packs["scene"], *settings(TINY, COMPOSER), "--dry-run")
    assert done.code == 4
    assert "was trained as bg" in done.err
    assert list(folder.iterdir()) == []


def test_ones_own_recipe_file_and_folder_of_runs(command: Command, folder: Path, packs: dict[str, Path]) -> None:
    recipe = tiny_runs.recipe("bg", packs["bg"])
    Path("mine.toml").write_text(to_toml(recipe))
    done = command("pretrain", "bg", "--recipe", "mine.toml", "--seed", "9", "--out", "elsewhere", "--json")
    assert done.code == 0, done.err
    run = Path(done.json["run"])
    assert run == Path("elsewhere/pretrain/tiny-bg-001")
    assert load_recipe(run / "recipe.toml") == with_overrides(recipe, seed=9)
    again = command("pretrain", "bg", "--recipe", str(run / "recipe.toml"), "--out", "elsewhere", "--json").json
    assert Path(again["run"]).name == "tiny-bg-002"  # never overwritten
    tiny_runs.assert_same_trace(Run(run), Run(Path(again["run"])))


def test_a_run_that_an_earlier_version_began_with_contradictory_keys_is_taken(
    command: Command, folder: Path, packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    critic = {"kind": "strided", "base_width": 4, "widths": [4, 8], "normalisation": "none"}
    Path("mine.toml").write_text(to_toml(parse_recipe({**as_dict(tiny_runs.recipe("bg", packs["bg"])), "critic": critic}, "mine")))
    refused = command("train", "mine.toml")
    assert (refused.code, list(folder.iterdir())) == (2, [Path(folder / "mine.toml")])
    assert refused.err.startswith("critic.widths contradicts critic.base_width")
    with monkeypatch.context() as earlier:
        for module in ("mitlgan.recipe", "mitlgan.stages.training_run"):
            earlier.setattr(f"{module}.require_trainable", lambda _: None)
        begun = command("train", "mine.toml", "--json").json
    taken = command("train", "mine.toml", "--json")
    assert (taken.code, taken.json["run"]) == (0, begun["run"])


def test_text_goes_to_stdout_as_one_path(command: Command, folder: Path, packs: dict[str, Path]) -> None:
    done = command("pretrain", "bg", "--data", packs["bg"], *settings(TINY, GENERATOR))
    assert done.out == "runs/pretrain/bg-001/generator.safetensors\n"


def test_a_place_that_cannot_be_written_is_refused(command: Command, folder: Path, packs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))
    Path("file").write_text("")
    done = command("pretrain", "bg", "--data", packs["bg"], *settings(TINY, GENERATOR), "--out", "file")
    assert (done.code, done.err.count("\n")) == (5, 1)
    assert done.err.startswith("file")


def test_metric_weights_that_are_absent_end_compare_before_any_training(
    command: Command, folder: Path, composed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    monkeypatch.setattr(TrainingLoop, "train_iteration", lambda self: pytest.fail("a step was made"))
    done = command("compare", "--composed", composed.path, "--extractor", "inception")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("--extractor inception: its weights are absent")
    assert "efficientnet-lite0" in done.err  # the way out
    assert not Path("runs").exists()
    done = command("compare", "--composed", composed.path, "--weights", "nowhere.pth")
    assert (done.code, done.err.startswith("--weights nowhere.pth: ")) == (2, True)


# Signals and locks, between processes


@pytest.fixture
def endless(folder: Path, packs: dict[str, Path]) -> Iterator[tuple[Popen[str], Run]]:
    """A training that would take hours, after its first checkpoints."""
    Path("endless.toml").write_text(to_toml(tiny_runs.recipe("fg", packs["fg"], updates=10**6, checkpoint_kimg=1.0)))
    process = start("pretrain", "fg", "--recipe", "endless.toml", "--json")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = run_directory.list_runs(Path("runs"))
        if found and any(path.stem != "000000000" for path in list_checkpoints(found[0].path)):
            yield process, found[0]
            break
        time.sleep(0.05)
    else:
        process.kill()
        pytest.fail(f"it did not begin: {process.communicate()}")
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), *(pytest.param(number, 128 + number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGHUP))],
)
def test_a_signal_finishes_the_step_saves_and_the_run_goes_on(
    endless: tuple[Popen[str], Run], number: signal.Signals, code: int, command: Command
) -> None:
    process, run = endless
    # The second process on a run is refused, and the first does not notice.
    refused = command("resume", run.path)
    assert (refused.code, refused.err.count("\n")) == (5, 1)
    assert refused.err.startswith(f"{run.path}: another process is working on it")
    assert command("runs", "rm", run.path).code == 5
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err.splitlines()[-1].startswith(f"{run.path}: stopped at ")
    assert err.splitlines()[-1].endswith(f"continue with `mitlgan resume {run.path}`")
    assert run.read_status()["state"] == "stopped"
    lines = list(read_jsonl(run.stats_file))
    found = load_checkpoint(run.path)
    assert found is not None
    assert found[1]["counters"]["iteration"] == lines[-1]["iteration"] == len(lines)
    kimg = lines[-1]["kimg"]
    text = run.recipe_file.read_text()
    run.recipe_file.write_text(text.replace(f"kimg = {load_recipe(run.recipe_file).training.kimg}", f"kimg = {kimg + 0.016}", 1))
    done = command("resume", run.path, "--json")
    assert done.code == 0, done.err
    assert done.json["iteration"] == len(lines) + 2
    assert [row["iteration"] for row in read_jsonl(run.stats_file)] == list(range(1, len(lines) + 3))


@pytest.mark.slow
def test_sigkill_costs_at_most_what_came_after_the_last_checkpoint(endless: tuple[Popen[str], Run], command: Command) -> None:
    process, run = endless
    assert run.read_state() == "running"
    process.kill()
    process.communicate(timeout=60)
    assert command("runs", "ls", "--json").json["runs"][0]["state"] == "stopped (killed)"
    found = load_checkpoint(run.path)
    assert found is not None
    iteration = found[1]["counters"]["iteration"]
    run.recipe_file.write_text(
        run.recipe_file.read_text().replace(f"kimg = {load_recipe(run.recipe_file).training.kimg}", f"kimg = {(iteration + 1) * 0.008}", 1)
    )
    done = command("resume", run.path, "--json")
    assert done.code == 0, done.err
    assert done.json["iteration"] == iteration + 1
    assert json.loads(run.stats_file.read_text().splitlines()[-1])["iteration"] == iteration + 1
    assert len(run.stats_file.read_text().splitlines()) == iteration + 1


def test_what_cannot_grow_is_refused_by_a_dry_run_as_by_a_run(
    command: Command, folder: Path, packs: dict[str, Path], pretrained: dict[str, Run], composed: Run
) -> None:
    recipe = folder / "grown.toml"
    tree = as_dict(tiny_runs.recipe("bg", packs["bg"]))
    generator = {"kind": "grown", "parent": {"widths": [4]}, "parent_px": 8}
    recipe.write_text(to_toml(parse_recipe({**tree, "size_px": 16, "generator": generator}, "tiny")))
    for first, code, message in (
        ([], 2, '--from: generator.kind = "grown" needs the smaller generator'),
        (["--from", composed.path], 4, "is a composer; a generator grows from a generator"),
        (["--from", pretrained["fg"].path], 4, "was trained as fg; give a parent of role bg"),
        (["--from", pretrained["bg"].path, "--set", "size_px=64", "--set", "generator.parent_px=16", "--set", "generator.parent.widths=[4, 4]"], 4,
         "makes 8 px, which does not grow to size_px = 64; give a parent of 32 or 16 px"),
    ):  # fmt: skip
        for dry in ([], ["--dry-run"]):
            refused = command("pretrain", "bg", "--recipe", recipe, *first, *dry)
            assert refused.code == code
            assert message in refused.err
            assert len(refused.err.splitlines()) == 1
    for name, shipped in ((recipe, "ARTIFACT"), ("few/fg-32", "pretrained/modern-fg-32"), ("few/bg-64", "pretrained/modern-bg-32")):
        refusals = [command("train", name, *dry) for dry in ([], ["--dry-run"])]
        start = f"RECIPE {name}: goes on from a trained generator, and `train` takes none; name it by --from: "
        for refused, given in zip(refusals, ("", " --dry-run"), strict=True):
            role = "fg" if str(name).startswith("few/fg") else "bg"
            assert (refused.code, refused.err) == (2, f"{start}mitlgan pretrain {role} --recipe {name} --from {shipped}{given}\n")
    assert [path.name for path in folder.iterdir()] == ["grown.toml"]


@pytest.mark.parametrize("name", shipped_recipe_names())
def test_train_takes_every_recipe_or_names_the_command_that_does(name: str, command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a dry run goes before it measures, which takes too long for all recipes."""
    (folder / "pretrained").symlink_to(ROOT / "pretrained")
    reached: list[str] = []
    for module in (cli_train, cli_pretrain):
        monkeypatch.setattr(module, "print_dry_run", lambda recipe, *_, **__: reached.append(recipe.role))
    done = command("train", name, "--dry-run")
    if done.code == 0:
        assert len(reached) == 1
        return
    if load_recipe(name).composer is not None:  # no layers of its size are shipped
        assert (done.code, reached) == (4, [])
        missing = r"no generator( with a matte)? of \d+ px under runs or shipped"
        assert re.match(
            rf"--(fg|bg): {missing}; run `mitlgan pretrain \1 --recipe (thesis|recommended)/\S*\1[^`]*` first, or name an artifact$", done.err
        )
        return
    assert (done.code, reached) == (2, [])
    assert name in GOES_ON
    assert len(done.err.splitlines()) == 1
    instead = command(*shlex.split(done.err[done.err.index("mitlgan pretrain") :])[1:])
    assert (instead.code, len(reached)) == (0, 1), instead.err


def test_the_command_that_takes_it_repeats_what_was_given(command: Command) -> None:
    """Typed again, it would otherwise train on other pictures, at another length, into another folder."""
    given = [
        *("--data", "my pictures"), *("--set", "training.kimg=1"), *("--set", 'licence="CC BY"'), *("--out", "mine; ls"), *("--device", "cpu"),
        *("--seed", "0"), *("--threads", "1"), "--dry-run", "--json",
    ]  # fmt: skip
    of_compositions = {"--fg", "--bg", "--layer"}
    options = {option for parameter in get_command(app).commands["train"].params for option in parameter.opts}  # type: ignore[attr-defined]
    assert {word for word in given if word.startswith("--")} == options - of_compositions - {"recipe", "-h", "--help"}
    refused = command("train", "few/fg-32", *given)
    words = shlex.split(refused.err[refused.err.index("mitlgan pretrain") :])
    assert words[:7] == ["mitlgan", "pretrain", "fg", "--recipe", "few/fg-32", "--from", "pretrained/modern-fg-32"]
    pieces = {" ".join(given[at : at + 2]) for at in range(0, 14, 2)} | {"--dry-run", "--json"}
    assert refused.code == 2
    assert {" ".join(words[at : at + 2]) if at < 21 else words[at] for at in [*range(7, 21, 2), 21, 22]} == pieces
    assert len(words) == 23
    assert command("train", "few/fg-32").err.endswith(" --from pretrained/modern-fg-32\n")


def test_the_help_of_train_names_recipes_that_go_on() -> None:
    named = re.findall(r"`([a-z]+/[^`]*)`", cli_train.train.__doc__ or "")
    assert named
    assert set(named) <= GOES_ON


def test_a_run_is_ended_or_made_longer(command: Command, folder: Path, pretrained: dict[str, Run]) -> None:
    refused = command("resume", pretrained["bg"].path, "--end", "--kimg", "+1")
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith("--end: contradicts --kimg")
    copy = folder / "copy"
    shutil.copytree(pretrained["bg"].path, copy)
    (copy / "generator.safetensors").unlink()
    ended = command("resume", copy, "--end", "--json")
    assert ended.code == 0
    assert ended.json["artifact"] == str(copy / "generator.safetensors")
    assert (copy / "generator.safetensors").read_bytes() == (pretrained["bg"].path / "generator.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "setting"), [("recommended/fg-64-grown", "training.kimg=6"), ("thesis-32/compose", "training.critic_first_kimg=9999")]
)
def test_a_training_of_the_critic_alone_is_refused_with_both_keys(name: str, setting: str) -> None:
    with pytest.raises(UsageError, match=r"^training\.critic_first_kimg is \d+, and training\.kimg \d+: only the critic would learn"):
        options.recipe_from(name, name, data=None, seed=None, settings=[setting])
