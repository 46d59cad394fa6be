"""People's judgement: which pictures they take for real."""

from mitlgan.study.make import Made, make
from mitlgan.study.score import Score, Share, score, wilson

__all__ = ["Made", "Score", "Share", "make", "score", "wilson"]
