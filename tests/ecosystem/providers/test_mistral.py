"""Mistral, through its own client."""

from __future__ import annotations

from strands.models import Model

from ..needed import needed
from .suite import IMAGE, Conversations, Provider
from .wires.openai import OpenAI

needed("mistralai")

from strands.models.mistral import MistralModel  # noqa: E402


class TestMistral(Conversations):
    provider = Provider(OpenAI(whole_calls=True), blocks=(IMAGE,), thinks=False)

    def model(self, url: str) -> Model:
        return MistralModel("none", client_args={"server_url": url}, model_id="scripted")
