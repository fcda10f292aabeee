"""For tests of your own agent: a model that needs no key and no network, and the stored tables as plain data.

```python
from strands_persql.testing import OfflineModel, stored_rows

def test_what_my_agent_stores(snapshot):          # `snapshot` is syrupy's fixture
    client = PerSQL(local=":memory:")
    db = client.database("test/agents")
    agent = Agent(model=OfflineModel("Hello."), session_manager=PerSQLSessionManager("user-42", db))
    agent("I am Ada.")
    assert stored_rows(db) == snapshot
```
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, cast

from strands.models import Model

from .database.about import COLUMNS
from .database.connector import Connector
from .database.tables import Tables

if TYPE_CHECKING:
    from strands.types.content import Message, Messages
    from strands.types.streaming import StreamEvent

    from .client import Database
    from .encryption import Encryption

__all__ = ["VOLATILE", "OfflineModel", "stored_rows"]

VOLATILE = frozenset(
    {
        "active",
        "created_at",
        "expires",
        "data_key",
        "revision",
        "updated_at",
        "tracking_id",
        "execution_time",
        "latencyMs",
    }
)
"""The fields whose values differ from run to run although nothing else does: times, durations, random ids."""

_SOMETIMES = "timeToFirstByteMs"  # Strands leaves it out where it is 0
_OPTIONAL = ("live", "rewinds", *COLUMNS, "data_key")  # columns that most rows leave empty
_UNORDERED = ("completed_nodes", "failed_nodes", "interrupted_nodes")  # a Graph keeps these in sets


def stored_rows(
    database: Database,
    *,
    table_prefix: str = "strands_",
    mask: bool = True,
    encryption: Encryption | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """All that is stored under one prefix.

    Args:
        database: The handle; nothing is written.
        table_prefix: As the session manager has it.
        mask: Put `"<name>"` in the place of volatile values (see `VOLATILE`), and give an order to what has none.
        encryption: The keys of sessions that are encrypted.

    Returns:
        `{table: [row, …]}`, tables without their prefix, rows in the order of their key, the JSON columns `data`,
        `live`, `live_window`, `rewinds`, `tags` and `metadata` decoded, documents that are stored in parts joined. A
        message has `live` only where the model sees something else than what was said; an agent has `rewinds` only
        where its history was set back; a session has what it was given alone. The tables `chunks` and `schema` are
        left out.

    Raises:
        PerSQLError: The tables don't exist.
    """
    store = Connector(database, Tables(table_prefix, encryption), create_tables=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, rows in store.ask(store.tables.documents()).items():
        found[name] = []
        for row in rows:
            columns = ("data", "live", "live_window", "rewinds", "tags", "metadata")
            plain = {key: json.loads(value) if key in columns and value else value for key, value in row.items()}
            plain = {key: value for key, value in plain.items() if value is not None or key not in _OPTIONAL}
            found[name].append(_masked(plain) if mask else plain)
    return found


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: _masked_item(key, item) for key, item in items if key != _SOMETIMES}
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[Any]", value)]
    return value


def _masked_item(key: str, item: Any) -> Any:
    if isinstance(item, (dict, list)):
        return sorted(cast("list[str]", item)) if key in _UNORDERED else _masked(item)
    return f"<{key}>" if key in VOLATILE else item


_INTRODUCTION = re.compile(r"\b(?P<phrase>my name is|i am|i'm)\s+(?P<rest>.+)", re.IGNORECASE)


class OfflineModel(Model):
    """A model that answers with lines of yours, or by four small rules.

    Given lines, it answers each call with the next of them. Without lines, or after the last, it remembers
    "My name is …", answers "What is my name?" and "How many messages?", and repeats everything else. It keeps nothing
    of a conversation: what it remembers it has read in the messages that Strands handed it, so an answer shows what a
    session manager has restored.

    Args:
        lines: The first answers, in their order. They are text; for tool calls, write a subclass of Strands' `Model`.
    """

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)

    def update_config(self, **model_config: Any) -> None:
        """Take no settings: there are none."""

    def get_config(self) -> dict[str, Any]:
        """Return the settings: none."""
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Refuse: it can't fill in a form.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("OfflineModel answers in text alone")

    # Strands hands over more keyword arguments with each release; the rules need the messages alone.
    async def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Stream one answer in the events that every Strands model speaks, a word at a time. No tokens are counted."""
        answer = self._lines.pop(0) if self._lines else _answer_to(messages)
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        for word in re.findall(r"\s*\S+", answer):
            yield {"contentBlockDelta": {"delta": {"text": word}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        yield {
            "metadata": {
                "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
                "metrics": {"latencyMs": 0},
            }
        }


def _answer_to(messages: Messages) -> str:
    """The answer to the last of `messages`, from what the earlier ones say."""
    said = [_text_of(message) for message in messages if message["role"] == "user"]
    prompt = said[-1] if said else ""
    if name := _introduced_name(prompt):
        return f"Nice to meet you, {name}."
    if "my name" in prompt.casefold():
        names = [name for name in map(_introduced_name, said) if name]
        return f"Your name is {names[-1]}." if names else "You have not told me your name yet."
    if "how many messages" in prompt.casefold():
        return f"I was given {len(messages)} messages, this one included."
    return f"You said: {prompt}"


def _introduced_name(text: str) -> str | None:
    """The name in "my name is Ada Lovelace", "I am Ada"; None where `text` introduces nobody."""
    for match in _INTRODUCTION.finditer(text):
        name: list[str] = []
        for word in match["rest"].split():
            # "my name is ada" is a name all the same; "I am tired" is not.
            informal = not name and match["phrase"].casefold() == "my name is"
            if not (word[:1].isupper() or informal):
                break
            name.append(word.strip(".,;:!?\"'()"))
            if word[-1] in ".,;:!?":
                break
        if any(name):
            return " ".join(name)
    return None


def _text_of(message: Message) -> str:
    """The text of `message`, its blocks joined; other blocks (tool uses, images) count as nothing."""
    return " ".join(block["text"] for block in message["content"] if "text" in block).strip()
