"""What the package's errors say, in the words of the command line: its options in place of Python's arguments."""

from ..administration.wording import OPTIONS, reworded

_WORDS = (
    (r"\bList the sessions to see which do, and check the database and the table_prefix\.",
     "`strands-persql sessions` lists those that do; check the database and --table-prefix as well."),
    (r"\bGet the session to see which do\.", "`strands-persql show SESSION` shows those that do."),
    (r"\bsay which with agent_id=", "say which with --agent"),
    (r"^text (?=must|may)", "TEXT "),
    (r"^after must be None, or what an earlier page .*", "--after must be what an earlier page of the same list said"),
    (r"\bnew_id must be\b", "the new id must be"),
    (r"^session_id must", "the session's id must"),
    (r"^message_id must", "--message must"),
    (r"^agent_id must", "--agent must"),
    (r"^tags must", "--tag must"),
    (r"^(at|before|limit|metadata|retention|title|to|user) must", r"--\1 must"),
    (r"\bgenerate_key\(\) makes one", "`openssl rand -base64 32` makes one"),
    (r"\bcopy_of lists sessions in the order of their ids: leave order as it is",
     "--copies-of lists sessions in the order of their ids: leave out --recent"),
    (r"\bnew_id(=…)?(?= |\)|$)", "--as"),
    (r"\bsession_id=…", "--session ID"),
)  # fmt: skip


def in_options(text: str) -> str:
    """An error's text, with the command line's options and settings for what it calls by Python's names."""
    return reworded(text, (*_WORDS, *OPTIONS))
