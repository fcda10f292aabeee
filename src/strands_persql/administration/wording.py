"""What errors say, for people who run commands and servers: options in place of Python's arguments. Pure: no I/O."""

from __future__ import annotations

import re
from typing import TypeAlias

Words: TypeAlias = "tuple[tuple[str, str], ...]"
"""Regular expressions for what an error says, and what is said instead; tried in their order."""

OPTIONS: Words = (
    (r", and create_tables=False keeps them from being brought to layout (\d+)\. Open one session without it, with",
     r"; layout \1 is needed: strands-persql init, with"),
    (r", and create_tables=False keeps them from being created\.", "."),
    (r"\(client\.databases\.create, or the console\)", "(in PerSQL's console)"),
    (r", or raise timeout=", ""),
    (r"\bPERSQL_TOKEN or token=", "PERSQL_TOKEN"),
    (r"\btoken=", "PERSQL_TOKEN"),
    (r"\bbase_url\b", "PERSQL_API_URL"),
    (r"\blocal=", "--local"),
    (r"\bPerSQLSessions\(…\)\.encrypt\(session_id\), or ", ""),
    (r"\bencryption=Encryption\(key\), or --key-file on the command line", "--key-file, or PERSQL_ENCRYPTION_KEY"),
    (r"\bPerSQLSessions\(…, encryption=Encryption\(key\)\), or --key-file on the command line",
     "--key-file, or PERSQL_ENCRYPTION_KEY"),
    (r"(?<!-)\btable_prefix\b", "--table-prefix"),
)  # fmt: skip
"""The options of the command line, and its settings."""


def reworded(text: str, words: Words) -> str:
    """An error's text in other words."""
    for pattern, instead in words:
        text = re.sub(pattern, instead, text)
    return text
