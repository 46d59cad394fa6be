"""`mitlgan study make|score`: ask people which pictures are real."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options, score_options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_file, new_folder

app = options.group("Ask people which pictures are real.")


@app.command()
def make(
    arms: Annotated[list[str], typer.Argument(metavar="NAME=ARTIFACT...", help="Artifacts to judge, by names that participants never see.")],
    data: options.Data = None,
    split: options.TestSplit = None,
    each: Annotated[int, typer.Option("--each", metavar="N", help="Pictures per arm, and real pictures.", min=1, max=1000)] = 20,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed.", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of study.html and key.json, new or empty. Default: study, numbered if it is there."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a page of real and generated pictures.

    The order is random; the key says which is which.
    """
    from mitlgan.artifacts.loaded_artifact import load_artifact
    from mitlgan.data.pack.origin import describe_origin
    from mitlgan.data.splits import DEMO
    from mitlgan.study import write_study

    out = new_folder(out, "study")
    paths = options.named_artifacts(arms, "study make", "wgan=runs/pretrain/scene-001")
    loaded = {name: load_artifact(path) for name, path in paths.items()}
    first, artifact = next(iter(loaded.items()))
    recipe = score_options.recipe_with_data(artifact.card, Path(paths[first]), data)
    card = next(iter(loaded.values())).card if len(loaded) == 1 else None
    real, split_name = score_options.real_pictures(recipe, card, split, "test")
    # A folder's name may be the answer ("real-shoes"), so participants are told of the demo's pictures only.
    origin_text = describe_origin(DEMO, recipe.role) if recipe.data.source == DEMO else ""
    study = write_study(out, loaded, real, each=each, seed=seed, origin=origin_text, split=split_name)
    values = {"page": str(study.page), "key": str(study.key), "pictures": study.pictures, "real": each, "split": split_name}
    text = f"{study.page}: {study.pictures} pictures, {each} real ones of {split_name} among them; keep {study.key} from participants"
    print_result(as_json, values, text)


@app.command()
def score(
    context: typer.Context,
    key: Annotated[Path, typer.Argument(metavar="KEY", help="The study's key.json.")],
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWERS...", help="Files that participants saved.")],
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also write a page of all pictures with their realness.")] = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="For --sheet: the study's page, if it is not next to KEY.")] = None,
    as_json: options.Json = False,
) -> None:
    """Score the answers: how real each picture and arm looks.

    With 95 % Wilson intervals.
    """
    from mitlgan.report.study_sheet import picture_text, write_study_sheet
    from mitlgan.study import read_pictures, score_answers

    claim_file(sheet, "--sheet")
    if sheet is None:
        options.refuse_given(context, ("page",), "is for --sheet; give that, too, or leave it out")
    scores = score_answers(key, answers)
    values = scores.as_json()
    if scores.repeated:
        log(f"files left out: {scores.repeated}; of several files of one participant, that which was saved last counts")
    if sheet is not None:
        values["sheet"] = str(write_study_sheet(sheet, scores, read_pictures(page or key.parent / "study.html", key)))
    lines = [f"{'arm':<24}{'realness':>10}{'95 % interval':>18}{'answers':>10}"]
    for name, share in scores.arms.items():
        percent = "-" if share.realness is None else f"{share.realness:.1%}"
        lines.append(f"{name:<24}{percent:>10}{f'{share.low:.1%} to {share.high:.1%}':>18}{share.answers:>10}")
    lines += ["", f"{'picture':<24}{'source':<20}realness"]
    lines += [
        f"{index:<3} {picture['arm']:<20}{picture['source']:<20}{picture_text(picture)}" for index, picture in enumerate(scores.pictures, start=1)
    ]
    lines.append(f"participants: {scores.participants}; the intervals take answers for independent, which those of one person are not quite")
    print_result(as_json, values, "\n".join(lines + ([str(sheet)] if sheet else [])))
