"""One session's writes over a real SQLite: each row exactly once, whatever fails, and no rival overwritten."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strands_persql import Database, PerSQLError, SessionConflictError, TransportError
from strands_persql.client import _pace
from strands_persql.database.connector import Connector
from strands_persql.database.encoding import PART_BYTES
from strands_persql.database.live_window import LiveWindow
from strands_persql.database.query import together
from strands_persql.database.tables import Document, Tables
from strands_persql.engine import outgoing, planner
from strands_persql.engine.copies import RedactedCopies
from strands_persql.engine.outgoing import MAX_BODY_BYTES, AgentRow, MessageRow, MultiAgentRow, Redaction, Row
from strands_persql.engine.reader import restoring
from strands_persql.engine.window import Window
from strands_persql.engine.writer import Writer

from ..agents.harness import Store
from ..databases import (
    HANDLES,
    Bare,
    Fault,
    Faulty,
    Lost,
    local,
    table,
)
from ..thorough import tries

OPEN = "[[0,null]]"
FAULTS: tuple[Fault, ...] = ("before", "after", "late")


def writer_of(database: Any, *, session: str = "s", agents: Mapping[str, int] | None = None) -> Writer:
    """A writer that begins, or goes on from known revisions."""
    writer = Writer(Connector(database, Tables()), session)
    for agent_id, revision in (agents or {"a": 0}).items():
        writer.known.go_on_from(agent_id, revision)
    writer.known.go_on_from_multi_agent("graph", 0, in_parts=False)
    return writer


def going_on(database: Any) -> Writer:
    """A writer of another process, which has read what is stored."""
    store = Connector(database, Tables())
    writer = Writer(store, "s")
    both = together(restoring(store.tables, "s"), store.tables.multi_agents.read("s"))
    restoration, graphs = store.ask(both, versioned=True)
    for agent in restoration.agents.values():
        writer.known.go_on_from(agent.agent_id, agent.revision, agent.next_id, agent.in_parts)
    for graph_id, graph in graphs.items():
        writer.known.go_on_from_multi_agent(graph_id, graph.revision, in_parts=graph.in_parts)
    return writer


def said(text: str) -> dict[str, Any]:
    """A message."""
    return {"role": "user", "content": [{"text": text}]}


def message(position: int, text: str, *, new: bool = True, agent: str = "a") -> MessageRow:
    """A message's row."""
    data = {"message": said(text), "message_id": position, "redact_message": None}
    return MessageRow(agent, position, Document.of(json.dumps(data, ensure_ascii=False)), new)


def state(value: Any, *, window: str | None = OPEN, agent: str = "a") -> AgentRow:
    """An agent's row."""
    fields = {"agent_id": agent, "state": {"value": value}, "conversation_manager_state": {}}
    return AgentRow(agent, window, Document.of(json.dumps(fields, ensure_ascii=False)))


def graph(value: Any) -> MultiAgentRow:
    """A Graph's row."""
    return MultiAgentRow("graph", Document.of(json.dumps({"value": value})))


def redaction(raw: str, new: str) -> Redaction:
    """Content that must go."""
    return Redaction("a", RedactedCopies(said(raw), said(new)), {"a": 10**9})


def write(writer: Writer, *rows: Row) -> None:
    """Put rows and wait until they are stored."""
    writer.put(rows)
    writer.drain().result()


def write_somehow(writer: Writer, *rows: Row) -> None:
    """Put rows and try once; a lost answer is no concern yet."""
    writer.put(rows)
    try:
        writer.drain().result()
    except Lost:
        assert writer.pending or not rows


def insist(database: Faulty, writer: Writer) -> None:
    """Store what is pending, and let what was late arrive."""
    for _ in range(50):
        try:
            writer.drain().result()
        except Lost:
            continue
        break
    assert writer.pending == 0
    database.arrive()


