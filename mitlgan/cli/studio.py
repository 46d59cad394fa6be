"""studio: the web page on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log


def studio(
    artifacts: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ARTIFACT|RUN|DIR]...", help="What is offered. Default: the shipped artifacts and the finished runs."),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of runs.")] = Path("runs"),
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; beyond this machine only with --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes a free one.", min=0, max=65535)] = 8765,
    token: Annotated[
        str | None, typer.Option("--token", metavar="SECRET", envvar="MITLGAN_STUDIO_TOKEN", help="What a browser must know to be let in.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", metavar="HOST", help="Also answer under this host name, as behind a proxy; repeatable.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    device: options.Device = "auto",
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="CPU threads; one is enough for pictures of 32 px, and leaves the rest to a training.", min=1),
    ] = None,
) -> None:
    """Look, mix, embed and inpaint in the browser, on this machine (extra `studio`)."""
    from importlib.util import find_spec

    from mitlgan.errors import UsageError

    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise UsageError("studio: needs FastAPI and uvicorn; `pip install 'mitlgan[studio]'`")
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.studio import StudioSettings, serve

    options.use_threads(threads or 1)
    settings = StudioSettings(
        artifacts=tuple(artifacts or ()), runs=runs, host=host, token=token, names=tuple(name or ()), device=str(resolve_device(device))
    )  # fmt: skip
    serve(settings, port, on_ready=log, open_browser=open_browser)
