"""What the package's errors say, in the words of the pages: links and fields in place of Python's arguments."""

from __future__ import annotations

from ...administration.wording import OPTIONS, reworded

_WORDS = (
    (r" List the sessions to see which do, and check the database and the table_prefix\.",
     " The list of sessions shows those that do."),
    (r" Get the session to see which do\.", " The session's page shows those that do."),
    (r": say which with agent_id=\.", ": choose one on the session's page."),
    (r"\bGive the key that it was encrypted with: encryption=Encryption\(key\), or --key-file on the command line\.",
     "This server was started without the key that it was encrypted with: --key-file, or PERSQL_ENCRYPTION_KEY."),
    (r"^text (?=must|may)", "The field for words "),
    (r"^(tag|user|title|tags|limit) (?=must|may)", r"The field for the \1 "),
    (r"^(before|record_id) must be the id of a message's record, .*", "The address names no message."),
    (r"^after must be None, or what an earlier page .*", "The address is of no page of this list. Go to the first."),
    (r"^invalid literal for int\(\) .*", "The address names no message."),
)  # fmt: skip


def in_pages(text: str) -> str:
    """An error's text, as a page shows it."""
    return reworded(text, (*_WORDS, *OPTIONS))