def stored(database: Any) -> dict[str, Any]:
    """What a new process would restore, and that no part is left over."""
    handle = database.inner if isinstance(database, Faulty) else database
    store = Connector(handle, Tables())
    both = together(restoring(store.tables, "s"), store.tables.multi_agents.read("s"))
    restoration, graphs = store.ask(both, versioned=True)
    found: dict[str, Any] = {}
    named = set[tuple[str, str]]()
    while (page := restoration.next_page(store.tables, "s")) is not None:
        store.ask(page)
    for agent in restoration.agents.values():
        live = LiveWindow.of_row(agent.window, agent.agent_id)
        window, missing = Window.restored(live, agent.messages, what=agent.agent_id, next_id=agent.next_id)
        assert not missing
        found[agent.agent_id] = (
            agent.document["state"]["value"],
            [entry["content"][0]["text"] for entry in window.messages],
        )
    for graph_id, one in graphs.items():
        found[graph_id] = one.state["value"]
    for name in ("agents", "messages", "multi_agents"):
        for row in table(handle, name):
            if row["data"].startswith('{"persql_parts"'):
                marker = json.loads(row["data"])
                named.add((marker["generation"], str(marker["persql_parts"])))
    generations = [row["generation"] for row in table(handle, "chunks")]
    left = {(generation, str(generations.count(generation))) for generation in generations}
    assert left == named, "parts that no row names, or not all of those that one names"
    return found


# Whatever fails

Event = Callable[[], list[Row]]

EVENTS: list[Event] = [
    lambda: [state(0), message(0, "hello")],
    lambda: [message(1, "hi")],
    lambda: [message(2, "more"), message(3, "even more"), graph(1)],
    lambda: [message(1, "hi, redacted", new=False), redaction("hi", "hi, redacted")],
    lambda: [state(1, window="[[2,null]]"), message(4, "x")],
    lambda: [message(5, "y"), graph(2)],
    lambda: [message(4, "x, merged", new=False), state(2, window="[[2,null]]")],
    lambda: [message(6, "last")],
]
AFTER_EVENTS = {"a": (2, ["more", "even more", "x, merged", "y", "last"]), "graph": 2}


def play(database: Faulty, events: Iterable[Event], *, retry: bool) -> None:
    """One session; a failed event goes along with the next, or is retried at once."""
    writer = writer_of(database)
    for event in events:
        write_somehow(writer, *event())
        if retry and writer.pending:
            write_somehow(writer)
    insist(database, writer)


def requests_of(events: list[Event], handle: Callable[[], Database]) -> int:
    """How many requests a session without faults makes."""
    database = Faulty(handle())
    play(database, events, retry=False)
    assert stored(database) == AFTER_EVENTS if events is EVENTS else True
    return len(database.sent)


@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("retry", [True, False])
def test_one_fault_at_any_request(fault: Fault, retry: bool, handle: Callable[[], Database]) -> None:
    """Wherever one request fails, and however: at the end all is stored, once, and as without faults."""
    for position in range(1, requests_of(EVENTS, handle) + 1):
        database = Faulty(handle())
        database.plan({position: fault})
        play(database, EVENTS, retry=retry)
        assert stored(database) == AFTER_EVENTS, position


@pytest.mark.parametrize(("one", "other"), list(itertools.product(FAULTS, FAULTS)))
def test_two_faults_at_any_requests(one: Fault, other: Fault) -> None:
    """The same for two requests, which may follow one another."""
    count = requests_of(EVENTS, local)
    apart = tries(2, count + 2)  # those farther apart meet no row of each other's, most often
    for first, second in itertools.combinations(range(1, count + 3), 2):
        if second - first > apart:
            continue
        database = Faulty(local())
        database.plan({first: one, second: other})
        play(database, EVENTS, retry=False)
        assert stored(database) == AFTER_EVENTS, (first, second)


@pytest.mark.slow
@settings(max_examples=tries(40, 80))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "rewrite", "state", "trim", "graph", "redact", "big", "nothing"]),
            st.integers(0, 30),
        ),
        max_size=12,
    ),
    st.dictionaries(st.integers(1, 40), st.sampled_from(FAULTS), max_size=12),
    st.sampled_from(list(HANDLES.values())),
)
def test_any_session_with_any_faults(
    operations: list[tuple[str, int]], faults: dict[int, Fault], handle: Callable[[], Database]
) -> None:
    """Random events under random faults end in exactly what was put, in order, with no part left over."""
    database = Faulty(handle())
    database.plan(faults)
    writer = writer_of(database)
    texts, value, start, graph_value = ["first"], 0, 0, None
    write_somehow(writer, state(0), message(0, "first"))
    for serial, (name, number) in enumerate(operations):
        index = number % len(texts)
        rows: list[Row] = []
        if name == "add":
            texts.append(f"{serial}")
            rows = [message(len(texts) - 1, texts[-1])]
        elif name == "rewrite":
            texts[index] = f"{serial}, new"
            rows = [message(index, texts[index], new=False)]
        elif name == "big":
            texts[index] = f"{serial}" * (PART_BYTES + 5)
            rows = [message(index, texts[index], new=False)]
        elif name == "state":
            value = serial
            rows = [state(value, window=f"[[{start},null]]")]
        elif name == "trim":
            start, value = max(start, index), serial
            rows = [state(value, window=f"[[{start},null]]")]
        elif name == "graph":
            graph_value = serial
            rows = [graph(graph_value)]
        elif name == "redact" and len(texts[index]) < 100:
            raw = texts[index]
            texts = [f"{serial}, redacted" if text == raw else text for text in texts]
            rows = [message(index, texts[index], new=False), redaction(raw, texts[index])]
        write_somehow(writer, *rows)
    insist(database, writer)
    expected: dict[str, Any] = {"a": (value, texts[start:])}
    if graph_value is not None:
        expected["graph"] = graph_value
    assert stored(database) == expected


