"""Ollama, through its own client."""

from __future__ import annotations

from strands.models import Model

from ..needed import needed
from .suite import IMAGE, Conversations, Provider
from .wires.ollama import Ollama

needed("ollama")

from strands.models.ollama import OllamaModel  # noqa: E402


class TestOllama(Conversations):
    provider = Provider(Ollama(), blocks=(IMAGE,), thinks=False, retried=False)

    def model(self, url: str) -> Model:
        return OllamaModel(url, model_id="scripted")
