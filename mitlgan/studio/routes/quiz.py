"""Quiz: real or fake?"""

from __future__ import annotations

from fastapi import APIRouter, Request

from mitlgan.studio.clients import client_of
from mitlgan.studio.context import OfDesk
from mitlgan.studio.quiz import AnswerRequest, Question, QuizRequest, Told

router = APIRouter(prefix="/api/quiz")


@router.post("")
async def begin(request: Request, asked: QuizRequest, desk: OfDesk) -> Question:
    """A new quiz and its first picture."""
    client = client_of(request.scope.get("client"))
    return await desk.work(request, asked.artifact, lambda loaded, _: desk.quizzes.begin(loaded, client))


@router.post("/{quiz_id}")
async def answer(request: Request, quiz_id: str, asked: AnswerRequest, desk: OfDesk) -> Told:
    """The truth about the picture, the score, and the next picture."""
    artifact_id = desk.quizzes.artifact(quiz_id)
    return await desk.work(request, artifact_id, lambda loaded, _: desk.quizzes.answered(loaded, quiz_id, asked.answer))
