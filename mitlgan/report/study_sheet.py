"""A sheet of a study's pictures, each with how often it was taken for real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mitlgan.report.contact_sheets import Fact, SheetCell, SheetPage, SheetSection, write_sheet
from mitlgan.study import StudyScore


def write_study_sheet(path: Path, score: StudyScore, uris: Sequence[str]) -> Path:
    """Write the pictures of each arm, the most convincing first, with their realness.

    Args:
        path: The page.
        score: Result of the study.
        uris: data: URI of each picture, in the study's order.

    Raises:
        ResourceError: The file cannot be written.
    """
    pictures = list(zip(score.pictures, uris, strict=True))
    sections = []
    for name, share in score.arms.items():
        of_arm = sorted((pair for pair in pictures if pair[0]["arm"] == name), key=lambda pair: -(pair[0]["realness"] or 0.0))
        cells = [SheetCell(uri, str(picture["source"]), picture_text(picture)) for picture, uri in of_arm]
        sections.append(SheetSection(name, f"Taken for real in {_percent(share.realness)} of {share.answers} answers.", cells, explained=True))
    facts = [Fact(f"{score.participants} participants; a picture has {_answers(score.pictures)}.")]
    page = SheetPage("Study", "Real or fake", "How real each picture looks", facts, sections=sections, curated=False)
    return write_sheet(path, page, is_new=True)


def picture_text(picture: dict[str, Any]) -> str:
    """Return how often a picture was taken for real: `67 % (2 of 3)`."""
    return f"{_percent(picture['realness'])} ({picture['real']} of {picture['answers']})"


def _percent(realness: float | None) -> str:
    return "no answer" if realness is None else f"{100 * realness:.0f} %"


def _answers(pictures: Sequence[dict[str, Any]]) -> str:
    counts = [int(picture["answers"]) for picture in pictures]
    least, most = min(counts), max(counts)
    return f"{least} answers" if least == most else f"{least} to {most} answers"