def test_a_retry_is_the_same_request() -> None:
    """What failed goes again unchanged, under the same key, and new content under another."""
    keys: list[str | None] = []

    class Keyed(Faulty):
        def batch(self, statements: Any, *, transaction: bool = False, idempotency_key: str | None = None) -> Any:
            if statements[0]["sql"].split()[0] not in ("SELECT", "CREATE"):
                keys.append(idempotency_key)
            else:
                assert idempotency_key is None
            return super().batch(statements, transaction=transaction)

    database = Keyed(local())
    writer = writer_of(database)
    write(writer, state(0))
    keys.clear()
    database.plan({1: "before", 2: "before"})
    for _ in range(3):
        write_somehow(writer, *([message(0, "hello")] if not keys else []))
    write(writer, message(1, "hello"))
    assert len(keys) == 4
    assert keys[0] is not None
    assert len(keys[0]) <= 200
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_two_writers_never_share_a_key() -> None:
    """A session that was deleted and is played again is not answered from the first time's answers."""
    keys: list[str | None] = []

    class Keyed(Faulty):
        def batch(self, statements: Any, *, transaction: bool = False, idempotency_key: str | None = None) -> Any:
            if idempotency_key is not None:
                keys.append(idempotency_key)
            return super().batch(statements, transaction=transaction)

    database = Keyed(local())
    database.inner.batch(Connector(database, Tables()).tables.lay_out(), transaction=True)
    for _ in range(2):
        writer = writer_of(database)
        write(writer, graph(1))
        write(writer, graph(2))
        database.batch(Connector(database, Tables()).tables.sessions.delete("s").statements, transaction=True)
    assert len(keys) == len(set(keys))


def test_a_plain_message_is_one_request_and_one_row() -> None:
    """No statement more than the insert, whatever was written before."""
    database = Faulty(local())
    writer = writer_of(database)
    write(writer, state(0), message(0, "hello"))
    database.sent.clear()
    write(writer, message(1, "hi"))
    assert [[statement["sql"].split(" (")[0] for statement in batch] for batch in database.sent] == [
        ["INSERT INTO strands_messages"]
    ]
    write(writer)
    assert len(database.sent) == 1


# Rivals


def conflict_of(writer: Writer, *rows: Row) -> SessionConflictError:
    """The error of a write that comes second; nothing of the first is changed."""
    writer.put(rows)
    with pytest.raises(SessionConflictError) as raised:
        writer.drain().result()
    return raised.value


