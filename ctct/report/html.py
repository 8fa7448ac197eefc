"""HTML from the Jinja templates of a package; every value is escaped where it enters a page."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, /, package: str = "ctct.report", **values: object) -> Markup:
    """Fill in a template.

    Args:
        template: its file name.
        package: the package whose folder ``templates`` holds it.
        values: the template's variables. :class:`~markupsafe.Markup` is taken as it is, any other
            text is escaped.

    Raises:
        jinja2.UndefinedError: the template uses a variable that ``values`` lacks.
    """
    return Markup(_environment(package).get_template(template).render(values))


def number(value: float | None, digits: int = 1) -> str:
    """A number for reading; a dash for None, NaN and infinity."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def read_script(name: str) -> Markup:
    """A script among the report's templates, for ``script`` of ``page.html``, which lets it run."""
    source = _environment("ctct.report").get_template(name).render()
    return Markup(source)


def _sha256(text: str) -> str:
    """As a Content-Security-Policy names a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment(package: str) -> Environment:
    """Templates of ``package`` and of the report, which lends its page, style and macros."""
    # Imported late: most commands write no page.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = dict.fromkeys((package, "ctct.report"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["sha256"] = _sha256
    return environment
