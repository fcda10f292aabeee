"""LiteLLM, which speaks as the provider does that its model's name begins with."""

from __future__ import annotations

from importlib import metadata

from strands.models import Model

from ..needed import needed
from .suite import Conversations, Provider
from .wires.anthropic import Anthropic
from .wires.openai import OpenAI

needed("litellm")

import litellm  # noqa: E402
from strands.models.litellm import LiteLLMModel  # noqa: E402

litellm.suppress_debug_info = True
NOTICES = tuple(map(int, metadata.version("litellm").split(".")[:2])) > (1, 83)


class TestOverOpenAI(Conversations):
    provider = Provider(OpenAI(), retried=False, notices=NOTICES)

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "api_base": f"{url}/v1", "max_retries": 0}
        return LiteLLMModel(client_args=client, model_id="openai/scripted")


class TestOverAnthropic(Conversations):
    provider = Provider(Anthropic(), retried=False, notices=NOTICES)
    test_another_process = None  # type: ignore[assignment]  # it would import LiteLLM once more

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "api_base": url, "max_retries": 0}
        return LiteLLMModel(client_args=client, model_id="anthropic/claude-scripted")
