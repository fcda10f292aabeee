"""A server of llama.cpp, which Strands asks with httpx, as it does vLLM and others that speak as OpenAI does."""

from __future__ import annotations

from strands.models import Model
from strands.models.llamacpp import LlamaCppModel

from .suite import IMAGE, Conversations, Provider
from .wires.openai import OpenAI


class TestLlamaCpp(Conversations):
    provider = Provider(OpenAI(), blocks=(IMAGE,), thinks=False, retried=False)

    def model(self, url: str) -> Model:
        return LlamaCppModel(base_url=url, model_id="scripted")
