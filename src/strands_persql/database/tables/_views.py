"""Views for people who look at data: one row a message, and what each agent has used. They cost writers nothing."""

from __future__ import annotations

from ..query import Query, unanswered
from ._statements import is_in_parts, statement

_SHOWN = "CASE WHEN json_type(document, '$.redact_message') = 'object' THEN '$.redact_message' ELSE '$.message' END"
"""Where a document has the message: what a redaction has put in the place of another one goes before that."""

_TEXT = (
    "CASE WHEN b.type <> 'object' THEN NULL "
    "WHEN json_type(b.value, '$.text') = 'text' THEN json_extract(b.value, '$.text') "
    "WHEN json_type(b.value, '$.toolResult.content') = 'array' THEN (SELECT group_concat(CASE WHEN r.type <> 'object' "
    "THEN NULL WHEN json_type(r.value, '$.text') = 'text' THEN json_extract(r.value, '$.text') "
    "ELSE json_extract(r.value, '$.json') END, char(10)) FROM json_each(b.value, '$.toolResult.content') AS r) END"
)
_TOOL = "CASE WHEN b.type = 'object' THEN json_extract(b.value, '$.toolUse.name') END"
_FAILED = "CASE WHEN b.type = 'object' THEN json_extract(b.value, '$.toolResult.status') = 'error' END"

_TOKENS = {
    "input_tokens": "usage.inputTokens",
    "output_tokens": "usage.outputTokens",
    "cache_read_tokens": "usage.cacheReadInputTokens",
    "cache_write_tokens": "usage.cacheWriteInputTokens",
    "latency_ms": "metrics.latencyMs",
}


class Views:
    """The statements over the views.

    Args:
        prefix: Starts the name of each table and view.

    Attributes:
        names: The views.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.names = (f"{prefix}conversation", f"{prefix}usage")

    def create(self) -> Query[None]:
        """Create both, or bring them to the form of this release; takes the right to run DDL."""
        conversation, usage = self.names
        return unanswered(
            *self.drop().statements,
            statement(f"CREATE VIEW {conversation} AS {self._conversation()}"),
            statement(f"CREATE VIEW {usage} AS {self._usage(conversation)}"),
        )

    def drop(self) -> Query[None]:
        """Drop both, where they are."""
        return unanswered(*(statement(f"DROP VIEW IF EXISTS {name}") for name in reversed(self.names)))

    def _conversation(self) -> str:
        p, blocks = self._prefix, "json_each(document, shown || '.content') AS b"
        parts = (
            "(SELECT group_concat(data, '') FROM (SELECT c.data AS data FROM "
            f"{p}chunks AS c WHERE c.session_id = m.session_id AND c.kind = 'message' AND c.owner = m.agent_id "
            "AND c.message_id = m.message_id AND c.generation = json_extract(m.data, '$.generation') ORDER BY c.part))"
        )
        whole = f"CASE WHEN {is_in_parts('m.data')} THEN {parts} ELSE m.data END"
        tokens = ", ".join(
            f"json_extract(document, shown || '.metadata.{path}') AS {name}" for name, path in _TOKENS.items()
        )
        # A document that SQLite can't read is none: its row stands there, without text.
        return (
            "SELECT session_id, agent_id, position, json_extract(document, shown || '.role') AS role, "
            f"(SELECT group_concat({_TEXT}, char(10)) FROM {blocks}) AS text, "
            f"(SELECT group_concat({_TOOL}, ', ') FROM {blocks}) AS tool_name, "
            f"(SELECT coalesce(sum({_FAILED}), 0) FROM {blocks}) AS tool_errors, {tokens}, "
            "json_extract(document, '$.created_at') AS time "
            f"FROM (SELECT session_id, agent_id, position, document, {_SHOWN} AS shown FROM ("
            "SELECT session_id, agent_id, position, CASE WHEN json_valid(text) THEN text ELSE '{}' END AS document "
            "FROM (SELECT m.session_id AS session_id, m.agent_id AS agent_id, m.message_id AS position, "
            f"{whole} AS text FROM {p}messages AS m)))"
        )

    @staticmethod
    def _usage(conversation: str) -> str:
        sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in _TOKENS)
        commas = "length(tool_name) - length(replace(tool_name, ',', ''))"
        calls = f"sum(CASE WHEN tool_name IS NULL THEN 0 ELSE {commas} + 1 END)"
        return (
            "SELECT session_id, agent_id, count(*) AS messages, coalesce(sum(role = 'assistant'), 0) AS model_calls, "
            f"{calls} AS tool_calls, sum(tool_errors) AS tool_errors, {sums}, min(time) AS first_time, "
            f"max(time) AS last_time FROM {conversation} GROUP BY session_id, agent_id"
        )
