"""Pictures into latents: embedding by search through a frozen generator or composer, layer by layer."""

from mitlgan.inversion.embed import Embedded, embed
from mitlgan.inversion.progress import Ended, Progress, Watcher
from mitlgan.inversion.settings import Settings
from mitlgan.inversion.targets import read_target

__all__ = ["Embedded", "Ended", "Progress", "Settings", "Watcher", "embed", "read_target"]
