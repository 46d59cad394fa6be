"""Real or fake? What is shown stays secret until it is answered."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.data.demo import demo_pack
from mitlgan.data.open import open_data
from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.data.pack.origin import describe_origin
from mitlgan.data.sources.split_folders import TRAIN
from mitlgan.data.splits import DEMO, find_splits
from mitlgan.errors import MitlganError
from mitlgan.images.encode import encode_png
from mitlgan.images.pixels import to_uint8
from mitlgan.metrics.protocol import to_rgb
from mitlgan.studio.catalogue import ActiveArtifact
from mitlgan.studio.encoding import data_uri
from mitlgan.studio.errors import RequestRefused
from mitlgan.studio.schemas import Id, StrictModel
from mitlgan.study import wilson_interval

MAX_QUIZZES = 10_000
MAX_QUIZZES_PER_CLIENT = 1000
DEMO_SCENES = 500
Truth = Literal["real", "fake"]


class QuizRequest(StrictModel):
    """Whose pictures are to be told from real ones."""

    artifact: Id


class AnswerRequest(StrictModel):
    """What the picture is taken for."""

    answer: Truth


class Question(BaseModel):
    """A picture to be told.

    Attributes:
        quiz: Id of the quiz.
        picture: Data URI.
        asked: Answers so far.
        right: Right ones among them.
        real_pictures: Where real ones come from, in words.
    """

    quiz: str
    picture: str
    asked: int
    right: int
    real_pictures: str


class AnswerResult(BaseModel):
    """The truth about what was answered, the score with it, and the next picture.

    Attributes:
        truth: What it was.
        asked: Answers so far.
        right: Right ones among them.
        interval: 95 % interval of their share (Wilson).
        next: The next picture.
    """

    truth: Truth
    asked: int
    right: int
    interval: tuple[float, float]
    next: Question


@dataclass
class _Quiz:
    client: str
    artifact: str
    truth: Truth
    asked: int = 0
    right: int = 0


class QuizStore:
    """Quizzes that are being taken; when there are too many, the least recently answered goes of the client that has most."""

    def __init__(self) -> None:
        self._quizzes: OrderedDict[str, _Quiz] = OrderedDict()
        self._real: OrderedDict[str, tuple[ImagePack, str]] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, loaded: ActiveArtifact, client: str = "") -> Question:
        """A new quiz and its first picture. For the worker only, as what follows.

        Args:
            loaded: Whose pictures are to be told from real ones.
            client: Who takes it.

        Raises:
            Refused: 422, there are no real pictures to compare with.
        """
        quiz_id = secrets.token_urlsafe(12)
        truth, picture, source = self._next_picture(loaded)
        quiz = _Quiz(client, loaded.id, truth)
        with self._lock:
            self._make_room(client)
            self._quizzes[quiz_id] = quiz
        return Question(quiz=quiz_id, picture=picture, asked=0, right=0, real_pictures=source)

    def artifact_id(self, quiz_id: str) -> str:
        """The artifact that a quiz is about.

        Raises:
            Refused: 404, there is no such quiz.
        """
        return self._quiz(quiz_id).artifact

    def submit_answer(self, loaded: ActiveArtifact, quiz_id: str, answer: Truth) -> AnswerResult:
        """The truth about what was answered, the score, and the next picture.

        Raises:
            Refused: 404, there is no such quiz.
        """
        following, picture, source = self._next_picture(loaded)
        with self._lock:
            quiz = self._quiz(quiz_id)
            self._quizzes.move_to_end(quiz_id)
            truth = quiz.truth
            quiz.asked += 1
            quiz.right += answer == truth
            quiz.truth = following
            question = Question(quiz=quiz_id, picture=picture, asked=quiz.asked, right=quiz.right, real_pictures=source)
            return AnswerResult(truth=truth, asked=quiz.asked, right=quiz.right, interval=wilson_interval(quiz.right, quiz.asked), next=question)

    def _make_room(self, client: str) -> None:
        """Forget a quiz where there are too many: a client's own, or one of the client that has most."""
        counts = Counter(quiz.client for quiz in self._quizzes.values())
        if counts[client] < MAX_QUIZZES_PER_CLIENT and len(self._quizzes) < MAX_QUIZZES:
            return
        most = client if counts[client] >= MAX_QUIZZES_PER_CLIENT else max(counts, key=counts.__getitem__)
        del self._quizzes[next(quiz_id for quiz_id, quiz in self._quizzes.items() if quiz.client == most)]

    def _quiz(self, quiz_id: str) -> _Quiz:
        quiz = self._quizzes.get(quiz_id)
        if quiz is None:
            raise RequestRefused(404, "quiz: there is none of this id, or it was left too long ago; begin another")
        return quiz

    def _next_picture(self, loaded: ActiveArtifact) -> tuple[Truth, str, str]:
        """What the next picture is, the picture, and where real ones come from. Not by the recipe's seed: nobody may guess it."""
        if loaded.id not in self._real:
            while len(self._real) >= 4:
                self._real.popitem(last=False)
            self._real[loaded.id] = real_pictures(loaded.artifact.card)
        real, source = self._real[loaded.id]
        if secrets.randbelow(2):
            return "real", _uncompressed(real.batch([secrets.randbelow(len(real))])[0]), source
        image = loaded.artifact.sample([secrets.randbelow(2**31)])
        return "fake", _uncompressed(to_rgb(to_uint8(image))[0]), source


def real_pictures(card: Card) -> tuple[ImagePack, str]:
    """Real pictures to tell an artifact's from, and what they are: those of the set that it was trained on, held-out ones where there are some.

    Pictures of any other set would ask something else than the artifact can answer: not which are generated, but which are of the other set.

    Raises:
        Refused: 422, they are not at hand, or no longer the same.
    """
    source, role = str(card.data.get("source") or ""), card.role
    name = Path(source).name
    if not source:
        raise RequestRefused(
            422, "quiz: the artifact does not say which pictures it was trained on, so there are no real ones to ask about; choose another"
        )
    try:
        parts = find_splits(source, role).parts
        split = next((split for split in ("test", "validation") if split in parts), TRAIN)
        if source == DEMO:
            real = demo_pack(role, card.size_px, split=split, count=DEMO_SCENES if role == "scene" else None)
        else:
            data = card.recipe.get("data")
            resize = str(data.get("resize", "lanczos")) if isinstance(data, dict) else "lanczos"
            trained = open_data(source, role, card.size_px, resize=resize)
            if trained.content_sha256 != card.data.get("content_sha256"):
                raise RequestRefused(422, f"quiz: the pictures of {name} are no longer those that the artifact was trained on, so none are asked about")
            real = trained if split == TRAIN else open_data(source, role, card.size_px, resize=resize, split=split)
    except MitlganError:
        raise RequestRefused(
            422, f"quiz: the pictures that the artifact was trained on ({name}) are not at hand, so there are no real ones to ask about; choose another"
        ) from None
    return real, f"{describe_origin(source, role)}; {'it was trained on them' if split == TRAIN else f'held out, {split}'}"


def _uncompressed(image: Tensor) -> str:
    """One uint8 picture (3, H, W); nothing but pixels tells one from another, not even how well it compresses."""
    return data_uri(encode_png(image.to(torch.uint8), compress_level=0))
