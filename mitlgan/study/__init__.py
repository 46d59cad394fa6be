"""Human evaluation: which images people take for real."""

from mitlgan.study.answers import StudyScore, read_pictures, score_answers
from mitlgan.study.page import StudyFiles, write_study
from mitlgan.study.real_or_fake import RealnessShare, wilson_interval

__all__ = ["RealnessShare", "StudyFiles", "StudyScore", "read_pictures", "score_answers", "wilson_interval", "write_study"]
