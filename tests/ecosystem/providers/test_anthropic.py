"""Anthropic's messages, through its own client."""

from __future__ import annotations

from strands.models import Model

from ..needed import needed
from .suite import Conversations, Provider
from .wires.anthropic import Anthropic

needed("anthropic")

from strands.models.anthropic import AnthropicModel  # noqa: E402


class TestAnthropic(Conversations):
    provider = Provider(Anthropic())

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "base_url": url, "max_retries": 0}
        return AnthropicModel(client_args=client, model_id="scripted", max_tokens=100)
