"""What the tests of providers share."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="package")
def few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each client that a model makes reads all certificates, though these endpoints have none: let it read one."""
    one = ssl.create_default_context().get_ca_certs(binary_form=True)[:1]
    path: Path = tmp_path_factory.mktemp("certificates") / "one.pem"
    path.write_text("".join(map(ssl.DER_cert_to_PEM_cert, one)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield
