"""The commands that read: sessions, show, search, usage."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown
from rich.rule import Rule
from rich.text import Text

from ..administration.nodes import nodes_of
from ..administration.results import Expiry, SessionDetail, SessionPage, SessionSummary, TranscriptMessage, Usage
from ..administration.sessions import PerSQLSessions
from ..administration.values import many
from ..administration.viewer.parts import tokens
from ..client import is_link, whole
from ._messages import message_text
from ._options import Problem, SessionArgument, Settings, when
from ._output import Output, ago, in_utf8, plain, size, span


def sessions(
    settings: Settings,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Only this user's.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only those with this tag.")] = None,
    copies_of: Annotated[
        str | None, typer.Option("--copies-of", metavar="SESSION", help="Only those that were forked from this one.")
    ] = None,
    recent: Annotated[bool, typer.Option("--recent", help="The newest first, instead of by their ids.")] = False,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only ids that begin with it.")] = "",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Last active then or later: 7d, 12h, 2025-01-31 …")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Last active before then.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="The most sessions.")] = 50,
    after: Annotated[str | None, typer.Option("--after", metavar="WHERE", help="Go on where a page ended.")] = None,
    bytes_: Annotated[bool, typer.Option("--bytes", help="Add up their bytes, which reads all their rows.")] = False,
) -> None:
    """List sessions, a page at a time."""
    out = settings.output
    first = None if since is None else when(since, "--since")
    last = None if until is None else when(until, "--until")
    with settings.opened() as place:
        read = partial(
            place.sessions.list,
            user=user,
            tag=tag,
            copy_of=copies_of,
            order="recent" if recent else "id",
            prefix=prefix,
            since=first,
            until=last,
            bytes=bytes_,
        )
        found, more = _listed(read, limit, after)
    if out.as_json:
        out.json({"sessions": found, "after": more})
        return
    columns = ["SESSION", "LAST ACTIVE", "CREATED", "AGENTS", "GRAPHS", "MESSAGES"] + (["BYTES"] if bytes_ else [])
    columns += ["USER", "TITLE", "EXPIRES"]
    right = ("AGENTS", "GRAPHS", "MESSAGES", "BYTES")
    out.table(columns, (_line(out, each, bytes_) for each in found), right=right)
    if not found:
        out.note("no sessions")
    if more is not None:
        out.note(f"there are more: --after {more}")


def _listed(read: Callable[..., SessionPage], limit: int, after: str | None) -> tuple[list[SessionSummary], str | None]:
    """As many sessions as asked for, and where to go on. Limited by times, a page may be short although more follow."""
    found: list[SessionSummary] = []
    while True:
        page = read(limit=limit - len(found), after=after)
        found += page.sessions
        after = page.after
        if after is None or len(found) >= limit:
            return found, after


def _line(out: Output, each: SessionSummary, with_bytes: bool) -> list[str]:
    times = [each.last_active, each.created_at]
    shown = [ago(time) for time in times] if out.is_terminal else times
    expires = "" if each.expiry is None else _until(out, each.expiry)
    sizes = [size(each.bytes) if out.is_terminal else str(each.bytes)] if with_bytes else []
    counts = [str(count) for count in (each.agents, each.multi_agents, each.messages - each.taken_back)]
    return [each.session_id, *shown, *counts, *sizes, each.user or "", each.title, expires]


def _until(out: Output, expiry: Expiry) -> str:
    return expiry.at[:16].replace("T", " ") if out.is_terminal else expiry.at


def show(
    settings: Settings,
    session: SessionArgument,
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", metavar="AGENT", help="This agent alone; by default all.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Only what the model sees.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Tool inputs and results in full length.")] = False,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page instead; - for stdout.")
    ] = None,
) -> None:
    """Show a session as a chat. Messages that the model no longer sees are dimmed, and marked with ~."""
    out = settings.output
    if html is not None and (out.as_json or agent is not None or live or full):
        raise typer.BadParameter("the page holds the whole session: use it without other options", param_hint="--html")
    with settings.opened() as place:
        if html is not None:
            _write_html(out, place.sessions, session, html)
            return
        detail = place.sessions.get(session)
        read = partial(place.sessions.transcript, session, live=live)
        messages = chain.from_iterable(read(agent))
        if out.as_json:
            _show_json(out, detail, messages)
        else:
            _show(out, detail, messages, full=full)
            if agent is None:
                _show_nodes(out, detail, full=full)


def _write_html(out: Output, face: PerSQLSessions, session_id: str, target: str) -> None:
    from ..administration.viewer import write_session_html

    if target == "-":
        write_session_html(face, session_id, in_utf8(sys.stdout))
        return
    path = Path(target)
    face.get(session_id)  # raises before a file is made
    if not path.parent.is_dir():
        raise Problem(f"there is no folder {path.parent}; make it first, or name another file for the page")
    if is_link(path) or (path.exists() and not _is_page(path)):
        raise Problem(
            f"{target} is a link, or holds something else than a page; name another file. Nothing was written"
        )
    with whole(target, over=True) as part, open(part, "w", encoding="utf-8", newline="") as file:
        write_session_html(face, session_id, file)
    out.line(f"{session_id} written to {target}")


def _is_page(path: Path) -> bool:
    """Whether a file may be overwritten: it is empty, or a page of an earlier call."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_PAGE)).lower() in (b"", _PAGE)


