"""Compares an agent's history with what was last recorded of it. Pure: no I/O, no agent.

`agent.messages` is the truth. Strands and the user's code change it without any event, so a `Window` keeps what was
recorded of each message, and says what must be written for the rows and the live window to equal the history: at the
tail for each message that is added, whole once per invocation.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..database.encoding import Message, copied, encode, now
from ..database.live_window import LiveWindow, Range
from ..errors import SessionDataError
from .departed import Departed
from .entries import Entry, content_of, continues, find, words_of

INLINE_SIZE = 64_000
"""The most characters that inline messages may add to an agent's row, which every change of its state rewrites.
Beyond it, a message in the midst of the history becomes a row of the transcript like any other."""

RECENT = 50
"""Messages at the end of a history that are looked at before its invocation's rows are handed over."""


@dataclass(slots=True)
class Change:
    """What must be written for the stored window to equal the history.

    Attributes:
        added: New rows of the transcript, each with its message's JSON.
        rewritten: Rows whose content changed, likewise: what was said, or, where the entry's `said` is not None, what
            the model sees in its place.
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
        self.departed = Departed()
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

    def tail_changed(self, messages: Sequence[Message], depth: int = 1) -> bool:
        """Whether the end of the history differs from what was recorded: its length, or so many of its messages."""
        return len(messages) != len(self._contents) or messages[-depth:] != self._contents[-depth:]

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

    def compare(
        self,
        messages: Sequence[Message],
        *,
        added: bool = False,
        said: Sequence[Message] = (),
        overwritten: Sequence[Message] = (),
    ) -> Change:
        """Record the whole history.

        An entry is the same message as before by its object, else by its tracking id; what is neither is new. New at
        the tail: a row of the transcript. New elsewhere: inline. Gone: out of the window, its row untouched. Changed:
        what was said stays, beside what the model sees now.

        Args:
            messages: The history.
            added: Its last message was just added, perhaps as the continuation of one that was there.
            said: Those of its messages whose new content is what was said, unless the model sees something else of it.
            overwritten: Those of which nothing is to be left that they held before.
        """
        same_tail = not added or (len(self.entries) > 0 and messages[-1] is self.entries[-1].message)
        if self.live is not None and same_tail and self._contents == messages:
            self.recognises = 0
            self._follow(messages)
            return Change()
        change = Change()
        by_content = len(messages) - 1 if added else len(messages)
        found = find(messages, self.entries, by_content, recognised=self.recognises)
        self.departed.recall(messages[:by_content], found, self.entries)
        # What was changed while nobody looked may have been redacted.
        gone = {id(message) for message in (*overwritten, *messages[: self.recognises])}
        announced = {id(message) for message in said}
        if added and found and found[-1] is not None and continues(messages[-1], found[-1].content):
            announced.add(id(messages[-1]))
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
                place = id(message)
                is_said = place in gone or (place in announced and entry.said is None)
                self._rewrite(entry, change, is_said=is_said)
            else:
                entry.message = message
            entries.append(entry)
        self._keep_inline_small(entries, change)
        if not self._keeps_dropped and not overwritten:
            self.departed.add(self.entries, entries)
        self.entries = entries
        self._contents = [entry.content for entry in entries]
        return self._described(change)

    def redact(self, messages: Sequence[Message], redacted: Sequence[Message]) -> Change:
        """Record the whole history, some messages of which were redacted just now."""
        change = self.compare(messages, overwritten=redacted)
        for entry, _ in (*change.added, *change.rewritten):
            entry.redacted = entry.redacted or any(entry.message is message for message in redacted)
        return change

    def follow(self, other: Window) -> None:
        """The messages of these rows are in the agent's history as the objects that another window has found."""
        found = {entry.message_id: entry.message for entry in other.entries}
        for entry in self.entries:
            if entry.message_id is not None:
                entry.message = found.get(entry.message_id, entry.message)

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

    def _rewrite(self, entry: Entry, change: Change, *, is_said: bool) -> None:
        said = words_of(entry.content) if entry.said is None else entry.said
        entry.content = _content_of(entry.message, change)
        entry.inline = 0
        if entry.content is entry.message:  # what is stored of it stays
            entry.storable = entry.message_id is not None
            entry.said = said
        elif not entry.storable:  # it could not be stored as it was; perhaps it can now
            entry.storable = True
            self._add_row(entry, change)
        elif entry.message_id is not None:
            text = self._encoded(entry, change, keep=True)
            if text is not None:
                entry.said = None if is_said or said == words_of(entry.content) else said
                change.rewritten.append((entry, text))
            else:
                entry.said = said

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
    content = content_of(message)
    if content is message:
        change.error = change.error or SessionDataError(
            "A message can't be stored: it is nested too deeply. Flatten what is nested in it, or put it in as text."
        )
    return content
