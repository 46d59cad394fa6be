"""Human evaluation: which images people take for real."""

from mitlgan.study.answers import StudyScore, score_answers
from mitlgan.study.page import StudyFiles, write_study
from mitlgan.study.real_or_fake import RealnessShare, wilson_interval

__all__ = ["RealnessShare", "StudyFiles", "StudyScore", "score_answers", "wilson_interval", "write_study"]
