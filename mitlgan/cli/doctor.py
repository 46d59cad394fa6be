"""`mitlgan doctor`: what this machine offers."""

from __future__ import annotations

from mitlgan.cli import options
from mitlgan.cli.output import print_result


def doctor(as_json: options.Json = False) -> None:
    """Check this machine: device, speed, what is missing."""
    from mitlgan.doctor import examine

    facts = examine()
    print_result(as_json, facts, "\n".join(f"{key:<24} {value}" for key, value in facts.items()))
