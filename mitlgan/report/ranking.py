"""A ranking of many runs: one table for each set of pictures, as HTML, Markdown and JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from mitlgan.images.encode import data_uri, encode_image
from mitlgan.report.formatting import DASH, duration, number, probability, share
from mitlgan.report.markdown import table_lines
from mitlgan.report.rank_correlation import RankCorrelation, correlate_ranks
from mitlgan.report.table import Table, TableRow
from mitlgan.report.tables import METRICS, with_std
from mitlgan.report.templates import render
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.runtime.progress import finite

CAVEAT = (
    "The published figures are the sources' own. They cannot be compared with ours, or across sets: they use another feature network (FID is measured "
    "with Inception), other and more pictures, another number of samples,{shortened} and, for Akel's two sets, two scales. They are here only to "
    "compare their order with ours."
)
READING = (
    "KID is the kernel distance: it is 0 for two equal distributions, chance can move it a little below, and its spread is over subsets. "
    "The KID of each row should be read between that "
    "of its own untrained network and that of two halves of the real pictures; 'closed' is the share of this gap that training closed. Each row has "
    "one seed: rows whose spreads overlap cannot be told apart."
)
HEADINGS = (
    "recipe",
    "objective",
    "generator / critic",
    "iterations x batch",
    "time",
    "FD",
    "KID",
    "KID untrained",
    "KID real halves",
    "closed",
    "published",
    "notes",
)
TRAINING_HEADINGS = ("objective", "generator / critic", "iterations x batch", "time")
"""Headings that only the table of the first extractor has."""
MIN_CORRELATED = 4
"""Rows that a correlation of two orders needs."""


@dataclass(frozen=True)
class RankedRun:
    """One run of a ranking.

    Args:
        name: Of its recipe.
        size_px: Size of its pictures.
        channels: Channels of its pictures.
        data: Name of its pictures.
        objective: Its kind.
        networks: Kinds of generator and critic.
        batch: Pictures of one update.
        iterations: Generator updates.
        seconds: Time of training.
        trained: fd, kid, kid_std by the first extractor; empty if it was not measured.
        untrained: The same for the network before its first update.
        real_halves: The same for two halves of the real pictures.
        by_extractor: The same three of each further extractor, by its name and theirs.
        printed: What the recipe's source published for its own run.
        is_whole: Whether its training was as long as its source's.
        notes: What went wrong, with dates.
        run_dir: Its run.
        grid: PNG of its last samples.
        diverged: Whether its training diverged; it is measured, but has no rank.
        split: Split of the real pictures that it was measured against; empty if it was not measured.
        real: Number of those pictures.
        source: Where its pictures are.
        role: Which of them: fg, bg or scene.
        data_sha256: Hash of those that it was measured against; empty if it was not measured.
    """

    name: str
    size_px: int
    channels: int
    data: str
    objective: str
    networks: str
    batch: int
    iterations: int
    seconds: float
    trained: Mapping[str, float]
    untrained: Mapping[str, float]
    real_halves: Mapping[str, float]
    by_extractor: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    printed: str = ""
    is_whole: bool = False
    notes: Sequence[str] = ()
    run_dir: str = ""
    grid: bytes | None = None
    diverged: bool = False
    split: str = ""
    real: int = 0
    source: str = ""
    role: str = ""
    data_sha256: str = ""

    @property
    def kid(self) -> float | None:
        """Its kernel distance, if it was measured."""
        return finite(self.trained.get("kid"))

    @property
    def published(self) -> float | None:
        """The number that the recipe's source published for its own run."""
        words = self.printed.split()
        return float(words[-1]) if words else None

    def by(self, extractor: str) -> RankedRun:
        """Return the row as another extractor measured it."""
        measured = self.by_extractor.get(extractor, {})
        return replace(self, trained=measured.get("trained", {}), untrained=measured.get("untrained", {}), real_halves=measured.get("real_halves", {}))

    @property
    def ranks(self) -> bool:
        """Whether it has a rank: it was measured, and its training did not diverge."""
        return self.kid is not None and not self.diverged

    @property
    def closed(self) -> float | None:
        """Share of the gap between its untrained network and real pictures that its training closed; 1 is all of it."""
        start, end = finite(self.untrained.get("kid")), finite(self.real_halves.get("kid"))
        return None if self.kid is None or start is None or end is None or start <= end else (start - self.kid) / (start - end)

    @property
    def group(self) -> str:
        """Name of the set of pictures in whose table it is."""
        return f"{self.data}, {self.size_px} px, {'grey' if self.channels == 1 else 'colour'}"


