"""Writes a file of LangGraph: two threads of a graph that calls a tool, as `SqliteSaver` keeps them."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import UUID

from dump import dumped
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class State(TypedDict, total=False):
    """The channels of the graph."""

    messages: Annotated[list[AnyMessage], add_messages]
    seen: dict[str, Any]


def model(state: State) -> Any:
    """A scripted model: it asks for the weather, and tells it."""
    last = state["messages"][-1]
    usage: Any = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17, "input_token_details": {"cache_read": 3}}
    if isinstance(last, HumanMessage) and "weather" in str(last.content):
        calls = [
            {"name": "weather", "args": {"city": city}, "id": f"call_{number}", "type": "tool_call"}
            for number, city in enumerate(("Zürich", "橋本"))
        ]
        answer = AIMessage(
            content=[{"type": "text", "text": "Two cities."}],
            tool_calls=calls,
            usage_metadata=usage,
            id="a1",
            name="bot",
        )
        return {"messages": [answer], "seen": {"at": datetime(2026, 1, 2, tzinfo=timezone.utc), "id": UUID(int=7)}}
    return {"messages": [AIMessage(content="It is sunny.", usage_metadata=usage, id=f"a{len(state['messages'])}")]}


def tools(state: State) -> Any:
    """Runs the calls of the last answer; the second fails."""
    answer = state["messages"][-1]
    assert isinstance(answer, AIMessage)
    return {
        "messages": [
            ToolMessage(
                f"{call['args']['city']}: 21 °C",
                tool_call_id=call["id"],
                name=call["name"],
                id=f"t-{call['id']}",
                status="error" if call["id"] == "call_1" else "success",
            )
            for call in answer.tool_calls
        ]
    }


def route(state: State) -> str:
    """To the tools, or to the end."""
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else END


def main(path: Path) -> None:
    """Write the file."""
    builder = StateGraph(State)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route)
    builder.add_edge("tools", "model")
    connection = sqlite3.connect(path, check_same_thread=False)
    graph = builder.compile(checkpointer=SqliteSaver(connection))
    config: Any = {"configurable": {"thread_id": "weather"}, "metadata": {"user": "ada"}}
    first = [SystemMessage("Be short.", id="s1"), HumanMessage("The weather, please.", id="h1")]
    graph.invoke({"messages": first}, config)
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    graph.invoke({"messages": [HumanMessage([{"type": "text", "text": "And this?"}, image], id="h2")]}, config)
    graph.invoke({"messages": [HumanMessage("Hello.", id="h3")]}, {"configurable": {"thread_id": "other"}})
    connection.close()


if __name__ == "__main__":
    dumped(main, "langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite", "langchain-core")