def _show_json(out: Output, detail: SessionDetail, messages: Iterator[TranscriptMessage]) -> None:
    """One document, written message by message: a transcript may be longer than memory."""
    first = next(messages, None)  # an error comes before any output
    out.write(f'{{"session":{out.encoded(detail)},"messages":[')
    if first is not None:
        out.write(out.encoded(first))
    for message in messages:
        out.write("," + out.encoded(message))
    out.write("]}\n")


def _show(out: Output, detail: SessionDetail, messages: Iterable[TranscriptMessage], *, full: bool) -> None:
    out.line(
        f"{detail.session_id}: {many(len(detail.agents), 'agent')}, created {ago(detail.created_at)}, "
        f"last active {ago(detail.last_active)}"
    )
    named = {"title": detail.title, "user": detail.user, "tags": ", ".join(detail.tags), "copy of": detail.copy_of}
    for name, value in named.items():
        if value:
            out.hanging(f"  {name}: ", value)
    if detail.expiry is not None:
        counted = "its last activity" if detail.expiry.sliding else "it was set"
        out.line(f"  expires: {_until(out, detail.expiry)}, {span(detail.expiry.seconds)} after {counted}")
    if detail.metadata:
        out.hanging("  metadata: ", out.encoded(detail.metadata))
    for each in detail.multi_agents:
        out.hanging(f"  {each.multi_agent_id}: ", f"{each.status}; nodes {', '.join(each.nodes) or 'none yet'}")
    agent_id: str | None = None
    seen = (True, False)
    for message in messages:
        if message.agent_id != agent_id:
            agent_id, seen = message.agent_id, (True, False)
            out.line()
            _rule(out, f"agent {agent_id}", "bold")
        if (message.live, message.taken_back) != seen:
            seen = (message.live, message.taken_back)
            if message.live:
                _rule(out, "the model sees from here", "cyan")
            elif message.taken_back:
                _rule(out, "taken back: the history was set back to before these", "dim")
            else:
                _rule(out, "trimmed: the model does not see these", "dim")
        _show_message(out, message, full=full)


def _show_nodes(out: Output, detail: SessionDetail, *, full: bool) -> None:
    """What Graphs and Swarms keep of the nodes that are no agents of the session."""
    stored = {agent.agent_id for agent in detail.agents}
    for name, node in nodes_of(detail.multi_agents, without=stored).items():
        out.line()
        _rule(out, f"node {name}: the result that its Graph or Swarm keeps", "bold")
        for message in node.said:
            out.line()
            _show_blocks(out, message, "", full=full)


def _rule(out: Output, title: str, style: str) -> None:
    title = plain(title)
    if out.is_terminal:
        out.console.print(Rule(Text(title), style=style))
    else:
        out.write(f"---- {title} ----\n")


