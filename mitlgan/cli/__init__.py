"""The command line: parse, call one function, print. Heavy imports stay inside the commands, so that help is instant."""

from mitlgan.cli.main import main

__all__ = ["main"]
