"""The models that the examples can use: the scripted one, or a real one by the name of its provider."""

from __future__ import annotations

import os

from strands.models import Model

from strands_persql.testing import OfflineModel

PROVIDERS = ("anthropic", "bedrock", "ollama", "openai", "scripted")

# What to look at when a call to the provider fails.
REMEDIES = {
    "anthropic": "check the key, the model's id and the network",
    "bedrock": "check the credentials, the region and the access to the model",
    "ollama": "start it with `ollama serve` and fetch the model with `ollama pull`",
    "openai": "check the key, the model's id and the network",
}


class Unavailable(Exception):
    """A model can't be used; the message says what it needs."""


def make_model(provider: str, model_id: str | None = None) -> Model:
    """Return a model of `provider`: the one called `model_id`, or a small and usual one.

    Raises:
        Unavailable: The provider's package, key or credentials are missing.
    """
    try:
        if provider == "anthropic":
            return anthropic(model_id)
        if provider == "bedrock":
            return bedrock(model_id)
        if provider == "ollama":
            return ollama(model_id)
        if provider == "openai":
            return openai(model_id)
        return OfflineModel()
    except ImportError as error:
        raise Unavailable(
            f'the {provider} model needs its package: pip install "strands-agents[{provider}]" ({error})'
        ) from error


# Each import stands in its function: no provider's package is needed until its model is asked for.


def anthropic(model_id: str | None) -> Model:
    """Return a model of Anthropic's."""
    from strands.models.anthropic import AnthropicModel

    require_key("anthropic", "ANTHROPIC_API_KEY")
    return AnthropicModel(model_id=model_id or "claude-haiku-4-5", max_tokens=1024)


def bedrock(model_id: str | None) -> Model:
    """Return Amazon Bedrock's, which is what Strands uses where no model is named."""
    import boto3
    from strands.models.bedrock import BedrockModel

    if boto3.Session().get_credentials() is None:
        raise Unavailable("the bedrock model needs AWS credentials: run `aws configure`, or export AWS_PROFILE=…")
    return BedrockModel(model_id=model_id) if model_id else BedrockModel()


def ollama(model_id: str | None) -> Model:
    """Return a model served by Ollama on this machine, or at OLLAMA_HOST."""
    from strands.models.ollama import OllamaModel

    return OllamaModel(os.environ.get("OLLAMA_HOST", "http://localhost:11434"), model_id=model_id or "llama3.2")


def openai(model_id: str | None) -> Model:
    """Return a model of OpenAI's, or of whatever speaks its API at OPENAI_BASE_URL."""
    from strands.models.openai import OpenAIModel

    require_key("openai", "OPENAI_API_KEY")
    return OpenAIModel(model_id=model_id or "gpt-4o-mini")


def require_key(provider: str, variable: str) -> None:
    """Raise Unavailable unless the environment has `variable`."""
    if not os.environ.get(variable):
        raise Unavailable(f"the {provider} model needs a key: export {variable}=…")
