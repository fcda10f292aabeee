"""Compares an agent's history with what was last recorded of it. Pure: no I/O, no agent.

`agent.messages` is the truth. Strands and the user's code change it without any event, so a `Window` keeps what was
recorded of each message, and says what must be written for the rows and the live window to equal the history: at the
tail for each message that is added, whole once per invocation.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ..database.encoding import Message, copied, encode, now
from ..database.live_window import LiveWindow, Range
from ..errors import SessionDataError

__all__ = ["Change", "Entry", "Window"]

INLINE_SIZE = 64_000
"""The most characters that inline messages may add to an agent's row, which every change of its state rewrites.
Beyond it, a message in the midst of the history becomes a row of the transcript like any other."""


@dataclass(slots=True)
class Entry:
    """One message of the history as it was last recorded.

    Attributes:
        message: The live object.
        content: A structural copy of it, made when it was recorded.
        message_id: Its row in the transcript; None for an inline message, or one that can't be stored.
        created_at: When its row was first written.
        storable: False for a message that JSON can't hold: left out of the window until it changes.
        inline: The characters that an inline message adds to the window's JSON; 0 before it is described.
    """

    message: Message
    content: Message
    message_id: int | None = None
    created_at: str = ""
    storable: bool = True
    inline: int = 0

    @classmethod
    def stored(cls, message: Message, position: int, created_at: str) -> Entry:
        """The entry of a message that was just read from its row.

        Raises:
            SessionDataError: It is nested too deeply.
        """
        try:
            return cls(message, copied(message), position, created_at)
        except RecursionError as error:
            raise SessionDataError(
                f"Message {position} can't be read: it is nested too deeply. Nothing was changed. Look at the column "
                "data of its row, and mend it, delete it, or use another session id."
            ) from error


@dataclass(slots=True)
class Change:
    """What must be written for the stored window to equal the history.

    Attributes:
        added: New rows of the transcript, each with its message's JSON.
        rewritten: Rows whose content changed, likewise.
        window: The new live window; None where it stays as it is.
        error: The first message that can't be stored; it is left out of the rest.
    """

    added: list[tuple[Entry, str]] = field(default_factory=lambda: [])
    rewritten: list[tuple[Entry, str]] = field(default_factory=lambda: [])
    window: LiveWindow | None = None
    error: SessionDataError | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.rewritten or self.window is not None or self.error is not None)


class Window:
    """One agent's live window, as it was last recorded.

    Args:
        what: Whose it is, for errors: "agent 'default'".
        keeps_dropped: Messages that leave the history stay in the window: a stateful model's history is cleared by
            Strands after each turn, which deletes nothing.
    """

    def __init__(self, *, what: str, keeps_dropped: bool = False) -> None:
        self.entries: list[Entry] = []
        self.next_id = 0
        self.live: LiveWindow | None = LiveWindow()
        """The window as it was recorded last; None where everything is to be compared at the next look."""
        self.recognises = 0
        """How many messages, from the first, the next look finds by their content too, whatever their tracking ids: the
        entries were not made of this history, and ids may be fresh in every process."""
        self._contents: list[Message] = []  # the entries' contents, so that one == in C compares them all
        self._what = what
        self._keeps_dropped = keeps_dropped

    @classmethod
    def restored(
        cls,
        live: LiveWindow | None,
        rows: Mapping[int, Entry],
        *,
        what: str,
        next_id: int,
        head: Iterable[Message] = (),
        keeps_dropped: bool = False,
    ) -> tuple[Window, int]:
        """The window as stored, and how many rows it names that are not there.

        Args:
            live: The stored window; None, as Strands' repositories leave it, for `head` and then all `rows`.
            rows: The entries of the rows it names, by position; they become the window's.
            what: Whose it is, for errors.
            next_id: The position after the transcript's last row.
            head: Messages that the conversation manager puts before the rows where `live` is None.
            keeps_dropped: See the class.
        """
        self = cls(what=what, keeps_dropped=keeps_dropped)
        self.next_id = next_id
        if keeps_dropped:  # nothing is loaded: the model's own server holds the history
            self.live = live or self.live
            return self, 0
        self.live = live
        positions = sorted(rows)
        if live is None:
            self._extend([Entry(message, copied(message)) for message in head])
            self._extend([rows[position] for position in positions])
            return self, 0
        missing = 0
        if not live.is_plain:
            self.live = None  # written by hand: what is restored is written anew, in our own terms
            rows = {position: replace(entry) for position, entry in rows.items()}
        for item in live.items:
            if not isinstance(item, Range):
                self._extend([Entry(copied(item), item)])  # the agent may change its own copy in place
                continue
            low, high = item
            if high is None:
                self.next_id = max(self.next_id, low)
                high = self.next_id - 1
            named = positions[bisect_left(positions, low) : bisect_right(positions, high)]
            self._extend([rows[position] for position in named])
            missing += max(0, high - low + 1) - len(named)
        return self, missing

    @property
    def text(self) -> str | None:
        """The window as the agent's row holds it."""
        return None if self.live is None else self.live.render()

    @property
    def messages(self) -> list[Message]:
        """The history, as the live objects."""
        return [entry.message for entry in self.entries]

    def place(self, message: Message, messages: Sequence[Message]) -> Entry | None:
        """The entry of the message stored last, of which `message` is the new content; None where there is none.

        Strands changes a message it redacts in place, as a rule; but a release that delegates to another agent (1.53)
        puts a new object in its place, which is then taken as the same message.
        """
        for entry in reversed(self.entries):
            if entry.message is message:
                return entry
        if messages and messages[-1] is message and len(messages) <= len(self.entries):
            entry = self.entries[-1]
            entry.message = message
            return entry
        latest = max(
            (entry for entry in self.entries if entry.message_id is not None),
            key=lambda entry: entry.message_id or 0,
            default=None,
        )
        if latest is not None:
            latest.message["content"] = copied(message["content"])
        return latest

    def tail_changed(self, messages: Sequence[Message]) -> bool:
        """Whether the end of the history differs from what was recorded: a look at its length and last message."""
        return len(messages) != len(self._contents) or (len(messages) > 0 and messages[-1] != self._contents[-1])

    def add(self, messages: Sequence[Message]) -> Change:
        """Record a message that was just added, at a cost that doesn't grow with the history.

        Where more than the tail may have changed, everything is compared.
        """
        count = len(self.entries)
        grown_by_one = len(messages) == count + 1 and self.live is not None and not self.recognises
        if not grown_by_one or (
            count > 0 and (messages[0] != self._contents[0] or messages[count - 1] != self._contents[-1])
        ):
            return self.compare(messages, added=True)
        change = Change()
        entry = self._new(messages[-1], change)
        self._extend([entry])
        if not entry.storable:
            return change
        if self.live is not None and self.live.is_open:
            return change
        return self._described(change)

    def compare(self, messages: Sequence[Message], *, added: bool = False) -> Change:
        """Record the whole history, whose last message was just `added`, or may have been there before.

        An entry is the same message as before by its object, else by its tracking id; what is neither is new. New at
        the tail: a row of the transcript. New elsewhere: inline. Gone: out of the window, its row untouched.
        """
        same_tail = not added or (len(self.entries) > 0 and messages[-1] is self.entries[-1].message)
        if self.live is not None and same_tail and self._contents == messages:
            self.recognises = 0
            self._follow(messages)
            return Change()
        change = Change()
        found = self._find(messages, len(messages) - 1 if added else len(messages))
        self.recognises = 0
        tail = len(messages)
        while tail > 0 and found[tail - 1] is None:
            tail -= 1
        entries: list[Entry] = []
        for index, (message, entry) in enumerate(zip(messages, found, strict=True)):
            if entry is None:
                entry = self._new(message, change) if index >= tail else self._entry(message, change)
            elif entry.content != message:
                entry.message = message
                self._rewrite(entry, change)
            else:
                entry.message = message
            entries.append(entry)
        self._keep_inline_small(entries, change)
        self.entries = entries
        self._contents = [entry.content for entry in entries]
        return self._described(change)

    def forget_live(self) -> None:
        """Compare everything at the next look: the history was changed on the way in."""
        self.live = None

    def _extend(self, entries: list[Entry]) -> None:
        self.entries += entries
        self._contents += [entry.content for entry in entries]

    def _follow(self, messages: Sequence[Message]) -> None:
        """Equal content, but perhaps in other objects (a history that was copied and bound again)."""
        if messages and (messages[-1] is not self.entries[-1].message or messages[0] is not self.entries[0].message):
            for entry, message in zip(self.entries, messages, strict=True):
                entry.message = message

    def _new(self, message: Message, change: Change) -> Entry:
        entry = self._entry(message, change)
        if entry.storable:
            self._add_row(entry, change)
        return entry

    def _entry(self, message: Message, change: Change) -> Entry:
        content = _content_of(message, change)
        return Entry(message, content, storable=content is not message)

    def _rewrite(self, entry: Entry, change: Change) -> None:
        entry.content = _content_of(entry.message, change)
        entry.inline = 0
        if entry.content is entry.message:  # what is stored of it stays
            entry.storable = entry.message_id is not None
        elif not entry.storable:  # it could not be stored as it was; perhaps it can now
            entry.storable = True
            self._add_row(entry, change)
        elif entry.message_id is not None:
            text = self._encoded(entry, change, keep=True)
            if text is not None:
                change.rewritten.append((entry, text))

    def _keep_inline_small(self, entries: Iterable[Entry], change: Change) -> None:
        total = 0
        for entry in entries:
            if entry.message_id is None and entry.storable:
                if not entry.inline:
                    text = self._encoded(entry, change)
                    if text is None:
                        continue
                    entry.inline = len(text)
                total += entry.inline
                if total > INLINE_SIZE:
                    total -= entry.inline
                    self._add_row(entry, change)

    def _add_row(self, entry: Entry, change: Change) -> None:
        """Make an entry the transcript's next row."""
        entry.message_id, entry.created_at, entry.inline = self.next_id, now(), 0
        text = self._encoded(entry, change)
        if text is None:
            entry.message_id = None
        else:
            self.next_id += 1
            change.added.append((entry, text))

    def _encoded(self, entry: Entry, change: Change, *, keep: bool = False) -> str | None:
        """An entry's JSON; None where there is none, which sets the entry aside, or `keep`s what its row holds."""
        what = (
            f"message {entry.message_id} of {self._what}"
            if entry.message_id is not None
            else f"a message of {self._what}"
        )
        try:
            return encode(entry.content, what=what)
        except SessionDataError as error:
            change.error = change.error or error
            entry.storable = keep
            return None

    def _find(self, messages: Sequence[Message], by_content: int) -> list[Entry | None]:
        """For each message of the history, the entry that it was recorded as.

        Only the first `by_content` messages are found by content: a message just added is new, whatever it looks like.
        """
        found: list[Entry | None] = [None] * len(messages)
        used: set[int] = set()
        self._match(messages, found, used, lambda message: id(message))
        self._match(messages, found, used, lambda message: message.get("tracking_id") or None)
        # Ids may be missing (before Strands 1.47, or in a history brought in from elsewhere): then by content.
        self._match(messages[:by_content], found, used, _content_without_id, only_without_id=True)
        if self.recognises:
            self._match(messages[: min(by_content, self.recognises)], found, used, _content_without_id)
            for message, entry in zip(messages, found, strict=True):
                if entry is not None and _content_without_id(message) == _content_without_id(entry.content):
                    entry.content = _content_of(
                        message, Change()
                    )  # stored under an id of another process: no reason to write
        return found

    def _match(
        self,
        messages: Sequence[Message],
        found: list[Entry | None],
        used: set[int],
        key_of: Callable[[Message], Any],
        *,
        only_without_id: bool = False,
    ) -> None:
        open_messages = [index for index in range(len(messages)) if found[index] is None]
        if not open_messages or len(used) == len(self.entries):
            return
        places: dict[Any, deque[int]] = {}
        for place, entry in enumerate(self.entries):
            if place not in used and not (only_without_id and entry.content.get("tracking_id")):
                key = key_of(entry.message)
                if key is not None:
                    places.setdefault(key, deque()).append(place)
        if not places:
            return
        after = -1
        for index in open_messages:
            candidates = places.get(key_of(messages[index]))
            if not candidates:
                continue
            # One object may stand twice: take the places in their order, from where the last match left off.
            place = next((candidate for candidate in candidates if candidate > after), candidates[0])
            candidates.remove(place)
            used.add(place)
            found[index] = self.entries[place]
            after = place

    def _described(self, change: Change) -> Change:
        if self._keeps_dropped and self.live is not None:
            return change
        history = (
            entry.content if entry.message_id is None else entry.message_id
            for entry in self.entries
            if entry.storable or entry.message_id is not None
        )
        live = LiveWindow.of_history(history, next_id=self.next_id)
        if live != self.live:
            self.live = change.window = live
        return change


def _content_of(message: Message, change: Change) -> Message:
    """What to compare a message with from now on: a copy of its structure."""
    try:
        return cast("Message", copied(message))
    except RecursionError:  # the message itself then stands for its content: no other object compares equal to it
        change.error = change.error or SessionDataError(
            "A message can't be stored: it is nested too deeply. Flatten what is nested in it, or put it in as text."
        )
        return message


def _content_without_id(message: Message) -> str | None:
    try:
        return encode({key: value for key, value in message.items() if key != "tracking_id"}, what="a message")
    except SessionDataError:
        return None
