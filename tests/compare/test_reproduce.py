"""A report's command, typed again, asks for the same: every option of both commands, with values that a shell would take apart."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mitlgan.cli.main import parser
from mitlgan.compare.plan import ComparisonPlan, DomainSpec
from mitlgan.compare.reproduce import comparison_command, sweep_command
from mitlgan.recipe import shipped_folder
from mitlgan.stages.context import RunContext

LAYER = shipped_folder("pretrained") / "modern-fg-32" / "generator.safetensors"
OUTPUT_ONLY = {"help", "form", "dry_run", "as_json"}
"""Options that change what is printed, not what is trained and measured."""
LISTS = "critic.widths=[32, 64]"
COMPARISONS: dict[str, list[Sequence[str]]] = {
    "baseline": [("--baseline", "paste"), ("--baseline", "wgan", "--baseline", "my recipes/it's.toml")],
    "composed": [("--composed", "a run"), ("--composed", "runs/compose/x-001")],
    "baseline_run": [("--baseline-run", "a; ls")],
    "equal": [("--equal", "macs"), ("--equal", "kimg"), ("--equal", "time"), ("--budgets", "1", "--equal", "cpu-seconds")],
    "count_pretraining": [("--count-pretraining",), ("--stage-only",)],
    "budgets": [("--budgets", "1"), ("--budgets", "0.1,2.5,1234567.25"), ("--budgets", "1", "--composed", "a run")],
    "seeds": [("--seeds", "3")],
    "pretrain_seeds": [("--pretrain-seeds",)],
    "triple": [
        ("--domain", "x=cats,rooms,scenes"), ("--domain", "x=bg=rooms,cat=cats,hat=hats,scenes"),
        ("--domain", "x=fg=f,bg=b,scenes"), ("--domain", "my pets=my cats,hf:some/rooms,$HOME", "--domain", "y=bg=b,a=a's,demo"),
    ],
    "recipe": [("--recipe", "recommended/compose-32")],
    "fg_recipe": [("--domain", "x=a,b,c", "--fg-recipe", "my fg.toml")],
    "bg_recipe": [("--domain", "x=a,b,c", "--bg-recipe", "my bg.toml")],
    "fg": [("--fg", str(LAYER))],
    "bg": [("--bg", str(LAYER))],
    "layer": [("--layer", f"sky={LAYER}", "--layer", f"fg={LAYER}")],
    "data": [("--data", "my pictures")],
    "settings": [("--set", 'licence="CC BY"', "--set", LISTS)],
    "trials": [("--trials", "wgan=3", "--trials", "composed=2")],
    "jobs": [("--jobs", "4")],
    "extractor": [("--extractor", "digits", "--extractor", "timm:a")],
    "weights": [("--weights", "my weights.pt")],
    "samples": [("--samples", "20")],
    "out": [("--out", "my runs")],
    "device": [("--device", "cpu")],
    "threads": [("--threads", "2")],
}  # fmt: skip
SWEEPS: dict[str, list[Sequence[str]]] = {
    "recipes": [("classic/akel-*", "my recipes/a.toml"), ("classic/akel-0[12]",)],
    "data": [("a", "--data", "akel-0*=my digits", "--data", "demo")],
    "scale": [("a", "--scale", "akel-*=0.5", "--scale", "2")],
    "vary": [("a", "--vary", "critic.widths=[32,64],[32,64,128];critic.kernel=3,5", "--vary", "seed=1,2")],
    "settings": [("a", "--set", 'licence="CC BY"', "--set", LISTS)],
    "jobs": [("a", "--jobs", "3")],
    "samples": [("a", "-n", "50")],
    "extractor": [("a", "--extractor", "digits", "--extractor", "inception")],
    "weights": [("a", "--weights", "my weights.pt")],
    "rank_only": [("a", "--rank-only")],
    "out": [("a", "--out", "my sweep")],
}


class PlannedError(Exception):
    """Ends a command before it works."""


def parsed(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return what the command would be called with."""

    def stop(*arguments: object, **options: object) -> None:
        raise PlannedError(*arguments, options)

    monkeypatch.setattr("mitlgan.compare.runner.run_comparison", stop)
    monkeypatch.setattr("mitlgan.compare.sweep.run_sweep", stop)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)
    with pytest.raises(PlannedError) as planned:
        parser().main(list(words), standalone_mode=False)
    return planned.value.args


def comparison(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> tuple[ComparisonPlan, RunContext]:
    plan, context, _ = parsed(["compare", *words], monkeypatch)
    return plan, context


def test_the_tables_have_every_option() -> None:
    for name, table in {"compare": COMPARISONS, "sweep": SWEEPS}.items():
        command = parser().commands[name]
        options = {str(parameter.name): parameter for parameter in command.params if parameter.name not in OUTPUT_ONLY}
        assert table.keys() == options.keys()
        for key, cases in table.items():
            written = {*options[key].opts, *options[key].secondary_opts}
            assert key == "recipes" or all(written & set(words) for words in cases), key


@pytest.mark.parametrize("words", [(), *(words for cases in COMPARISONS.values() for words in cases)], ids=" ".join)
def test_a_comparison_is_asked_for_again(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, context = comparison(words, monkeypatch)
    command, *again = shlex.split(comparison_command(plan, context))
    assert (command, again[0]) == ("mitlgan", "compare")
    same_plan, same_context = comparison(again[1:], monkeypatch)
    assert same_plan == plan
    assert list(same_plan.layers.items()) == list(plan.layers.items())  # from back to front
    assert [list(spec.sources.items()) for spec in same_plan.domains] == [list(spec.sources.items()) for spec in plan.domains]
    asked = [(one.root, one.device, one.threads, one.world) for one in (same_context, context)]
    assert asked[0] == asked[1]


@pytest.mark.parametrize("words", [words for cases in SWEEPS.values() for words in cases], ids=" ".join)
def test_a_sweep_is_asked_for_again(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, out, _, options = parsed(["sweep", *words], monkeypatch)
    command, *again = shlex.split(sweep_command(plan, out, **options))
    assert (command, again[0]) == ("mitlgan", "sweep")
    same_plan, same_out, _, same_options = parsed(again, monkeypatch)
    assert (same_plan, same_out, same_options) == (plan, out, options)


def test_defaults_are_left_out_and_words_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, context = comparison([], monkeypatch)
    assert comparison_command(plan, context) == "mitlgan compare --baseline wgan"
    plan = ComparisonPlan(composed=Path("a run"), domains=(DomainSpec("x", "", "", "scenes", {"bg": "rooms", "cat": "cats"}),))
    assert comparison_command(plan, context) == "mitlgan compare --baseline wgan --composed 'a run' --domain x=bg=rooms,cat=cats,scenes"
