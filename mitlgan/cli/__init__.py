"""The command line: each command parses, calls one function and prints. Heavy imports stay inside the commands: help is instant."""

from mitlgan.cli.main import main

__all__ = ["main"]
