"""`mitlgan.load` and `mitlgan.export`: artifacts in use, and in other formats."""

from mitlgan.artifacts.export import export_artifact
from mitlgan.artifacts.loaded_artifact import load_artifact
from mitlgan.runtime.arguments import takes_arguments

load = takes_arguments()(load_artifact)
export = takes_arguments()(export_artifact)
