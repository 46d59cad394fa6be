"""The quiz "Real or fake?": its questions and scores. What an image is stays on the server until it is answered."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.encoding import data_uri
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import Id, StrictModel
from mitlgan.study.real_or_fake import MAX_SEEN, draw_secretly, real_images_for, uncompressed_png, wilson_interval

MAX_QUIZZES = 10_000
MAX_QUIZZES_PER_CLIENT = 1000
MAX_OPEN_PACKS = 4
Truth = Literal["real", "fake"]


class QuizRequest(StrictModel):
    """The artifact that the quiz is about."""

    artifact: Id


class AnswerRequest(StrictModel):
    """A player's answer."""

    answer: Truth


class Question(BaseModel):
    """An image to judge.

    Attributes:
        quiz: Id of the quiz.
        picture: Data URI.
        asked: Answers so far.
        right: Correct answers so far.
        real_pictures: Description of the real images.
        real_count: Number of real images that the quiz asks about, each once.
    """

    quiz: str
    picture: str
    asked: int
    right: int
    real_pictures: str
    real_count: int


class AnswerResult(BaseModel):
    """What the answered image was, the score, and the next image.

    Attributes:
        truth: What it was.
        asked: Answers so far.
        right: Correct answers so far.
        interval: 95 % Wilson interval of their share.
        next: The next image; None: all real ones have been asked about, and the quiz is over.
    """

    truth: Truth
    asked: int
    right: int
    interval: tuple[float, float]
    next: Question | None


@dataclass
class _Quiz:
    client: str
    artifact: str
    truth: Truth | None  # None when it is over
    seen_indices: list[int]  # the real pictures that its player saw
    asked: int = 0
    right: int = 0


class QuizStore:
    """Quizzes in progress. If there are too many, the client with the most loses its least recently answered one."""

    def __init__(self) -> None:
        self._quizzes: OrderedDict[str, _Quiz] = OrderedDict()
        self._real: OrderedDict[str, tuple[ImagePack, str]] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, active: ActiveArtifact, client: str = "") -> Question:
        """Start a quiz and return its first question. Call it in the worker only, as `submit_answer`.

        Args:
            active: The artifact whose images are to be told from real ones.
            client: The player.

        Raises:
            UsageError: There are no real images to compare with.
        """
        quiz_id = secrets.token_urlsafe(12)
        quiz = _Quiz(client, active.id, None, seen_indices=[])
        picture = self._next_picture(active, quiz)
        with self._lock:
            self._make_room(client)
            self._quizzes[quiz_id] = quiz
        question = self._question(active, quiz_id, quiz, picture)
        assert question is not None  # of a new player there are pictures left
        return question

    def artifact_id(self, quiz_id: str) -> str:
        """Return the artifact that a quiz is about.

        Raises:
            RequestRefused: 404, there is no such quiz.
        """
        return self._quiz(quiz_id).artifact

    def submit_answer(self, active: ActiveArtifact, quiz_id: str, answer: Truth) -> AnswerResult:
        """Score an answer and return the truth, the score and the next question.

        Raises:
            RequestRefused: 404, there is no such quiz; 409, it is over.
        """
        with self._lock:
            quiz = self._quiz(quiz_id)
            self._quizzes.move_to_end(quiz_id)
        truth = quiz.truth
        if truth is None:
            raise RequestRefused(409, "quiz: is over, all real pictures have been asked about; begin another")
        picture = self._next_picture(active, quiz)
        quiz.asked += 1
        quiz.right += answer == truth
        following = self._question(active, quiz_id, quiz, picture)
        return AnswerResult(truth=truth, asked=quiz.asked, right=quiz.right, interval=wilson_interval(quiz.right, quiz.asked), next=following)

    def _make_room(self, client: str) -> None:
        """Remove one quiz if there are too many: one of the client's own, or of the client that has the most."""
        counts = Counter(quiz.client for quiz in self._quizzes.values())
        if counts[client] < MAX_QUIZZES_PER_CLIENT and len(self._quizzes) < MAX_QUIZZES:
            return
        loser = client if counts[client] >= MAX_QUIZZES_PER_CLIENT else max(counts, key=counts.__getitem__)
        del self._quizzes[next(quiz_id for quiz_id, quiz in self._quizzes.items() if quiz.client == loser)]

    def _quiz(self, quiz_id: str) -> _Quiz:
        quiz = self._quizzes.get(quiz_id)
        if quiz is None:
            raise RequestRefused(404, "quiz: none has this id, or it was abandoned too long ago; begin another")
        return quiz

    def _next_picture(self, active: ActiveArtifact, quiz: _Quiz) -> str | None:
        """Draw the quiz's next image, no real one that was seen, and note what it is; return its data URI, or None at the end."""
        question_image = draw_secretly(active.artifact, self._real_images(active)[0], quiz.seen_indices)
        quiz.truth = None if question_image is None else "real" if question_image[0] else "fake"
        return None if question_image is None else data_uri(uncompressed_png(question_image[1]))

    def _question(self, active: ActiveArtifact, quiz_id: str, quiz: _Quiz, picture: str | None) -> Question | None:
        if picture is None:
            return None
        real, source = self._real_images(active)
        count = min(len(real), MAX_SEEN)
        return Question(quiz=quiz_id, picture=picture, asked=quiz.asked, right=quiz.right, real_pictures=source, real_count=count)

    def _real_images(self, active: ActiveArtifact) -> tuple[ImagePack, str]:
        """Open the artifact's real images, unless they are open; return them and their description."""
        if active.id not in self._real:
            while len(self._real) >= MAX_OPEN_PACKS:
                self._real.popitem(last=False)
            self._real[active.id] = real_images_for(active.artifact.card, active.path)
        return self._real[active.id]
