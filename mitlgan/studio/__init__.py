"""The studio: a local web page over the same functions as the commands. Needs the extra `studio`."""

from mitlgan.studio.app import create_app
from mitlgan.studio.serve import serve
from mitlgan.studio.settings import Settings

__all__ = ["Settings", "create_app", "serve"]
