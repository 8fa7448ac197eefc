"""``ctct doctor``."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Examine this installation, and say what is missing.

    It checks versions, runtimes, devices, extras and folders, and names the command that brings
    what is missing. It segments a synthetic cine, whose numbers must come out right. The exit code
    is 0 if all works that ctct predict needs.
    """
    import json
    from dataclasses import asdict

    from ctct.cli.messages import one_line
    from ctct.doctor.checks import examine
    from ctct.errors import RuntimeUnavailableError

    checks = []
    for check in examine():
        checks.append(check)
        if not as_json:
            found = "; ".join(filter(None, (check.found, check.remedy)))
            typer.echo(one_line(f"{check.state:8} {check.topic:24} {found}"))
    works = all(check.state != "error" for check in checks)
    if as_json:
        typer.echo(json.dumps({"works": works, "checks": [asdict(c) for c in checks]}, indent=2))
    else:
        typer.echo(f"ctct predict {'works' if works else 'does not work'} here")
    if not works:
        raise typer.Exit(RuntimeUnavailableError.exit_code)