def tell_sets_apart(rows: Sequence[RankedRun]) -> list[RankedRun]:
    """Return rows whose `data` differs where their pictures differ: with as much of the path as is needed, or else the role, or the hash.

    Args:
        rows: Of one sweep. One that was not measured goes with those of the same source and role.
    """
    hashes = {(row.source, row.role, row.group): row.data_sha256 for row in rows if row.data_sha256}
    keys = [row.data_sha256 or hashes.get((row.source, row.role, row.group), f"{row.source} {row.role}") for row in rows]
    finer: list[Callable[[RankedRun], str]] = [
        lambda row: _with_path(row, rows), lambda row: f"{row.data}, {row.role}", lambda row: f"{row.data}, {row.role}, set {row.data_sha256[:12]}"
    ]  # fmt: skip
    distinct = list(rows)
    for name_of in finer:
        sets: dict[str, set[str]] = {}
        for row, key in zip(distinct, keys, strict=True):
            sets.setdefault(row.group, set()).add(key)
        distinct = [replace(row, data=name_of(before)) if len(sets[row.group]) > 1 else row for row, before in zip(distinct, rows, strict=True)]
    return distinct


def _with_path(row: RankedRun, rows: Sequence[RankedRun]) -> str:
    """Return the last parts of a row's source that no other source of that name ends with."""
    others = [Path(other.source).parts for other in rows if other.data == row.data and other.source != row.source]
    parts = Path(row.source).parts
    count = next((count for count in range(1, len(parts)) if all(other[-count:] != parts[-count:] for other in others)), len(parts))
    return "/".join(parts[-count:]).replace("//", "/")


@dataclass(frozen=True)
class Ranking:
    """The content of one ranking.

    Args:
        rows: In any order.
        protocol: How all were measured.
        command: The command that made it.
        made_by: Program and version.
    """

    rows: Sequence[RankedRun]
    protocol: Mapping[str, Any]
    command: str
    made_by: str

    def groups(self) -> list[tuple[str, list[RankedRun]]]:
        """Return rows by set of pictures: the best first, then those that diverged, then those that were not measured."""
        return [(name, rows_in_order([row for row in self.rows if row.group == name])) for name in dict.fromkeys(row.group for row in self.rows)]

    @property
    def caveat(self) -> str:
        """What the published figures are worth here; they are of the full length of training, which rows may not have. Empty if no row has one."""
        published = [row for row in self.rows if row.printed]
        if not published:
            return ""
        is_whole = all(row.is_whole for row in published)
        return CAVEAT.format(shortened="" if is_whole else " the full length of training,")

    @property
    def extractors(self) -> list[str]:
        """Names of the extractors, the first one first."""
        return list(self.protocol.get("extractors") or [str(self.protocol["extractor"])])

    def views(self, rows: Sequence[RankedRun]) -> list[tuple[str, list[RankedRun]]]:
        """Return the rows of one set of pictures in the order of each extractor, by its name."""
        first, *further = self.extractors
        return [(first, list(rows)), *((name, rows_in_order([row.by(name) for row in rows])) for name in further)]


class RankingPaths(NamedTuple):
    """Files of a ranking."""

    html: Path
    md: Path
    json: Path


def write_ranking(out: Path, ranking: Ranking) -> RankingPaths:
    """Write `ranking.html` (self-contained), `ranking.md` and `ranking.json`.

    Raises:
        ResourceError: The folder cannot be written.
    """
    ensure_folder(out)
    paths = RankingPaths(out / "ranking.html", out / "ranking.md", out / "ranking.json")
    texts = (_html(ranking), ranking_markdown(ranking), json.dumps(ranking_summary(ranking), indent=2, allow_nan=False) + "\n")
    for path, text in zip(paths, texts, strict=True):
        write_atomically(path, text)
    return paths


def rows_in_order(rows: Sequence[RankedRun]) -> list[RankedRun]:
    """Return rows by KID: the best first, then those that diverged, then those that were not measured."""
    return sorted(rows, key=lambda row: (row.kid is None, row.diverged, row.kid or 0.0, row.name))


def correlate_with_published(rows: Sequence[RankedRun]) -> RankCorrelation | None:
    """Return how alike the order by KID and that of the published figures are; None for fewer than `MIN_CORRELATED` rows that have both."""
    pairs = [(row.kid, row.published) for row in rows if row.kid is not None and row.ranks and row.published is not None]
    return None if len(pairs) < MIN_CORRELATED else correlate_ranks([kid for kid, _ in pairs], [figure for _, figure in pairs])