@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
@pytest.mark.parametrize(
    ("first", "second", "position"),
    [
        ([message(1, "first")], [message(1, "second")], 1),
        ([state("first")], [state("second")], None),
        ([state("first")], [message(0, "second", new=False)], None),
        ([message(0, "first", new=False)], [state("second")], None),
        ([message(0, "first", new=False)], [message(0, "second", new=False)], None),
        ([state("first")], [message(1, "second")], None),
        ([state("first"), message(1, "first")], [message(1, "second"), state("second")], 1),
        ([state("first")], [redaction("hello", "second")], None),
    ],
    ids=["message", "state", "state-rewrite", "rewrite-state", "rewrite", "state-message", "both", "state-redaction"],
)
def test_the_second_of_two_writers(
    first: list[Row], second: list[Row], position: int | None, handle: Callable[[], Database]
) -> None:
    """It gets a conflict that says what collided, nothing of the first is overwritten, and it writes no more."""
    database = handle()
    write(writer_of(database), state(0), message(0, "hello"))
    one, two = going_on(database), going_on(database)
    write(one, *first)
    before = stored(database)
    error = conflict_of(two, *second)
    assert (error.session_id, error.agent_id, error.message_id) == ("s", "a", position)
    assert error.expected_revision is not None
    assert error.stored_revision is not None
    differ = error.expected_revision != error.stored_revision
    told = [str(error.expected_revision), str(error.stored_revision)] if differ else ["another message is stored there"]
    for words in ("'s'", "'a'", "One writer", *told):
        assert words.lower() in str(error).lower()
    assert stored(database) == before
    assert two.pending == len(second)
    with pytest.raises(SessionConflictError):
        two.put([message(9, "more")])
    with pytest.raises(SessionConflictError):
        two.drain().result()
    assert stored(database) == before
    write(one, message(2 if any(isinstance(row, MessageRow) and row.new for row in first) else 1, "goes on"))


@pytest.mark.parametrize("sent", [False, True])
def test_a_new_message_that_was_changed_before_it_was_stored(sent: bool) -> None:
    """It is new still: a rival's message in its place is not overwritten."""
    database = Faulty(local())
    write(writer_of(database), state(0), message(0, "hello"))
    writer = going_on(database)
    if sent:
        database.plan({1: "before"})
        write_somehow(writer, message(1, "mine"))
    else:
        writer.put([message(1, "mine")])
    writer.put([message(1, "mine, changed", new=False)])
    write(going_on(database), message(1, "rival's"))
    error = conflict_of(writer)
    assert error.message_id == 1
    assert stored(database) == {"a": (0, ["hello", "rival's"])}


@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
def test_two_graphs(handle: Callable[[], Database]) -> None:
    """The same for a Graph's state, new and old."""
    database = handle()
    one, two = writer_of(database), writer_of(database)
    write(one, graph("first"))
    error = conflict_of(two, graph("second"))
    assert error.agent_id == "graph"
    assert stored(database) == {"graph": "first"}
    three, four = going_on(database), going_on(database)
    write(three, graph("third"))
    conflict_of(four, graph("fourth"))
    assert stored(database) == {"graph": "third"}


def test_two_new_agents() -> None:
    """Of two processes that begin the same session, the second is refused whole."""
    database = local()
    one, two = writer_of(database), writer_of(database)
    write(one, state("first"), message(0, "first"))
    error = conflict_of(two, state("second"), message(0, "second"))
    assert error.expected_revision == 0
    assert stored(database) == {"a": ("first", ["first"])}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("mine", "rivals"),
    [
        ([message(1, "mine")], [message(1, "rival's")]),
        ([state("mine")], [state("rival's")]),
        ([message(0, "mine", new=False)], [state("rival's")]),
        ([redaction("hello", "mine")], [state("rival's")]),
    ],
    ids=["message", "state", "rewrite", "redaction"],
)
def test_a_rival_between_a_lost_answer_and_the_retry(mine: list[Row], rivals: list[Row], fault: Fault) -> None:
    """A rival who comes in between is not taken for the own retry; what was carried out first stays first."""
    database = Faulty(local())
    write(writer_of(database), state(0), message(0, "hello"))
    writer = going_on(database)
    database.plan({1: fault})
    write_somehow(writer, *mine)
    rival = going_on(database.inner)
    if fault == "after" and any(isinstance(row, MessageRow) and row.new for row in rivals):
        rivals = [message(2, "rival's"), state("rival's")]
    write(rival, *rivals)
    before = stored(database)
    with pytest.raises(SessionConflictError):
        write(writer, *([state("later")] if fault == "after" else []))
    database.arrive()
    assert stored(database) == before


@pytest.mark.parametrize("rows", [[message(1, "x")], [state(1)], [message(0, "x", new=False)]])
def test_a_deleted_session(rows: list[Row]) -> None:
    """A writer whose session was deleted does not bring it back."""
    database = local()
    writer = writer_of(database)
    write(writer, state(0), message(0, "hello"))
    database.batch(Connector(database, Tables()).tables.sessions.delete("s").statements, transaction=True)
    error = conflict_of(writer, *rows)
    assert "deleted" in str(error)
    assert error.stored_revision is None
    assert stored(database) == {}


