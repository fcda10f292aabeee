"""OpenAI's chat completions, through its own client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from strands.models import Model
from strands.models import model as of_models

from ...agents.features import needs
from ...agents.harness import SESSION
from ..needed import needed
from .suite import Conversation, Conversations, Provider
from .wires.openai import OpenAI

needed("openai")

from strands.models.openai import OpenAIModel  # noqa: E402

CacheConfig: Any = getattr(of_models, "CacheConfig", None)


class TestOpenAI(Conversations):
    provider = Provider(OpenAI())

    def model(self, url: str, **options: Any) -> Model:
        client = {"api_key": "none", "base_url": f"{url}/v1", "max_retries": 0}
        return OpenAIModel(client_args=client, model_id="scripted", **options)

    @needs("cache_key" in getattr(CacheConfig, "__annotations__", ()), "keys of the provider's cache")
    async def test_cache_key(self, talk: Callable[..., Conversation]) -> None:
        """The provider's cache is found again: Strands derives its key from the session's id."""
        talking = talk("local")
        talking.model = lambda url: self.model(url, cache_config=CacheConfig())
        bodies = await talking.play(self.provider.conversation[:2], restarts=True)
        assert {json.loads(body)["prompt_cache_key"] for body in bodies} == {f"strands-{SESSION}"}
