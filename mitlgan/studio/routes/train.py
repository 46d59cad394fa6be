"""Endpoints of the Train tab: training runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from mitlgan.studio.context import ContextDep
from mitlgan.studio.encoding import PNG
from mitlgan.studio.runs import RunAnswer, RunBrowser

REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A report is one file with its styles and pictures in it: it needs nothing else, and may load nothing else."""
router = APIRouter(prefix="/api/runs")


@router.get("")
def list_runs(context: ContextDep) -> list[RunAnswer]:
    """List all runs, the most recently written first."""
    return RunBrowser(context.settings.runs).list_runs()


@router.get("/{run_id}/stats")
def stats(context: ContextDep, run_id: str, after: Annotated[int, Query(ge=-1, le=2**53)] = -1) -> list[dict[str, Any]]:
    """Return statistics after an iteration."""
    return RunBrowser(context.settings.runs).stats(run_id, after)


@router.get("/{run_id}/snapshot/{number}.png")
def snapshot(context: ContextDep, run_id: str, number: int) -> Response:
    """Return a snapshot: a grid of fixed latents at some time of the training."""
    return Response(RunBrowser(context.settings.runs).snapshot(run_id, number), media_type=PNG)


@router.get("/{run_id}/report")
def report(context: ContextDep, run_id: str) -> Response:
    """Return the report of a run."""
    page = RunBrowser(context.settings.runs).report(run_id)
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)