def correlation_sentence(rows: Sequence[RankedRun]) -> str:
    """Return the comparison with the published order in words; empty if there are too few rows."""
    correlation = correlate_with_published(rows)
    if correlation is None:
        return ""
    return (
        f"Order by KID against that of the published figures: Spearman's rank correlation {correlation.spearman:.2f} "
        f"({probability(correlation.p_value)}, {correlation.rows} rows); 1 is the same order, 0 none, -1 the reverse."
    )


def ranking_table(rows: Sequence[RankedRun], *, is_first: bool = True) -> Table:
    """Return the table of one set of pictures, with ranks as row headings; that of a further extractor repeats nothing about the training."""
    keys = [index for index, heading in enumerate(HEADINGS) if is_first or heading not in TRAINING_HEADINGS]
    cells = [[_cells(row)[index] for index in keys] for row in rows]
    ranks = [str(rank) if row.ranks else DASH for rank, row in enumerate(rows, start=1)]
    return Table("", [HEADINGS[index] for index in keys], [TableRow(rank, "", line, None) for rank, line in zip(ranks, cells, strict=True)])


def _cells(row: RankedRun) -> list[str]:
    kid = METRICS[1]
    return [
        row.name, row.objective, row.networks, f"{row.iterations:,} x {row.batch}", duration(row.seconds), number(row.trained.get("fd")),
        with_std(row.trained, kid), *(number(metrics.get("kid"), kid.report_decimals) for metrics in (row.untrained, row.real_halves)),
        DASH if row.closed is None else share(row.closed), row.printed or DASH, "; ".join(row.notes),
    ]  # fmt: skip


def ranking_summary(ranking: Ranking) -> dict[str, Any]:
    """Return the ranking's numbers as JSON values."""
    groups = {name: [_row_summary(row, rank) for rank, row in enumerate(rows, start=1)] for name, rows in ranking.groups()}
    correlations = {name: {by: correlate_with_published(view) for by, view in ranking.views(rows)} for name, rows in ranking.groups()}
    orders = {name: {by: value and value._asdict() for by, value in values.items()} for name, values in correlations.items()}
    return {
        "groups": groups,
        "rank_correlations": orders,
        "protocol": dict(ranking.protocol),
        "command": ranking.command,
        "made_by": ranking.made_by,
        "caveat": ranking.caveat,
    }


def _row_summary(row: RankedRun, rank: int) -> dict[str, Any]:
    values = asdict(row)
    del values["grid"]
    return {**values, "closed": row.closed, "place": rank if row.ranks else None}


def ranking_markdown(ranking: Ranking) -> str:
    """Return the tables as Markdown."""
    lines = ["# Ranking", "", READING, "", *([ranking.caveat, ""] if ranking.caveat else [])]
    for name, rows in ranking.groups():
        lines += [f"## {name}", ""]
        for heading, table, sentence in _tables(ranking, rows):
            lines += [*([f"### {heading}", ""] if heading else []), *table_lines(table), "", *([sentence, ""] if sentence else [])]
    return "\n".join([*lines, _protocol_sentence(ranking), "", f"`{ranking.command}`", "", ranking.made_by, ""])


def _tables(ranking: Ranking, rows: Sequence[RankedRun]) -> list[tuple[str, Table, str]]:
    """Return the tables of one set of pictures: heading, empty if there is one extractor, table, and comparison with the published order."""
    views = ranking.views(rows)
    return [
        (f"By {name}" if len(views) > 1 else "", ranking_table(view, is_first=number == 0), correlation_sentence(view))
        for number, (name, view) in enumerate(views)
    ]


def _protocol_sentence(ranking: Ranking) -> str:
    protocol = ranking.protocol
    sets = dict.fromkeys(f"{row.real:,} real {row.split} pictures of {row.data}" for row in ranking.rows if row.split)
    real = " against " + ", ".join(sets) if sets else f", split {protocol['split']}"
    return f"Measured by {' and '.join(ranking.extractors)}, {protocol['samples']} samples{real}, seed {protocol['seed']}."


def _html(ranking: Ranking) -> str:
    groups = [(name, _tables(ranking, rows), [(row.name, _grid_uri(row)) for row in rows]) for name, rows in ranking.groups()]
    return render(
        "ranking.html.j2", groups=groups, reading=READING, caveat=ranking.caveat, measured=_protocol_sentence(ranking), command=ranking.command,
        made_by=ranking.made_by,
    )  # fmt: skip


def _grid_uri(row: RankedRun) -> str:
    """Return the grid as a small WebP: a page of many shows what each is like, and the run keeps the PNG."""
    if row.grid is None:
        return ""
    with Image.open(io.BytesIO(row.grid)) as picture:
        return data_uri(encode_image(picture.convert("RGB"), "WEBP", quality=80, method=6), "webp")
