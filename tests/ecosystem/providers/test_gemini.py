"""Google's Gemini, through its own client."""

from __future__ import annotations

from strands.models import Model

from ..needed import needed
from .suite import Conversations, Provider
from .wires.gemini import Gemini

needed("google.genai")

from strands.models.gemini import GeminiModel  # noqa: E402


class TestGemini(Conversations):
    provider = Provider(Gemini())

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "http_options": {"base_url": url}}
        return GeminiModel(client_args=client, model_id="scripted")
