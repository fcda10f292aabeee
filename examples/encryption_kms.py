# /// script
# requires-python = ">=3.10"
# dependencies = ["strands-persql[encryption]", "boto3>=1.34"]
# ///
"""A session that is encrypted, under a key that never leaves AWS KMS.

    python examples/encryption_kms.py --key alias/agents

The service wraps one random key for each session, and unwraps it when the session is opened. Messages are encrypted
here. Whoever may not use the key at the service can't read them, whatever else they have.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import boto3
from strands import Agent
from texts import text_of

from strands_persql import Encryption, EncryptionError, PerSQL, PerSQLSessionManager
from strands_persql.testing import OfflineModel


class KmsKey:
    """A key of AWS KMS, as `Encryption` takes it.

    Args:
        client: boto3's client of the service.
        key_id: The key's id, ARN or alias.
    """

    def __init__(self, client: Any, key_id: str) -> None:
        self.key_id = key_id
        self._client = client

    def wrap(self, key: bytes) -> bytes:
        """Wrap a data key."""
        return bytes(self._client.encrypt(KeyId=self.key_id, Plaintext=key)["CiphertextBlob"])

    def unwrap(self, wrapped: bytes) -> bytes:
        """Unwrap it."""
        return bytes(self._client.decrypt(KeyId=self.key_id, CiphertextBlob=wrapped)["Plaintext"])


def main() -> None:
    """Say something, come back to it as another process would, and try without the key."""
    parser = argparse.ArgumentParser(description="A session encrypted under a key of AWS KMS.")
    parser.add_argument("--key", default="alias/agents", help="the key's id, ARN or alias")
    options = parser.parse_args()
    encryption = Encryption(KmsKey(boto3.client("kms"), options.key))
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "agents.db")
        for words in ("My name is Ada.", "What is my name?"):
            print(f"> {words}\n{talk(file, encryption, words)}")
        try:
            talk(file, None, "Who was here?")
        except EncryptionError as error:
            print(f"Without the key: {error}")


def talk(file: str, encryption: Encryption | None, words: str) -> str:
    """One turn of a process of its own."""
    with PerSQL(local=file) as client:
        session = PerSQLSessionManager("user-42", client.database("local/agents"), encryption=encryption)
        agent = Agent(model=OfflineModel(), session_manager=session, callback_handler=None)
        return text_of(agent(words).message)


if __name__ == "__main__":
    main()
