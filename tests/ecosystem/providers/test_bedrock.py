"""Amazon Bedrock, through boto3."""

from __future__ import annotations

from ..needed import needed

needed("strands.models.bedrock")


def test_client() -> None:
    """Strands brings boto3 along, so there is nothing to install."""
