"""SQL for the texts of messages: what a search looks into, and the beginnings that lists of sessions show."""

from __future__ import annotations

from ._statements import is_in_parts

SHOWN = 400
"""Characters of a message that a list of sessions answers."""

_BEGINNING = "substr({}, 1, 2000)"
"""What it answers of a document that SQLite can't take the text out of."""

_UNREDACTED = '"redact_message":null'


def text_of(data: str) -> str:
    """SQL for the text of a message's row: its text blocks, the strings in tool inputs, and what tools answered.

    A row with a `redact_message` has the text of that. For escapes that SQLite makes no text of, there are other
    characters: it ends a text at a NUL, and makes invalid UTF-8 of half a surrogate pair.
    """
    return (
        f"(SELECT group_concat(t.atom, char(10)) FROM json_tree({readable(data)}, "
        f"{message_in(data)} || '.content') AS t WHERE t.type = 'text' "
        "AND (t.key = 'text' OR ((instr(t.fullkey, '.toolUse.input') > 0 "
        "OR (instr(t.fullkey, '.toolResult.content') > 0 AND instr(t.fullkey, '.json') > 0)) "
        f"AND NOT (t.key = 'data' AND instr({data}, '__bytes_encoded__') > 0))))"
    )


def beginning_of(message: str, chunks: str) -> str:
    """SQL for how a message begins, for people: `t` and its text, or `p` and how its document begins.

    The document is answered where it is in parts, or has escapes that SQLite makes no text of.

    Args:
        message: The alias of the message's row.
        chunks: The table of parts.
    """
    data = f"{message}.data"
    text = (
        f"(SELECT group_concat(json_extract(b.value, '$.text'), ' ') FROM json_each({data}, "
        f"{message_in(data)} || '.content') AS b WHERE b.type = 'object' AND json_type(b.value, '$.text') = 'text')"
    )
    part = (
        f"(SELECT {{}} FROM {chunks} AS c WHERE c.session_id = {message}.session_id AND c.kind = 'message' "
        f"AND c.owner = {message}.agent_id AND c.message_id = {message}.message_id "
        f"AND c.generation = json_extract({data}, '$.generation') AND c.part = {{}})"
    )
    # Where another message takes the place of this one, for the model as for people, this one is shown to nobody.
    last = part.format(f"instr(c.data, '{_UNREDACTED}')", f"json_extract({data}, '$.persql_parts') - 1")
    head, head_part = _BEGINNING.format(data), part.format(_BEGINNING.format("c.data"), 0)
    return (
        f"CASE WHEN NOT json_valid({data}) THEN NULL "
        f"WHEN {is_in_parts(data)} THEN CASE WHEN {last} > 0 THEN 'p' || {head_part} END "
        f"WHEN NOT {_is_plain(data)} THEN CASE WHEN json_type({data}, '$.redact_message') IS NOT 'object' "
        f"THEN 'p' || {head} END ELSE 't' || substr({text}, 1, {SHOWN}) END"
    )


def readable(data: str) -> str:
    """SQL for a message's document as SQLite's JSON functions can take it; `null` for one that is none."""
    # A text may spell an escape: the escaped backslashes are put aside, as a character that can't stand in JSON.
    plain = f"replace({data}, '\\\\', char(1))"
    for escape, instead in (("\\u0000", " "), ("\\ud", "\\ufffd"), ("\\uD", "\\ufffd")):
        plain = f"replace({plain}, '{escape}', '{instead}')"
    plain = f"replace({plain}, char(1), '\\\\')"
    return f"CASE WHEN json_valid({data}) THEN CASE WHEN {_is_plain(data)} THEN {data} ELSE {plain} END ELSE 'null' END"


def _is_plain(data: str) -> str:
    """SQL for whether a row holds none of these escapes."""
    return f"NOT (instr({data}, '\\u0000') > 0 OR {is_odd(data)})"


def message_in(data: str) -> str:
    """SQL for the JSON path of the message as the model sees it."""
    return (
        f"CASE WHEN json_valid({data}) THEN CASE json_type({data}, '$.redact_message') WHEN 'object' "
        "THEN '$.redact_message' ELSE '$.message' END ELSE '$.message' END"
    )


def is_odd(data: str) -> str:
    """SQL for whether a row holds escaped surrogates."""
    # The escaped backslashes are taken out first: a text may spell \ud itself.
    return f"(instr(lower(replace({data}, '\\\\', '')), '\\ud') > 0)"
