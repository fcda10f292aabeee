"""Meta's Llama API, through its own client."""

from __future__ import annotations

from strands.models import Model

from ..needed import needed
from .suite import IMAGE, Conversations, Provider
from .wires.llama import Llama

needed("llama_api_client")

from strands.models.llamaapi import LlamaAPIModel  # noqa: E402


class TestLlamaAPI(Conversations):
    provider = Provider(Llama(), blocks=(IMAGE,), thinks=False, stalls=False)

    def model(self, url: str) -> Model:
        client = {"api_key": "none", "base_url": f"{url}/v1/", "max_retries": 0}
        return LlamaAPIModel(client_args=client, model_id="scripted")
