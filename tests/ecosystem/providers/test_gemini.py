"""Google's Gemini, through its own client."""

from __future__ import annotations

import inspect

from strands.models import Model

from ..needed import needed
from .suite import Conversations, Provider
from .wires.gemini import Gemini

needed("google.genai")

from strands.models.gemini import GeminiModel  # noqa: E402


class TestGemini(Conversations):
    # 1.42 took the message of a refusal for JSON, which it is not.
    provider = Provider(Gemini(), retried="json.loads(error.message" not in inspect.getsource(GeminiModel.stream))

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "http_options": {"base_url": url}}
        return GeminiModel(client_args=client, model_id="scripted")
