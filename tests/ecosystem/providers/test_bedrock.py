"""Amazon Bedrock, through boto3, which every Strands brings along."""

from __future__ import annotations

import functools
from collections.abc import Callable

import boto3
from botocore.config import Config
from strands.models import Model
from strands.models.bedrock import BedrockModel

from ...agents.harness import words_of
from .endpoint import Answer
from .suite import Conversation, Conversations, Provider, Turn
from .wires.bedrock import AMID, Bedrock


@functools.cache
def session() -> boto3.Session:
    """One for all models: it reads AWS' description of the service once."""
    return boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-west-2")


SECRET = "My secret is 1234."


class TestBedrock(Conversations):
    provider = Provider(Bedrock())

    def model(self, url: str) -> Model:
        return BedrockModel(
            boto_session=session(),
            endpoint_url=url,
            boto_client_config=Config(retries={"total_max_attempts": 1}),
            model_id="anthropic.claude-scripted",
        )

    async def test_guardrail(self, talk: Callable[..., Conversation]) -> None:
        """What a guardrail blocks is overwritten, and a new process sends what this one would have sent."""
        wire = Bedrock(guardrail="Blocked.")
        turns = [
            Turn(SECRET, (Answer(text="Blocked."),)),
            Turn("Go on.", (Answer(text="Going on."),)),
        ]
        alone = await talk(wire=wire).play(turns)
        assert SECRET.encode() not in alone[-1]
        talking = talk("local", wire=wire)
        assert await talking.play(turns, restarts=True) == alone
        assert talking.store is not None
        assert not talking.store.holds(SECRET)

    async def test_throttled_amid_a_stream(self, talk: Callable[..., Conversation]) -> None:
        """Bedrock may refuse in the middle of an answer, too; Strands asks again, and one answer is stored."""
        turns = [
            Turn("Busy?", (Answer(text=AMID), Answer(text="Not any more."))),
            Turn("Go on.", (Answer(text="Going on."),)),
        ]
        alone = await talk().play(turns)
        talking = talk("local")
        assert await talking.play(turns, restarts=True) == alone
        assert talking.store is not None
        assert words_of(talking.store.messages()) == ["Busy?", "Not any more.", "Go on.", "Going on."]
