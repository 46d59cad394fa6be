"""The verdict, as a table: it decides nothing that its measurement cannot carry, and says in its own sentence what it rests on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mitlgan.report import verdict
from mitlgan.report.caveats import caveats
from mitlgan.report.schema import Anchor, ArmResult, Comparison, Cost, StageCost
from mitlgan.report.tables import numbers_table
from mitlgan.report.verdict import decide_verdict

FIRST, SECOND = "efficientnet-lite0@96", "mobilenet-v2@96"
BOTH = {"extractor": FIRST, "extractors": [FIRST, SECOND], "samples": 2000, "real": 1500, "split": "test"}
ONE = {key: value for key, value in BOTH.items() if key != "extractors"}
WGAN, STAGE = "WGAN, tuned (recommended/wgan-32), as long as all stages", "WGAN, tuned (recommended/wgan-32), this stage alone"
ASSUMED = "one seed per arm, noise assumed to be about"


def numbers(fd: float, kid: float | None = None, **more: float) -> dict[str, float]:
    return {"fd": fd, "kid": fd / 500 if kid is None else kid, "kid_std": 0.01, **more}


def composed(fd: float, other: float | None = None, *, values: list[float] | None = None, kid: float | None = None) -> ArmResult:
    spread = {"fd_std": 22.0} if values else {}
    return ArmResult(
        "composed", "Composition (modern)", "composed", metrics=numbers(fd, kid, **spread), seeds=range(len(values)) if values else (0,),
        by_extractor={} if other is None else {SECOND: numbers(other)}, values={FIRST: values} if values else {},
    )  # fmt: skip


def baseline(fd: float, other: float | None = None, *, values: list[float] | None = None, **changes: Any) -> ArmResult:
    spread = {"fd_std": 33.0} if values else {}
    fields = {"name": "wgan+pretraining", "label": WGAN, "length": "total"} | changes
    return ArmResult(
        role="baseline", metrics=numbers(fd, **spread), seeds=range(len(values)) if values else (0,),
        by_extractor={} if other is None else {SECOND: numbers(other)}, values={FIRST: values} if values else {}, **fields,
    )  # fmt: skip


def bare(first: float, second: float | None = None) -> list[Anchor]:
    return [Anchor("bare_backgrounds", "Bare", numbers(first), by_extractor={} if second is None else {SECOND: numbers(second)})]


AHEAD = [composed(500.0, 400.0), baseline(600.0, 520.0)]
BASIS = f"2,000 samples against 1,500 test pictures, {ASSUMED} 30"


@pytest.mark.parametrize(
    ("arms", "anchors", "protocol", "outcome", "sentence"),
    [
        (AHEAD, bare(900, 900), BOTH, "won", f"Composition won by 100 FD (17%) against {WGAN}, at equal total time (CPU seconds): {BASIS}."),
        (AHEAD, bare(900), ONE, "won", f"Composition won by 100 FD (17%) against {WGAN}, at equal total time (CPU seconds): {BASIS}."),
        (
            [composed(700.0), baseline(600.0)], bare(900), ONE, "lost",
            f"Composition lost by 100 FD (17%) to {WGAN}, at equal total time (CPU seconds): 2,000 samples against 1,500 test pictures, {ASSUMED} 40.",
        ),
        (
            [composed(590.0), baseline(600.0)], bare(900), ONE, "close",
            f"Too close to call against {WGAN} (10 FD apart), at equal total time (CPU seconds): {BASIS}.",
        ),
        (
            [composed(500.0, kid=1.9), baseline(600.0)], bare(900), ONE, "close",
            f"Too close to call against {WGAN} (FD and KID disagree), at equal total time (CPU seconds): {BASIS}.",
        ),
        # Only what this stage took: said in the sentence.
        (
            [composed(500.0), baseline(600.0, label=STAGE, length="stage")], bare(900), ONE, "won",
            f"Composition won by 100 FD (17%) against {STAGE}, at equal CPU seconds of this stage alone: {BASIS}.",
        ),
        (
            [composed(500.0), baseline(600.0, name="paste", label="Frozen layers, pasted", length="")], bare(900), ONE, "won",
            f"Composition won by 100 FD (17%) against Frozen layers, pasted: {BASIS}.",
        ),
        (
            [composed(500.0), baseline(800.0), baseline(600.0, name="paste", label="Frozen layers, pasted", length="")], bare(900), ONE, "won",
            f"Composition won by 100 FD (17%) against every baseline, the best of which is Frozen layers, pasted: {BASIS}.",
        ),
        # Nothing can be decided yet.
        (
            AHEAD, bare(900, 900), {**BOTH, "split": "train"}, "not comparable",
            "Not comparable yet: no pictures were held out, so the train pictures themselves are the reference "
            f"(2,000 samples against 1,500 train pictures, {ASSUMED} 30).",
        ),
        (
            AHEAD, bare(900, 900), {**BOTH, "real": 499}, "not comparable",
            f"Not comparable yet: only 499 real pictures were measured, and 500 are needed (2,000 samples against 499 test pictures, {ASSUMED} 30).",
        ),
        (
            AHEAD, bare(900, 900), {**BOTH, "samples": 256}, "not comparable",
            f"Not comparable yet: only 256 samples were measured, and 500 are needed (256 samples against 1,500 test pictures, {ASSUMED} 30).",
        ),
        (
            AHEAD, bare(900, 900), {**BOTH, "samples": 256, "real": 40}, "not comparable",
            "Not comparable yet: only 256 samples and 40 real pictures were measured, and 500 of each are needed "
            f"(256 samples against 40 test pictures, {ASSUMED} 30).",
        ),
        (AHEAD, bare(900, 900), {**BOTH, "samples": 500, "real": 500, "split": "validation"}, "won", "500 samples against 500 validation pictures"),
        (AHEAD, bare(400, 900), BOTH, "not comparable",
         f"Not comparable yet: no arm beats real backgrounds without any object (FD ({FIRST}) 400) ({BASIS})."),
        (AHEAD, bare(900, 300), BOTH, "not comparable", f"no arm beats real backgrounds without any object (FD ({SECOND}) 300)"),
        (
            [composed(500.0, 700.0), baseline(600.0, 500.0)], bare(900, 900), BOTH, "not comparable",
            f"Not comparable yet: the extractors disagree ({FIRST}: won by 17%; {SECOND}: lost by 40%) ({BASIS}).",
        ),
        (
            [composed(500.0, 510.0), baseline(600.0, 520.0)], bare(900, 900), BOTH, "not comparable",
            f"the extractors disagree ({FIRST}: won by 17%; {SECOND}: too close to call)",
        ),
        (
            [composed(500.0, 700.0), baseline(600.0, 500.0)], bare(300, 900), {**BOTH, "split": "train", "real": 20}, "not comparable",
            "no pictures were held out, so the train pictures themselves are the reference; "
            "only 20 real pictures were measured, and 500 are needed; no arm beats",
        ),
    ],
)  # fmt: skip
def test_verdicts(arms: list[ArmResult], anchors: list[Anchor], protocol: dict[str, Any], outcome: str, sentence: str) -> None:
    verdict = decide_verdict(arms, anchors, protocol, resource="cpu-seconds")
    assert verdict.outcome == outcome
    assert sentence in verdict.headline
    assert verdict.headline == sentence or not sentence.endswith(".")


@pytest.mark.parametrize("extractors", [[FIRST], [FIRST, SECOND]])
def test_how_many_extractors_judged_is_said(extractors: list[str]) -> None:
    reasons = decide_verdict(AHEAD, bare(900, 900), {**BOTH, "extractors": extractors}).reasons
    if len(extractors) == 1:
        assert f"Only one extractor was used, {FIRST}; another might disagree (name several with `--extractor`)." in reasons
    else:
        assert f"2 extractors were used, and they agree ({FIRST}: won by 17%; {SECOND}: won by 23%)." in reasons
        for name, pair in ((FIRST, "500 for Composition (modern), 600"), (SECOND, "400 for Composition (modern), 520")):
            assert any(reason.startswith(f"FD ({name}) {pair} for {WGAN}") for reason in reasons)


def test_seeds_give_the_spread_and_the_noise() -> None:
    ours, theirs = [480.0, 500.0, 520.0], [570.0, 600.0, 630.0]
    verdict = decide_verdict([composed(500.0, values=ours), baseline(600.0, values=theirs)], bare(900), ONE, resource="seconds")
    assert verdict.headline == (
        f"Composition won by 100 FD (17%) against {WGAN}, at equal total time: "
        "2,000 samples against 1,500 test pictures, ±22.0 and ±33.0 over 3 seeds, noise about 70."
    )
    assert "Means over 3 seeds per arm; differences below about 70 are noise." in verdict.reasons
    apart = decide_verdict([composed(560.0, values=[540.0, 560.0, 580.0]), baseline(600.0, values=theirs)], bare(900), ONE)
    assert apart.outcome == "close"
    one = decide_verdict(AHEAD, bare(900), ONE)
    assert "One seed per arm: another seed could change either number by about 30 (an assumption, not a measurement)." in one.reasons


def other(name: str, fd: float, second: float | None = None, *, values: list[float] | None = None, kid: float | None = None) -> ArmResult:
    by_extractor = {} if second is None else {SECOND: numbers(second)}
    return ArmResult(name, name, "baseline", metrics=numbers(fd, kid), seeds=range(len(values or [0])), by_extractor=by_extractor,
                     values={FIRST: values} if values else {})  # fmt: skip


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        ([other("A", 600.0), other("B", 700.0)], "against every baseline, the best of which is A: "),
        ([other("A", 600.0), other("B", 610.0, kid=0.4)], "against A, though not against B (below): "),  # KID says the opposite
        ([other("A", 600.0), other("B", 620.0, values=[300.0, 600.0, 960.0])], "against A, though not against B (below): "),  # within noise
        ([other("A", 600.0, 600.0), other("B", 700.0, 505.0)], "against A, though not against B (below): "),  # by the other extractor
        ([other("A", 600.0)], "against A: "),
    ],
)
def test_every_baseline_is_said_only_of_those_that_are_beaten(rivals: list[ArmResult], words: str) -> None:
    protocol = BOTH if rivals[0].by_extractor else ONE
    verdict = decide_verdict([composed(500.0, 500.0, kid=0.9), *rivals], [], protocol)
    assert words in verdict.headline or (verdict.outcome == "not comparable" and rivals[0].by_extractor)
    assert ("though not" in verdict.headline) <= any("too close to call" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("rivals", "clauses"),
    [
        # Each extractor finds another baseline the best one, and says the opposite of either.
        ([other("A", 400.0, 750.0), other("B", 750.0, 400.0)], f"{FIRST}: lost by 25%; {SECOND}: won by 33% against A, lost by 25% against B"),
        ([other("A", 600.0, 800.0), other("B", 800.0, 400.0)], f"{FIRST}: won by 17%; {SECOND}: won by 38% against A, lost by 25% against B"),
        ([other("A", 600.0, 800.0), other("B", 800.0, 700.0)], ""),
        ([other("A", 600.0, 490.0), other("B", 800.0, 700.0)], f"{FIRST}: won by 17%; {SECOND}: too close to call"),
    ],
)
def test_extractors_agree_on_the_same_baseline(rivals: list[ArmResult], clauses: str) -> None:
    verdict = decide_verdict([composed(500.0, 500.0), *rivals], [], BOTH)
    assert (verdict.outcome == "not comparable") == bool(clauses)
    assert (f"the extractors disagree ({clauses})" in verdict.headline) == bool(clauses)
    assert any(f"and they {'disagree' if clauses else 'agree'} (" in reason for reason in verdict.reasons)
    if not clauses:
        assert f"2 extractors were used, and they agree ({FIRST}: won by 17%; {SECOND}: won by 38% against A, won by 29% against B)." in verdict.reasons


def test_bare_backgrounds_of_another_number_are_compared_by_kid() -> None:
    """A Fréchet distance falls with the number of pictures, so that few backgrounds would be beaten too easily."""
    few = Anchor("bare_backgrounds", "Bare", {"fd": 900.0, "kid": 0.8, "kid_std": 0.01}, "no object", counts=(87, 1500))
    behind = decide_verdict([composed(500.0, kid=1.0), baseline(600.0)], [few], ONE)
    assert behind.outcome == "not comparable"
    assert f"no arm beats real backgrounds without any object (KID ({FIRST}) 0.800 of 87 backgrounds)" in behind.headline
    ahead = decide_verdict([composed(500.0, kid=0.7), baseline(600.0)], [few], ONE)
    assert ahead.outcome == "won"
    many = Anchor("bare_backgrounds", "Bare", {"fd": 400.0, "kid": 5.0, "kid_std": 0.01}, counts=(2000, 1500))
    assert f"without any object (FD ({FIRST}) 400)" in decide_verdict(AHEAD, [many], ONE).headline


def test_other_numbers_of_pictures_are_named() -> None:
    halves = Anchor("real_halves", "Real halves", numbers(661.0), "two halves", counts=(366, 366))
    pasted = Anchor("real_pasted", "Pasted", numbers(300.0), "perfect layers", counts=(2000, 1500))
    sentence = f"compare KID, as FD ({FIRST}) falls with them."
    assert numbers_table(Comparison("t", AHEAD, protocol=ONE, anchors=[halves, pasted])).caption.endswith(sentence)
    assert sentence not in numbers_table(Comparison("t", AHEAD, protocol=ONE, anchors=[pasted])).caption
    said = caveats(Comparison("t", AHEAD, protocol=ONE, anchors=[halves]))
    assert any("two halves of the real pictures (366 against 366), which are equally good, score 661" in one for one in said)


@pytest.mark.parametrize(
    ("ours", "theirs", "basis", "noise", "trust"),
    [
        ([480.0, 500.0, 520.0], None, "3 seeds (±22.0) against one training, noise about 99",
         "3 seeds against one training: differences below about 99 are noise "
         "(measured over the seeds of one arm, and assumed of the other's one training).",
         ["seeds; for rows without training and for", "Only one training of A was"]),
        ([480.0, 500.0, 520.0], [570.0, 600.0, 630.0], "±22.0 over 3 seeds, noise about 70",
         "Means over 3 seeds per arm; differences below about 70 are noise.", ["seeds; for rows without training it"]),
        (None, None, "one seed per arm, noise assumed to be about 30",
         "One seed per arm: another seed could change either number by about 30 (an assumption, not a measurement).",
         ["its spread over subsets of one set", "Each arm was trained once."]),
    ],
)  # fmt: skip
def test_headline_reasons_and_caveats_count_seeds_alike(
    ours: list[float] | None, theirs: list[float] | None, basis: str, noise: str, trust: list[str]
) -> None:
    diverged = ArmResult("C", "C (diverged)", "baseline", diverged=True, seeds=[2])
    arms = [composed(500.0, values=ours), other("A", 600.0, values=theirs), diverged]
    verdict = decide_verdict(arms, [], ONE)
    assert verdict.headline.endswith(f"{basis}.")
    assert noise in verdict.reasons
    said = [one for one in caveats(Comparison("t", arms, protocol=ONE)) if "±" in one or "trained once" in one or "one training of" in one]
    assert len(said) == len(trust)
    assert all(part in sentence for part, sentence in zip(trust, said, strict=True))


@pytest.mark.parametrize(
    ("seeds", "outcome", "sentence"),
    [
        # An artifact, a run: its own training is as noisy as those of the composition.
        ((0,), "close", "Too close to call against A (6 FD apart): 2,000 samples against 1,500 test pictures, "
         "3 seeds (±22.0) against one training, noise about 9.94."),
        # Pasted layers: nothing is trained, so their distance is exact.
        ((), "won", "Composition won by 6 FD (6%) against A: 2,000 samples against 1,500 test pictures, ±22.0 over 3 seeds, noise about 4.97."),
    ],
)  # fmt: skip
def test_the_one_value_of_a_training_is_not_exact(seeds: tuple[int, ...], outcome: str, sentence: str) -> None:
    rival = ArmResult("A", "A", "baseline", metrics=numbers(106.0, kid=1.2), seeds=seeds, values={FIRST: [106.0]})
    verdict = decide_verdict([composed(100.0, values=[98.0, 100.0, 102.0], kid=1.0), rival], [], ONE)
    assert (verdict.outcome, verdict.headline) == (outcome, sentence)
    # The same beneath another headline.
    best = baseline(50.0, values=[49.0, 50.0, 51.0])
    below = decide_verdict([composed(100.0, values=[98.0, 100.0, 102.0], kid=1.0), best, rival], [], ONE)
    expected = "6 FD (efficientnet-lite0@96) apart, too close to call (noise is about 9.94)" if seeds else "won by 6 FD"
    assert any(reason.startswith(f"Against A: {expected}") for reason in below.reasons), below.reasons


def test_the_stage_alone_stands_below_the_headline() -> None:
    arms = [composed(500.0), baseline(600.0), baseline(1000.0, name="wgan", label=STAGE, length="stage")]
    verdict = decide_verdict(arms, bare(1200), ONE, resource="cpu-seconds")
    assert verdict.headline.startswith(f"Composition won by 100 FD (17%) against {WGAN}, at equal total time")
    (alone,) = [reason for reason in verdict.reasons if reason.startswith("This stage alone, without the pretrainings, by CPU seconds: ")]
    assert alone.endswith(f"against {STAGE}: won by 500 FD ({FIRST}) (1,000; noise is about 50), KID ratio 0.500.")
    assert any("KID agrees: 1.00 against 1.20, ratio 0.833." in reason for reason in verdict.reasons)


def test_the_headline_is_of_all_stages_even_where_less_training_did_better() -> None:
    arms = [composed(500.0), baseline(600.0), baseline(550.0, name="wgan", label=STAGE, length="stage")]
    verdict = decide_verdict(arms, bare(900), ONE, resource="cpu-seconds")
    assert verdict.headline.startswith(f"Composition won by 100 FD (17%) against {WGAN}, at equal total time")
    assert any(reason.startswith("This stage alone") and f"against {STAGE}: won by 50 FD" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("equal", "words"), [("kimg", "kimg"), ("seconds", "time"), ("cpu-seconds", "time (CPU seconds)"), ("macs", "work (tera-MACs)")]
)
def test_the_unit_is_named(equal: str, words: str) -> None:
    assert f", at equal total {words}:" in decide_verdict(AHEAD, bare(900), ONE, resource=equal).headline
    assert "equal" not in decide_verdict([composed(500.0), baseline(600.0, length="")], bare(900), ONE, resource=equal).headline


def test_what_would_help_is_said() -> None:
    few = decide_verdict(AHEAD, bare(900), {**ONE, "split": "train", "samples": 100, "real": 60}).reasons
    assert "To hold out pictures, use `mitlgan data split` or `data prepare`, or put a folder `test` next to `train`." in few
    assert "To measure more samples, use `-n 500`, or better 2000." in few
    assert "To measure against more pictures, hold out 500 scenes in all." in decide_verdict(AHEAD, bare(900), {**ONE, "real": 60}).reasons
    assert "To beat bare backgrounds, train longer." in decide_verdict(AHEAD, bare(10), ONE).reasons


def test_bare_backgrounds_that_are_not_at_hand_are_told() -> None:
    sentence = "Bare backgrounds were not available, so it is unknown whether any arm is better than no object at all."
    assert sentence in decide_verdict(AHEAD, [Anchor("real_halves", "Halves", numbers(90.0))], ONE).reasons
    assert sentence not in decide_verdict(AHEAD, bare(900), ONE).reasons


def test_times_of_all_stages_are_told() -> None:
    cost = Cost([StageCost("fg", 40, 131.0, True), StageCost("bg", 40, 129.0, True), StageCost("composition", 48, 182.0)])
    arms = [ArmResult("composed", "Composition (modern)", "composed", metrics=numbers(500.0), cost=cost)]
    arms.append(ArmResult("wgan", WGAN, "baseline", metrics=numbers(600.0), cost=Cost([StageCost("baseline", 48, 121.0)])))
    assert any(
        "Composition (modern) with its pretraining trained for 7 min 22 s, 3.7 times as long as" in reason for reason in decide_verdict(arms).reasons
    )


def test_what_processors_did_is_told_where_it_is_known() -> None:
    cost = Cost([StageCost("fg", 40, 131.0, True, cpu_seconds=60.0), StageCost("composition", 48, 182.0, cpu_seconds=40.0)])
    arms = [ArmResult("composed", "Composition (modern)", "composed", metrics=numbers(500.0), cost=cost)]
    arms.append(ArmResult("wgan", WGAN, "baseline", metrics=numbers(600.0), cost=Cost([StageCost("baseline", 48, 121.0, cpu_seconds=100.0)])))
    sentence = f"Composition (modern) with its pretraining trained for 1 min 40 s of CPU time, 1.0 times as long as {WGAN} (1 min 40 s)."
    assert sentence in decide_verdict(arms).reasons


@pytest.mark.parametrize(("ours", "theirs", "is_close"), [(3000.0, 3180.0, False), (2660.0, 2798.0, True), (280.0, 294.6, True)])
def test_a_verdict_never_contradicts_the_noise_next_to_it(ours: float, theirs: float, is_close: bool) -> None:
    outcome = decide_verdict([composed(ours), baseline(theirs)], [], {"samples": 2000, "real": 2000, "split": "test"})
    text = " ".join([outcome.headline, *outcome.reasons])
    (difference,) = {float(words.replace(",", "")) for words in re.findall(r"([\d,.]+) FD", outcome.headline)}
    noises = {float(words.replace(",", "")) for words in re.findall(r"about ([\d,]+(?:\.\d+)?)", text)}
    assert noises
    assert all((difference <= noise) == is_close for noise in noises), text


def test_a_short_training_is_not_none_times_as_long() -> None:
    sides = [ArmResult(name, name, "baseline", cost=Cost([StageCost("own", 1.0, seconds)])) for name, seconds in (("C", 2.0), ("B", 3600.0))]
    (sentence,) = verdict._training_time(*sides)
    assert sentence.startswith("C trained for 2.0 s, 0.00056 times as long as B")
