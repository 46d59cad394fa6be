"""Print the lowest versions that a pyproject.toml declares, as pip's constraints: `python lowest_versions.py pyproject.toml`."""

import re
import sys
import tomllib
from pathlib import Path


def lowest_versions(project: dict[str, object]) -> list[str]:
    """Each requirement `name>=version` as `name==version`, of the package and of its extra `dev`, in order.

    Raises:
        ValueError: A requirement has no lowest version.
    """
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["dev"]]
    matches = {text: re.match(r"([\w.-]+)(?:>=|==)([\w.]+)", text) for text in requirements}
    if without := [text for text, match in matches.items() if not match]:
        raise ValueError(f"no lowest version: {', '.join(without)}")
    return [f"{match[1]}=={match[2]}" for match in matches.values() if match]


if __name__ == "__main__":
    print("\n".join(lowest_versions(tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"])))
