"""The studio: a local web page with the same functions as the commands. Needs the extra `studio`."""

from mitlgan.studio.app import create_app
from mitlgan.studio.serve import serve
from mitlgan.studio.settings import StudioSettings

__all__ = ["StudioSettings", "create_app", "serve"]
