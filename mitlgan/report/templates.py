"""Renders the report's templates; every string that they print is escaped and kept to one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from mitlgan.report.formatting import printable


def render(template: str, styles: Sequence[str] = ("page.css",), filters: Mapping[str, Callable[..., str]] | None = None, **values: Any) -> str:
    """Return a page.

    Args:
        template: File name of the template.
        styles: File names of its style sheets, which are put into the page.
        filters: Functions that the template may call.
        values: Variables of the template. Strings may be hostile: they are escaped.
    """
    loader = jinja2.PackageLoader("mitlgan", "report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, finalize=_one_line, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= dict(filters or {})
    style = Markup("".join(loader.get_source(environment, name)[0] for name in styles))
    return environment.get_template(template).render(style=style, **values)


def _one_line(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
