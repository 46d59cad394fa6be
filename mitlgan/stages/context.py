"""Where and how a stage works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitlgan.runtime.distributed import World
from mitlgan.runtime.progress import Reporter

if TYPE_CHECKING:
    from mitlgan.networks import Network
    from mitlgan.training.run_directory import Run
    from mitlgan.training.state import TrainingState

RUNS = Path("runs")


@dataclass(frozen=True)
class RunContext:
    """Where and how a stage works.

    Attributes:
        world: This process's rank and device.
        reporter: Shows progress and messages.
        root: Runs are created under it.
        on_stats: Called with the run's directory and each line of its statistics.
        has_data_option: Whether the pictures were named; if not, a training of the demo's says so as it starts.
        on_artifact: Called with the state and the network of each artifact that is kept on the way; its time does not count as training.
        on_end: Called with a run whose training has ended, before it is marked as done: writes what every run leaves besides its artifact.
        device: What the user asked for by `--device`, of which `world` has the outcome.
        threads: CPU threads that the user asked for; None: as many as there are.
    """

    world: World
    reporter: Reporter
    root: Path = RUNS
    on_stats: Callable[[Path, Mapping[str, Any]], None] | None = None
    has_data_option: bool = True
    on_artifact: Callable[[TrainingState, Network], None] | None = None
    on_end: Callable[[Run], object] | None = None
    device: str = "auto"
    threads: int | None = None
