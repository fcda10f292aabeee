"""A server of llama.cpp, which Strands asks with httpx, as it does vLLM and others that speak as OpenAI does."""

from __future__ import annotations

import inspect
import re

from strands.models import Model
from strands.models.llamacpp import LlamaCppModel

from .suite import IMAGE, Conversations, Provider
from .wires.openai import OpenAI

# Older releases stopped reading at the reason to stop, which is sent before the counts.
COUNTS = not re.search(r"finish_reason = choice.*\n +break", inspect.getsource(LlamaCppModel.stream))


class TestLlamaCpp(Conversations):
    provider = Provider(OpenAI(), blocks=(IMAGE,), thinks=False, retried=False, stalls=False, counts=COUNTS)

    def model(self, url: str) -> Model:
        return LlamaCppModel(base_url=url, model_id="scripted")
