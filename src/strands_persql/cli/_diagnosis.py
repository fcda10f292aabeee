"""The command that examines a database: doctor."""

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated

import typer
from rich.text import Text

from ..administration.doctor import Finding, examine, mend
from ..administration.values import many
from ._options import Place, Settings, YesOption, confirmed
from ._output import Output, plain, progress
from ._words import in_options

SHOWN = 20
"""Findings of one kind that people are shown; --json has them all."""

_MARKS = {"ok": ("ok", "green"), "info": ("info", "cyan"), "warning": ("warning", "yellow"), "error": ("ERROR", "red")}
_ORDER = {"ok": 0, "info": 1, "warning": 2, "error": 3}


def doctor(
    settings: Settings,
    session: Annotated[
        str | None, typer.Argument(metavar="SESSION", help="Look at this session's rows alone.", show_default=False)
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without a loss; asks first.")] = False,
    yes: YesOption = False,
) -> None:
    """Examine a database: connection, token, layout and every row. Changes nothing without --fix.

    Exit code 1 where an error or a warning is left.
    """
    out = settings.output
    with settings.opened() as place:
        findings = list(_examined(place, session))
        if not out.as_json:
            _show(out, findings)
        mended: list[Finding] = []
        mendable = [finding for finding in findings if finding.mendable]
        if fix and mendable:
            confirmed(f"Mend {len(mendable)} of these? Agents that are writing there get SessionConflictError", yes)
            with progress("mending", len(mendable)) as report:
                mended = mend(place.handle, mendable, table_prefix=place.table_prefix, progress=report)
            findings = list(_examined(place, session))
        if out.as_json:
            out.json(
                {
                    "database": place.name,
                    "findings": [_as_json(finding) for finding in findings],
                    "mended": [_as_json(finding) for finding in mended],
                }
            )
        problems = [finding for finding in findings if finding.severity in ("error", "warning")]
        if not out.as_json:
            _conclude(out, problems, len(mended), fix)
    if problems:
        raise typer.Exit(1)


def _examined(place: Place, session: str | None) -> Iterator[Finding]:
    with progress("looking at rows") as report:
        yield from examine(
            place.handle,
            table_prefix=place.table_prefix,
            session_id=session,
            progress=report,
            encryption=place.encryption,
        )


def _as_json(finding: Finding) -> dict[str, object]:
    names = ("severity", "check", "session_id", "agent_id", "message_id", "what", "remedy", "mendable")
    return {name: getattr(finding, name) for name in names}


def _show(out: Output, findings: list[Finding]) -> None:
    findings = sorted(findings, key=lambda finding: (_ORDER[finding.severity], finding.check))
    for _, group in groupby(findings, key=lambda finding: (finding.severity, finding.check)):
        alike = list(group)
        for finding in alike[:SHOWN]:
            mark, colour = _MARKS[finding.severity]
            lead = Text.assemble((f"{mark:<8}", colour), plain(f"{finding.check:<18} "))
            out.hanging(lead, in_options(f"{finding.where}: {finding.what}"))
            if finding.remedy and finding.severity != "ok":
                out.hanging(" " * 27, Text(plain(in_options(finding.remedy)), style="dim"))
        if len(alike) > SHOWN:
            out.line(f"        … and {len(alike) - SHOWN} more of this kind; --json has them all")


def _conclude(out: Output, problems: list[Finding], mended: int, fix: bool) -> None:
    if mended:
        out.line(f"mended {mended}")
    if not problems:
        out.line("no problems found" if not mended else "no problems left")
        return
    errors = sum(finding.severity == "error" for finding in problems)
    mendable = sum(finding.mendable for finding in problems)
    words = f"{many(errors, 'error')}, {many(len(problems) - errors, 'warning')}" + (" left" if fix else "")
    out.line(words + (f"; --fix mends {mendable} of them" if mendable and not fix else ""))
