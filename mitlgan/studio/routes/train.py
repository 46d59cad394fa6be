"""Endpoints of the Train tab: training runs, and trainings of the studio's own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from mitlgan.studio.context import ContextDep, StudioContext
from mitlgan.studio.encoding import PNG
from mitlgan.studio.runs import RunAnswer, RunBrowser, describe_run
from mitlgan.studio.training_plan import (
    CurrentTraining,
    ResumeRequest,
    SetAnswer,
    StartRequest,
    StopRequest,
    TrainingAnswer,
    describe_recipes,
    plan_start,
)
from mitlgan.training.run_directory import Run

REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A report is one file with its styles and pictures in it: it needs nothing else, and may load nothing else."""
RESUMABLE_STATES = ("stopped", "stopped (killed)", "failed")
router = APIRouter(prefix="/api")


@router.get("/runs")
def list_runs(context: ContextDep) -> list[RunAnswer]:
    """List all runs, the most recently written first."""
    runs = RunBrowser(context.settings.runs).by_id()
    return [_with_links(context, run, describe_run(run_id, run)) for run_id, run in runs.items()]


@router.get("/runs/{run_id}/stats")
def stats(context: ContextDep, run_id: str, after: Annotated[int, Query(ge=-1, le=2**53)] = -1) -> list[dict[str, Any]]:
    """Return statistics after an iteration."""
    return RunBrowser(context.settings.runs).stats(run_id, after)


@router.get("/runs/{run_id}/snapshot/{number}.png")
def snapshot(context: ContextDep, run_id: str, number: float) -> Response:
    """Return a snapshot: a grid of fixed latents at some time of the training."""
    return Response(RunBrowser(context.settings.runs).snapshot(run_id, number), media_type=PNG)


@router.get("/runs/{run_id}/report")
def report(context: ContextDep, run_id: str) -> Response:
    """Return the report of a run."""
    page = RunBrowser(context.settings.runs).report(run_id)
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/training")
def training(context: ContextDep) -> TrainingAnswer:
    """Return what can be trained, and what is being trained."""
    sets = [SetAnswer(id=one.id, name=one.name, roles=list(one.sources)) for one in context.trainer.sets.values()]
    return TrainingAnswer(sets=sets, recipes=describe_recipes() if sets else [], current=_current(context))


@router.post("/training", status_code=202)
def start(context: ContextDep, query: StartRequest) -> CurrentTraining | None:
    """Start a training on pictures that the studio was started with."""
    context.trainer.begin(plan_start(query, context.trainer.sets, lambda artifact_id: context.catalogue.entry(artifact_id).path))
    return _current(context)


@router.post("/training/resume", status_code=202)
def resume(context: ContextDep, query: ResumeRequest) -> CurrentTraining | None:
    """Continue a run that was stopped, or end it at its newest checkpoint."""
    context.trainer.begin(context.trainer.plan_resume(RunBrowser(context.settings.runs).find(query.run), end=query.end))
    return _current(context)


@router.post("/training/stop", status_code=202)
def stop(context: ContextDep, query: StopRequest | None = None) -> CurrentTraining | None:
    """Let the training save and end."""
    context.trainer.stop(None if query is None else query.number)
    return _current(context)


def _current(context: StudioContext) -> CurrentTraining | None:
    return context.trainer.describe({run.path: run_id for run_id, run in RunBrowser(context.settings.runs).by_id().items()})


def _with_links(context: StudioContext, run: Run, answer: RunAnswer) -> RunAnswer:
    artifact = run.artifact_file
    can_resume = artifact is None and answer.status in RESUMABLE_STATES and context.trainer.trains_on_offer(run)
    return answer.model_copy(update={"artifact": context.catalogue.id_of(artifact), "can_resume": can_resume})