class Deleting(Faulty):
    """A handle whose session is deleted by somebody else once the first request with parts was carried out."""

    parts_to_come = True

    def batch(self, statements: Sequence[Mapping[str, Any]], *, transaction: bool = False) -> Sequence[Any]:
        """One request."""
        answers = super().batch(statements, transaction=transaction)
        if self.parts_to_come and any("INTO strands_chunks" in statement["sql"] for statement in statements):
            self.parts_to_come = False
            self.inner.batch(Tables().sessions.delete("s").statements, transaction=True)
        return answers


@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("which", [graph, state])
def test_a_session_that_is_deleted_in_the_midst_of_a_long_document(
    which: Callable[[str], Row], known: bool, handle: Callable[[], Database]
) -> None:
    """Of a state that takes several requests nothing stays when its session goes between them, and it is told."""
    database = Deleting(handle())
    writer = writer_of(database)
    if known:
        write(writer, which("small"))
    error = conflict_of(writer, which("g" * 9_000_000))
    assert not database.parts_to_come
    assert "was deleted" in str(error)
    assert error.stored_revision is None
    for name in ("sessions", "agents", "multi_agents", "chunks"):
        assert not table(database, name)
    with pytest.raises(SessionConflictError):
        writer.put([which("more")])


@pytest.mark.parametrize(
    "rows",
    [[message(1, "old")], [message(2, "old")], [state("old")], [message(0, "old", new=False)], [graph("old")]],
    ids=["next", "gap", "state", "rewrite", "graph"],
)
def test_a_session_that_was_deleted_and_begun_anew(rows: list[Row]) -> None:
    """Nothing of the deleted session gets into the new one of the same id."""
    database = local()
    old = writer_of(database)
    write(old, state(0), message(0, "hello"), graph(1))
    database.batch(Connector(database, Tables()).tables.sessions.delete("s").statements, transaction=True)
    write(writer_of(database), state("new"), message(0, "new"), graph("new"))
    before = stored(database)
    conflict_of(old, *rows)
    assert stored(database) == before


def test_a_rewrite_that_arrives_late_is_refused() -> None:
    """An old content that reaches the database after a newer one does not overwrite it."""
    database = Faulty(local())
    writer = writer_of(database)
    write(writer, state(0), *(message(i, "old") for i in range(120)))
    database.plan({1: "late"})
    write_somehow(writer, *(message(i, "newer", new=False) for i in range(120)))
    write(writer, *(message(i, "newest", new=False) for i in range(120)))
    database.arrive()
    assert set(stored(database)["a"][1]) == {"newest"}


# Batches inside the limits


def size_of(batch: Iterable[Mapping[str, Any]]) -> int:
    """Bytes of a request's parameters."""
    values = [value for statement in batch for value in statement.get("params", ())]
    return sum(len(value.encode()) for value in values if isinstance(value, str))