_PAGE = b"<!doctype html>"
_COLOURS = {"user": "green", "assistant": "blue"}


def _show_message(out: Output, message: TranscriptMessage, *, full: bool) -> None:
    role = str(message.message.get("role", "?"))
    number = "inline" if message.message_id is None else str(message.message_id)
    time = ago(message.created_at) if out.is_terminal else message.created_at
    mark = "" if message.live else "~"
    head = f"{mark}{number} {role}" + (f" · {time}" if message.created_at else "")
    dim = "" if message.live else "dim "
    out.console.print()
    out.line(Text(plain(head), style=f"{dim}bold {_COLOURS.get(role, 'magenta')}"))
    _show_blocks(out, message.message, dim, full=full)
    if message.seen is not None and message.seen != message.message:
        out.line(Text("the model sees in its place:", style=f"{dim}cyan"))
        _show_blocks(out, message.seen, dim, full=full)


def _show_blocks(out: Output, message: Mapping[str, Any], dim: str, *, full: bool) -> None:
    by_model = message.get("role") == "assistant"
    for text, style in message_text(message, full=full):
        text = plain(text, lines=True)
        found = tokens(text) if by_model and not style and out.is_terminal else None
        if found is None:
            out.console.print(Text(text, style=f"{dim}{style}".strip()), soft_wrap=not out.is_terminal)
        else:
            shown = Markdown("", style=dim.strip() or "none")
            shown.parsed = found
            out.console.print(shown)


def search(
    settings: Settings,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Words that a message must hold.", show_default=False)],
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="ID", help="Search this session alone.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Search this user's sessions.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Search sessions with this tag.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="The most hits.")] = 20,
    max_scanned: Annotated[
        int, typer.Option("--max-scanned", metavar="N", min=1, help="The most messages to look at without an index.")
    ] = 10_000,
) -> None:
    """Find messages by their words. `strands-persql index on` makes it fast."""
    out = settings.output
    with settings.opened() as place:
        found = place.sessions.search(
            text, session_id=session, user=user, tag=tag, limit=limit, max_scanned=max_scanned
        )
    if out.as_json:
        out.json(found)
        return
    columns = ["SESSION", "AGENT", "MESSAGE", "ROLE", "TEXT"]
    out.table(
        columns,
        ([hit.session_id, hit.agent_id, str(hit.message_id), hit.role, hit.snippet] for hit in found.hits),
        right=("MESSAGE",),
    )
    if not found.hits:
        out.note("nothing found")
    if not found.complete:
        if len(found.hits) >= limit:
            out.note("there may be more: raise --limit")
        else:
            out.note(f"only {many(found.scanned, 'message')} were looked at: raise --max-scanned")
    if found.method == "scan" and user is None and tag is None:
        out.note("searched without an index; `strands-persql index on` makes one")


def usage(settings: Settings, session: SessionArgument) -> None:
    """Count the tokens and calls of a session, as its messages tell."""
    out = settings.output
    with settings.opened() as place:
        used = place.sessions.usage(session)
    if out.as_json:
        out.json(used)
        return
    columns = ["AGENT", "MESSAGES", "MODEL CALLS", "TOKENS IN", "TOKENS OUT", "CACHE READ", "CACHE WRITE"]
    columns += ["TOOL CALLS", "TOOL ERRORS", "MODEL SECONDS"]
    rows = [_usage_line(agent_id, own) for agent_id, own in used.agents.items()]
    out.table(columns, [*rows, _usage_line("all", used)], right=columns[1:], head=True)
    if used.reported < used.model_calls:
        out.note(f"of {used.model_calls} answers {used.reported} tell their tokens; older releases of Strands don't")
    if used.unread:
        out.note(f"{used.unread} messages could not be looked into; strands-persql doctor tells why")


def _usage_line(name: str, used: Usage) -> list[str]:
    counts = [used.messages, used.model_calls, used.input_tokens, used.output_tokens, used.cache_read_tokens]
    counts += [used.cache_write_tokens, used.tool_calls, used.tool_errors]
    return [name, *(str(count) for count in counts), f"{used.latency_ms / 1000:.1f}"]
