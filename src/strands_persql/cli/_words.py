"""What the package's errors say, in the words of the command line: its options in place of Python's arguments."""

import re

_WORDS = (
    (r", and create_tables=False keeps them from being brought to layout (\d+)\. Open one session without it, with",
     r"; layout \1 is needed: strands-persql init, with"),
    (r"\(client\.databases\.create, or the console\)", "(in PerSQL's console)"),
    (r", or raise timeout=", ""),
    (r"\bPERSQL_TOKEN or token=", "PERSQL_TOKEN"),
    (r"\btoken=", "PERSQL_TOKEN"),
    (r"\bbase_url\b", "PERSQL_API_URL"),
    (r"\blocal=", "--local"),
    (r"(?<!-)\btable_prefix\b", "--table-prefix"),
    (r"\bnew_id(=…)?(?= |\)|$)", "--as"),
    (r"\bsession_id=…", "--session ID"),
)  # fmt: skip


def in_options(text: str) -> str:
    """An error's text, with the command line's options and settings for what it calls by Python's names."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text
