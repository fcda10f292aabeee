"""Sessions in the files of Strands' own managers, which lie in a folder or in a bucket.

```
<storage_dir>/session_<id>/session.json
                           about.json
                           agents/agent_<id>/agent.json
                                             messages/message_<n>.json
                           multi_agents/multi_agent_<id>/multi_agent.json
```
`about.json` is this package's own: whose the session is, and what people call it. Strands' managers leave it alone.

Source: `strands/session/file_session_manager.py` and `s3_session_manager.py`, the same from Strands 1.42 to 1.62.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Protocol

from ...database.about import About
from ...database.tables import Kind
from ...errors import SessionDataError, named
from ._items import (
    Document,
    HeadItem,
    Item,
    Source,
    SourceSession,
    StateItem,
    agent_item,
    checked_position,
    malformed,
    message_item,
)

SESSION = "session_"
HEAD = "session.json"
ABOUT = "about.json"

_POSITION = re.compile(r"message_([0-9]{1,18})\.json")


def state_path(kind: Kind, owner: str) -> str:
    """The file of an agent's, Graph's or Swarm's state, from its session's folder."""
    return f"{kind}s/{kind}_{owner}/{kind}.json"


def message_path(agent_id: str, name: object) -> str:
    """The file of a message, from its session's folder, given its position."""
    return f"agents/agent_{agent_id}/messages/message_{name}.json"


class Files(Protocol):
    """A place where a manager keeps files. Paths have slashes between their names, and those of folders end in one."""

    @property
    def place(self) -> str:
        """Its name for errors: `The folder '…'`."""
        ...

    def where(self, path: str) -> str:
        """A file's name for errors."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """The folders whose paths begin with a prefix, in order, less the prefix; none that holds no file."""
        ...

    def holds(self, prefix: str, name: str) -> bool:
        """Whether a folder is among `folders`."""
        ...

    def names(self, folder: str) -> Iterable[str]:
        """The names of the files in a folder, in any order; none where it does not exist."""
        ...

    def read(self, path: str) -> Document:
        """A file.

        Raises:
            SessionDataError: It is missing, or can't be read.
        """
        ...

    def about(self, session: str) -> About:
        """Whose the session in a folder is, and what people call it, where an export has left that.

        Raises:
            SessionDataError: It can't be read.
        """
        return About()

    def read_many(self, paths: Iterable[str]) -> Iterator[Document]:
        """Files in their order."""
        ...


class FilesSource(Source):
    """The sessions in the files of Strands' own managers.

    Args:
        files: The files.
        only: The session that they are to hold alone.
    """

    def __init__(self, files: Files, only: str | None = None) -> None:
        self._files = files
        self._only = only

    def session_ids(self) -> list[str]:
        return self._files.folders(SESSION) if self._only is None else [self._only]

    def count(self, session_ids: Iterable[str]) -> int:
        return sum(
            len(_messages(self._files, f"{SESSION}{session_id}/", agent_id))
            for session_id in session_ids
            for agent_id in self._files.folders(f"{SESSION}{session_id}/agents/agent_")
        )

    def sessions(self, session_id: str | None) -> Iterator[SourceSession]:
        if session_id not in (None, self._only) and (
            self._only is not None or not self._files.holds(SESSION, str(session_id))
        ):
            raise SessionDataError(f"{self._files.place} holds no session {named(str(session_id))} to import.")
        for each in self.session_ids() if session_id is None else [session_id]:
            yield SourceSession(each, session_items(self._files, f"{SESSION}{each}/"))


def session_items(files: Files, folder: str) -> Iterator[Item]:
    """One session.

    Raises:
        SessionDataError: A file is missing, or can't be read.
    """
    yield HeadItem(files.read(f"{folder}{HEAD}"), files.about(folder))
    for agent_id in files.folders(f"{folder}agents/agent_"):
        messages = _messages(files, folder, agent_id)
        path = folder + state_path("agent", agent_id)
        yield agent_item(agent_id, files.read(path), files.where(path))
        documents = files.read_many(path for _, path in messages)
        for (position, path), document in zip(messages, documents, strict=True):
            yield message_item(agent_id, position, document, files.where(path))
    for owner in files.folders(f"{folder}multi_agents/multi_agent_"):
        yield StateItem("multi_agent", owner, files.read(folder + state_path("multi_agent", owner)))


def _messages(files: Files, session: str, agent_id: str) -> list[tuple[int, str]]:
    """The positions and the files of an agent's messages.

    Raises:
        SessionDataError: A file has the name of a message and no number, on which Strands itself fails; or two have
            one number.
    """
    folder = f"{session}agents/agent_{agent_id}/messages/"
    found: list[tuple[int, str]] = []
    for name in files.names(folder):
        if name.startswith("message_") and name.endswith(".json"):
            match = _POSITION.fullmatch(name)
            where = files.where(folder + name)
            if match is None:
                raise malformed(where, "its name is no message_<number>.json")
            found.append((checked_position(int(match[1]), where), folder + name))
    found.sort()
    for (position, _), (other, path) in pairwise(found):
        if position == other:
            raise malformed(files.where(path), f"another file is message {position}, too")
    return found
