"""Inversion of pictures into latents of a frozen generator or composer; a composition is decomposed into its layers."""

from mitlgan.inversion.embed import InversionResult, embed
from mitlgan.inversion.progress import InversionStatus, StatusCallback, StopReason
from mitlgan.inversion.settings import InversionSettings
from mitlgan.inversion.targets import read_target

__all__ = ["InversionResult", "InversionSettings", "InversionStatus", "StatusCallback", "StopReason", "embed", "read_target"]
