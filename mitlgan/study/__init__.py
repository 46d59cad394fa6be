"""People's judgement: which pictures they take for real."""

from mitlgan.study.answers import Score, Share, score, wilson
from mitlgan.study.page import Made, make

__all__ = ["Made", "Score", "Share", "make", "score", "wilson"]