@pytest.mark.parametrize("what", ["many", "big", "wide"])
@pytest.mark.parametrize("window", [OPEN, "[[3,null]]", "[[0,0],[20,null]]"])
def test_every_prefix_of_the_batches_can_be_restored(what: str, window: str) -> None:
    """A process that dies between two batches leaves a session that goes on from a prefix of the messages."""
    text = {"many": "m", "big": "b" * (PART_BYTES // 2 - 100), "wide": "漢" * (PART_BYTES // 4 - 100)}[what]
    count = 250 if what == "many" else 26
    recorder = Faulty(local())
    writer = writer_of(recorder)
    write(writer, state("old"), *(message(i, "old") for i in range(5)))
    first = len(recorder.done)
    new = [message(i, text) for i in range(5, count)]
    write(writer, state("new", window=window), message(3, "rewritten", new=False), *new, graph("new"))
    assert len(recorder.done) - first > 1
    copy = local()
    for batch in recorder.done[: first - 1]:
        copy.batch(batch, transaction=True)
    for end in range(first, len(recorder.done) + 1):
        copy.batch(recorder.done[end - 1], transaction=True)
        positions = [row["message_id"] for row in table(copy, "messages")]
        assert positions == list(range(len(positions)))
        value, texts = stored(copy)["a"]
        if value == "new":
            assert len(positions) == count
        else:
            assert texts[:3] == ["old"] * 3
            assert len(texts) == len(positions)
        if end == len(recorder.done):
            assert value == "new"
            write(going_on(copy), message(count, "goes on"))
    assert all(len(batch) <= 100 for batch in recorder.sent)
    assert max(size_of(batch) for batch in recorder.sent) <= MAX_BODY_BYTES


def test_a_split_write_can_fail_between_its_batches() -> None:
    """Whichever batch of a long write fails, the next attempt completes it."""
    rows: list[Row] = [message(i, "m") for i in range(5, 250)]
    for position in range(1, 5):
        for fault in FAULTS:
            database = Faulty(local())
            writer = writer_of(database)
            write(writer, state("old"), *(message(i, "old") for i in range(5)))
            database.plan({position: fault})
            write_somehow(writer, state("new"), message(2, "new", new=False), *rows)
            insist(database, writer)
            assert stored(database) == {"a": ("new", ["old", "old", "new", "old", "old", *["m"] * 245])}


# Documents in parts


@pytest.mark.slow
def test_big_documents_are_stored_byte_for_byte() -> None:
    """A 16 MB message, 5 MB of state and 3 million characters that are not ASCII, each value inside a row's limit."""
    database = Faulty(local())
    writer = writer_of(database)
    pdf = "".join(chr(33 + i % 90) for i in range(1000)) * 16_000
    wide = "é漢🎈" * 1_000_000
    value = {"notes": "n" * 5_000_000}
    write(writer, state(value), message(0, pdf), message(1, wide), graph("g" * 3_000_000))
    for batch in database.sent:
        for statement in batch:
            row = sum(len(v.encode()) for v in statement.get("params", ()) if isinstance(v, str))
            assert row < 2_000_000 - 10_000
        assert size_of(batch) <= MAX_BODY_BYTES
    found = stored(database)
    assert found["a"][0] == value
    assert found["a"][1] == [pdf, wide]
    assert found["graph"] == "g" * 3_000_000


@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
@pytest.mark.parametrize("again", [False, True])
def test_rewriting_a_big_document_leaves_no_part(again: bool, handle: Callable[[], Database]) -> None:
    """Big to small, big to other big, in the same process and in another."""
    database = handle()
    writer = writer_of(database)
    write(
        writer, state("s" * 3_000_000), message(0, "b" * 3_000_000), message(1, "c" * 2_500_000), graph("g" * 2_000_000)
    )
    if again:
        writer = going_on(database)
    write(
        writer,
        state("small"),
        message(0, "small", new=False),
        message(1, "d" * 2_100_000, new=False),
        graph("small"),
    )
    assert stored(database) == {"a": ("small", ["small", "d" * 2_100_000]), "graph": "small"}


BIG_EVENTS: list[Event] = [
    lambda: [state("s" * 210_000), message(0, "hello")],
    lambda: [message(1, "RAW" * 200_000)],
    lambda: [message(1, "redacted", new=False), state("small")],
    lambda: [message(2, "t" * 110_000), graph("g" * 110_000)],
    lambda: [message(2, "u" * 110_000, new=False), graph("small")],
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("retry", [True, False])
def test_big_documents_and_one_fault_at_any_request(fault: Fault, retry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one request fails, no part of what was replaced is left, and none is missing."""
    # With smaller parts and less in a request, shorter documents take as many.
    whole = Document.of
    monkeypatch.setattr(Document, "of", lambda text, **given: whole(text, **{"size": PART_BYTES // 10, **given}))
    for module in (outgoing, planner):
        monkeypatch.setattr(module, "MAX_BODY_BYTES", MAX_BODY_BYTES // 10)
    for position in range(1, requests_of(BIG_EVENTS, local) + 1):
        database = Faulty(local())
        database.plan({position: fault})
        play(database, BIG_EVENTS, retry=retry)
        assert stored(database) == {
            "a": ("small", ["hello", "redacted", "u" * 110_000]),
            "graph": "small",
        }, position
        assert "RAW" not in json.dumps(table(database, "chunks"))


def test_parts_of_a_document_whose_row_was_never_written() -> None:
    """A process dies in the midst of a big message: the next one, which writes another there, leaves no part of it."""
    database = Faulty(local())
    writer = writer_of(database)
    write(writer, state(0), message(0, "hello"))
    database.plan({2: "before"})
    write_somehow(writer, message(1, "RAW" * 2_000_000))
    assert table(database, "chunks")
    write(going_on(database), message(1, "small"))
    assert stored(database) == {"a": (0, ["hello", "small"])}


def test_a_row_and_the_old_parts_go_together() -> None:
    """A batch that replaces a document in parts drops the parts as well, wherever the batch is split."""
    for count in range(96, 101):
        database = Faulty(local())
        writer = writer_of(database)
        write(writer, state("s" * 1_100_000), message(0, "b" * 1_100_000))
        database.plan({1: "after"})
        rows = [message(i, "new") for i in range(1, count)]
        write_somehow(writer, state("small"), message(0, "small", new=False), *rows)
        insist(database, writer)
        assert stored(database) == {"a": ("small", ["small", *["new"] * (count - 1)])}


def test_a_redaction_before_anything_was_sent() -> None:
    """A content that never left the process is not named in any request."""
    database = Faulty(Bare())
    writer = writer_of(database)
    write(writer, state(0), message(0, "hello"))
    writer.put([message(1, "SECRET")])
    assert not writer.has_rewrites
    write(writer, message(1, "gone", new=False), redaction("SECRET", "gone"))
    assert "SECRET" not in json.dumps(database.sent)
    assert stored(database) == {"a": (0, ["hello", "gone"])}


def test_copies_of_what_is_redacted() -> None:
    """Every earlier copy is overwritten, also where it stands in parts."""
    for text in ("SECRET", "SECRET" * 300_000):
        database = local()
        writer = writer_of(database)
        write(writer, state(0), message(0, text), message(1, "kept"), message(2, text))
        write(writer, message(2, "gone", new=False), redaction(text, "gone"))
        assert stored(database) == {"a": (0, ["gone", "kept", "gone"])}
        assert "SECRET" not in json.dumps([table(database, name) for name in ("messages", "chunks")])


def test_a_long_copy_before_the_window() -> None:
    """A long message that a restore didn't read, since the window begins after it, leaves no part either."""
    database = local()
    write(writer_of(database), state(0), message(0, "SECRET" * 300_000), message(1, "kept"))
    write(going_on(database), state(1, window="[[1,null]]"))
    writer = going_on(database)
    text = "SECRET" * 300_000
    write(writer, message(2, text))
    write(writer, message(2, "gone", new=False), redaction(text, "gone"))
    assert "SECRET" not in json.dumps([table(database, name) for name in ("messages", "chunks")])


def test_agents_of_one_session_share_a_writer() -> None:
    """Each agent's rows carry its own revision; one request holds them all."""
    database = Faulty(local())
    writer = writer_of(database, agents={"a": 0, "b": 0})
    write(writer, state(1), message(0, "to a"), state(2, agent="b"), message(0, "to b", agent="b"))
    database.sent.clear()
    write(writer, state(3), message(1, "more", agent="b"), message(1, "more"))
    assert len(database.sent) == 1
    assert stored(database) == {"a": (3, ["to a", "more"]), "b": (2, ["to b", "more"])}


def test_an_outage_costs_no_memory_but_the_rows() -> None:
    """A row that is sent again and again while the store is away is remembered once."""
    database = Faulty(local())
    writer = writer_of(database)
    database.plan(dict.fromkeys(range(1, 41), "before"))
    for position in range(40):
        write_somehow(writer, *([state(0)] if position == 0 else []), message(position, f"message {position}"))
    attempts = writer._out.attempts.rows
    assert len(attempts) == 41
    assert all(len(contents) == 1 for contents in attempts.values())
    insist(database, writer)
    assert not writer._out.attempts.rows
    assert len(stored(database)["a"][1]) == 40


def test_what_was_sent_at_once_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt on the event's thread that was stored although it failed: a later content of its row is no rival's."""
    monkeypatch.setattr(_pace, "SLOW_SECONDS", 30.0)
    store = Store(tmp_path / "sessions.db")
    database: Any = store.database(at_once=True)
    writer = writer_of(database)
    write(writer, state(1), message(0, "first"))
    write(writer, message(1, "second"))
    database.fail_next(1, committed=True)
    database.fail_next(2, error=TransportError("refused", sent=False))
    writer.put([message(2, "as it was")])
    written = writer.send()
    assert written is not None
    with pytest.raises(PerSQLError):
        written.result()
    writer.put([message(2, "as it is")])
    written = writer.send()
    if written is not None:
        written.result()
    assert [row["data"]["message"]["content"][0]["text"] for row in store.rows()["messages"]][2:] == ["as it is"]
    store.close()
