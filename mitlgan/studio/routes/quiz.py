"""Endpoints of the Quiz tab: real or fake?"""

from __future__ import annotations

from fastapi import APIRouter, Request

from mitlgan.studio.clients import client_key
from mitlgan.studio.context import ContextDep
from mitlgan.studio.quiz import AnswerRequest, AnswerResult, Question, QuizRequest

router = APIRouter(prefix="/api/quiz")


@router.post("")
async def begin(request: Request, query: QuizRequest, context: ContextDep) -> Question:
    """Start a quiz and return its first picture."""
    client = client_key(request.scope.get("client"))
    return await context.run_with_artifact(request, query.artifact, lambda loaded, _: context.quizzes.start(loaded, client))


@router.post("/{quiz_id}")
async def answer(request: Request, quiz_id: str, query: AnswerRequest, context: ContextDep) -> AnswerResult:
    """Answer a question; returns the truth, the score and the next picture."""
    artifact_id = context.quizzes.artifact_id(quiz_id)
    return await context.run_with_artifact(request, artifact_id, lambda loaded, _: context.quizzes.submit_answer(loaded, quiz_id, query.answer))
