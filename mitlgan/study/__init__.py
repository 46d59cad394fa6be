"""People's judgement: which pictures they take for real."""

from mitlgan.study.answers import RealnessShare, StudyScore, score_answers, wilson_interval
from mitlgan.study.page import StudyFiles, write_study

__all__ = ["RealnessShare", "StudyFiles", "StudyScore", "score_answers", "wilson_interval", "write_study"]
