"""`mitlgan studio`: the web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log


def studio(
    artifacts: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ARTIFACT|RUN|DIR]...", help="Artifacts to offer. Default: the shipped ones and the finished runs."),
    ] = None,
    runs: Annotated[
        Path, typer.Option("--runs", "--out", metavar="DIR", help="Folder of runs; its newest composition with movable layers opens.")
    ] = Path("runs"),
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="DIR", help="Pictures, or what `data split` wrote, to train on from the page; repeatable.")
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; other machines need --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="Port; 0 picks a free one.", min=0, max=65535)] = 8765,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="SECRET", envvar="MITLGAN_STUDIO_TOKEN", help="Secret that a browser must give; at least 16 characters."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Host name by which browsers reach it behind a proxy, which must pass on Host; repeatable."),
    ] = None,
    docs: Annotated[
        bool | None, typer.Option("--docs/--no-docs", help="Page of the REST API, at /docs. Default: only if no other machine can connect.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    device: options.Device = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="CPU threads. One is enough at 32 px.", min=1, max=1024),
    ] = None,
) -> None:
    """Open the studio: sample, edit, train in a browser.

    Runs on this machine; needs the extra `studio`.
    """
    from importlib.util import find_spec

    from mitlgan.errors import UsageError

    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise UsageError("studio: needs FastAPI and uvicorn; `pip install 'mitlgan[studio]'`")
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.studio import StudioSettings, serve
    from mitlgan.studio.training_sets import empty_folders

    options.use_threads(threads or 1)
    settings = StudioSettings(
        artifacts=tuple(artifacts or ()), runs=_folder_of_runs(runs), data=tuple(data or ()), host=host, token=token, names=tuple(name or ()),
        docs=docs, device=str(resolve_device(device)),
    )  # fmt: skip
    for folder in empty_folders(settings.data):
        log(f"--data {folder}: holds no pictures yet; put some there before you train")
    serve(settings, port, on_ready=log, open_browser=open_browser)


def _folder_of_runs(runs: Path) -> Path:
    """Return the folder; that of the newest project of `make` where the default has no run."""
    from mitlgan.artifacts.known_artifacts import RUNS, run_folders
    from mitlgan.training.run_directory import list_runs

    if runs != RUNS or list_runs(runs):
        return runs
    project = next((folder for folder in run_folders()[1:] if list_runs(folder)), None)
    if project is not None:
        log(f"--runs: {project}, since {runs} has no run")
    return project or runs
