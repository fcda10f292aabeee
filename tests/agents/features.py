"""What the installed Strands can do, asked of it and not of its version."""

from __future__ import annotations

import importlib.util
import inspect

import pytest
import strands.hooks
import strands.hooks.registry
from strands import Agent, hooks
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.types import content, session

_agent_options = inspect.signature(Agent.__init__).parameters
_window_options = inspect.signature(SlidingWindowConversationManager.__init__).parameters

TRACKING_IDS = "tracking_id" in content.Message.__annotations__
BYTES_IN_SESSION_AGENTS = "encode_bytes_values" in inspect.getsource(session.SessionAgent.to_dict)


def needs(present: bool, what: str) -> pytest.MarkDecorator:
    """Skip where the installed Strands has no such thing."""
    return pytest.mark.skipif(not present, reason=f"this Strands has no {what}")


needs_tracking_ids = needs(TRACKING_IDS, "tracking ids")
needs_order = needs(hasattr(strands.hooks.registry, "HookOrder"), "order of callbacks")
needs_pins = needs("pin_first" in _window_options, "pins")
needs_interventions = needs(importlib.util.find_spec("strands.interventions") is not None, "interventions")
needs_context_manager = needs("context_manager" in _agent_options, "context managers")
needs_background_tasks = needs("background_tasks" in _agent_options, "background tasks")
needs_invocation_cancel = needs(
    "cancel" in hooks.BeforeInvocationEvent.__dataclass_fields__, "cancelling before an invocation"
)
needs_checkpointing = needs("checkpointing" in _agent_options, "checkpointing")
needs_delegation = needs("delegate" in inspect.signature(Agent.as_tool).parameters, "delegation to other agents")
needs_newest_rows = needs(hasattr(strands.hooks, "MessageUpdatedEvent"), "rows of the newest shape")
