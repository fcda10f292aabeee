"""OpenAI's Responses, through its own client: with the conversation here, and with the conversation at the provider."""

from __future__ import annotations

from strands.models import Model

from ..needed import needed
from .suite import Conversations, Provider
from .wires.responses import Responses

needed("openai")

from strands.models.openai_responses import OpenAIResponsesModel  # noqa: E402


class TestResponses(Conversations):
    provider = Provider(Responses())
    test_another_process = None  # type: ignore[assignment]  # the other class has one

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "base_url": f"{url}/v1", "max_retries": 0}
        return OpenAIResponsesModel(client_args=client, model_id="scripted")


class TestKeptByTheProvider(Conversations):
    provider = Provider(Responses())

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "base_url": f"{url}/v1", "max_retries": 0}
        return OpenAIResponsesModel(client_args=client, model_id="scripted", stateful=True)
