"""Writes a file of LangGraph: what its graphs keep otherwise than in one whole list of messages."""

from __future__ import annotations

import operator
import sqlite3
from pathlib import Path
from typing import Annotated, Any, TypedDict

from dump import dumped
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from langgraph.types import Command, Overwrite, interrupt


class Deltas(TypedDict, total=False):
    """Channels that keep deltas, the first with a snapshot after each third."""

    messages: Annotated[list[Any], DeltaChannel(_messages_delta_reducer, snapshot_frequency=3)]
    notes: Annotated[list[Any], DeltaChannel(lambda state, writes: [*state, *(n for write in writes for n in write)])]


class Messages(TypedDict, total=False):
    """A channel that keeps its whole list."""

    messages: Annotated[list[AnyMessage], add_messages]


class Raw(TypedDict, total=False):
    """A channel of documents."""

    messages: Annotated[list[Any], operator.add]


def config(thread_id: str) -> Any:
    """The configuration of a thread."""
    return {"configurable": {"thread_id": thread_id}}


def deltas(saver: SqliteSaver) -> None:
    """Threads whose checkpoints hold what was written since the last snapshot."""

    def bot(state: Deltas) -> Any:
        number = len(state["messages"])
        return {
            "messages": [AIMessage(f"Answer {number}.", id=f"a{number}-{state['messages'][-1].id}")],
            "notes": [number],
        }

    graph = StateGraph(Deltas).add_node("bot", bot).add_edge(START, "bot").compile(checkpointer=saver)
    for number, words in enumerate(("One.", "Two.", "Two.")):
        graph.invoke({"messages": [HumanMessage(words, id=f"h{number}")]}, config("deltas"))
    edited = [
        RemoveMessage(id="h0"),
        HumanMessage("Edited.", id="h1"),
        {"role": "user", "content": "Three.", "id": "h3"},
    ]
    graph.invoke({"messages": edited}, config("deltas"))
    for words in ("One.", "Two."):
        graph.invoke({"messages": [HumanMessage(words)]}, config("anew"), durability="exit")
    graph.invoke({"messages": Overwrite([HumanMessage("Anew.")])}, config("anew"), durability="exit")


def helped(saver: SqliteSaver) -> None:
    """A subgraph with a memory of its own."""

    def think(state: Messages) -> Any:
        return {"messages": [AIMessage(f"Thought {len(state['messages'])}.")]}

    helper = StateGraph(Messages).add_node("think", think).add_edge(START, "think").compile(checkpointer=True)

    def ask(state: Messages) -> Any:
        answer = helper.invoke({"messages": [HumanMessage(state["messages"][-1].content)]})
        return {"messages": [AIMessage(f"The helper: {answer['messages'][-1].content}")]}

    graph = StateGraph(Messages).add_node("helper", ask).add_edge(START, "helper").compile(checkpointer=saver)
    for words in ("One?", "Two?"):
        graph.invoke({"messages": [HumanMessage(words)]}, config("helped"))


def waiting(saver: SqliteSaver) -> None:
    """A subgraph that asks its user, beside a node that has done its work: answered, and still waiting."""

    def plan(state: Messages) -> Any:
        return {"messages": [AIMessage("My plan.", id="plan")]}

    def ask(state: Messages) -> Any:
        return {"messages": [AIMessage(f"You said {interrupt('Shall I?')}.")]}

    def other(state: Messages) -> Any:
        return {"messages": [AIMessage("From the other.", id="other")]}

    team = StateGraph(Messages).add_node("plan", plan).add_node("ask", ask)
    graph = StateGraph(Messages).add_node("team", team.add_edge(START, "plan").add_edge("plan", "ask").compile())
    graph = graph.add_node("other", other).add_edge(START, "team").add_edge(START, "other")
    compiled = graph.compile(checkpointer=saver)
    for thread_id in ("waiting", "done"):
        compiled.invoke({"messages": [HumanMessage("Do it.")]}, config(thread_id))
    compiled.invoke(Command(resume="yes"), config("done"))


def others(saver: SqliteSaver) -> None:
    """A function that is a graph, and messages as OpenAI writes them."""

    @entrypoint(checkpointer=saver)
    def function(words: str, *, previous: Any = None) -> Any:
        answer = AIMessage(f"Re: {words}")
        return entrypoint.final(value=answer.content, save=[*(previous or []), HumanMessage(words), answer])

    for words in ("One?", "Two?"):
        function.invoke(words, config("function"))
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    said = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": "Two."},
    ]
    graph = StateGraph(Raw).add_node("raw", lambda state: {"messages": said}).add_edge(START, "raw")
    asked = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "1 + 1?"}]
    graph.compile(checkpointer=saver).invoke({"messages": asked}, config("dicts"))


def main(path: Path) -> None:
    """Write the file."""
    connection = sqlite3.connect(path, check_same_thread=False)
    saver = SqliteSaver(connection)
    for write in (deltas, helped, waiting, others):
        write(saver)
    connection.close()


if __name__ == "__main__":
    dumped(main, "langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langchain-core")
