"""Pictures into latents: embedding by search through a frozen generator or composer, layer by layer."""

from mitlgan.embed.clock import Ended, Progress, Watcher
from mitlgan.embed.embedding import Embedded, embed
from mitlgan.embed.settings import Settings
from mitlgan.embed.targets import read_target, target_of

__all__ = ["Embedded", "Ended", "Progress", "Settings", "Watcher", "embed", "read_target", "target_of"]
