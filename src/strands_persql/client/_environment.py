"""What the environment says: this package's settings; the service's proxies and certificates."""

from __future__ import annotations

import base64
import importlib
import os
import ssl
import sys
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from urllib3 import HTTPConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection
from urllib3.util import Url, parse_url

from ..errors import PerSQLError
from ._forks import survive_forks
from ._names import is_loopback


def setting(name: str) -> str | None:
    """A variable less the blanks and line ends that a file of settings may leave round it; None where none is set."""
    return os.environ.get(name, "").strip() or None


def pool_of(address: Url, **options: Any) -> HTTPConnectionPool:
    """A pool of connections to an address, none of them open yet.

    They are opened by the environment's proxies (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, or the system's settings) and
    certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR`).

    Args:
        address: Its scheme, host and port.
        options: The pool's own (urllib3, `HTTPConnectionPool`).

    Raises:
        PerSQLError: The environment's settings can't be used. It quotes none of them: one may hold a password.
    """
    try:
        return _pool_of(address, options)
    except OSError:
        wrong = (
            "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded; set it to a file or folder of "
            "certificates in PEM form, or unset it"
        )
    except ImportError:
        wrong = (
            "ALL_PROXY, HTTPS_PROXY or HTTP_PROXY names a SOCKS proxy, for which urllib3 needs another package; "
            'pip install "urllib3[socks]", or name an HTTP proxy'
        )
    except ValueError:
        wrong = (
            "ALL_PROXY, HTTPS_PROXY or HTTP_PROXY can't be read; write a proxy as http://user:password@host:port, with "
            "%-escapes in user and password"
        )
    # Here, and not where it was caught: it would lead to its cause.
    raise PerSQLError(f"the environment can't be used to reach the service: {wrong}", kind="environment")


def _pool_of(address: Url, options: dict[str, Any]) -> HTTPConnectionPool:
    if address.scheme == "https":
        options["ssl_context"] = _certificates()
    proxy = proxies.of(address)
    manager = PoolManager(**options) if proxy is None else _through(proxy, options)
    return manager.connection_from_host(address.host or "", address.port, address.scheme)


class _Proxies:
    """Finds the proxy on the way to an address.

    macOS ends a forked child that asks for the system's settings (CPython's issue 77906). There a child goes by what
    its parent has found, which asks right before the fork.
    """

    def __init__(self) -> None:
        self._found: dict[Url, str | None] = {}
        self._asks = True
        survive_forks(self)
        if sys.platform == "darwin":
            os.register_at_fork(before=self._before_fork)

    def expect(self, address: Url) -> None:
        """There is a client of this address, which may be used in a child process alone."""
        self._found.setdefault(address, None)

    def _before_fork(self) -> None:
        for address in list(self._found):
            with suppress(OSError, ValueError):
                self.of(address)

    def after_fork(self) -> None:
        """In a child process."""
        self._asks = sys.platform != "darwin"

    def of(self, address: Url) -> str | None:
        """The proxy that the environment, or else the system's settings, name for an address; None for none."""
        if is_loopback(address.host or ""):  # else a proxy would be handed the token in the clear on its way there
            return None
        if urllib.request.getproxies_environment():  # these come first, and the system is not asked
            return _asked_for(address)
        if self._asks:
            self._found[address] = _asked_for(address)
        return self._found.get(address)


proxies = _Proxies()


def _asked_for(address: Url) -> str | None:
    if urllib.request.proxy_bypass(address.host or ""):
        return None
    found = urllib.request.getproxies()
    return found.get(address.scheme or "") or found.get("all")


def _through(proxy: str, options: dict[str, Any]) -> PoolManager:
    """A manager of pools whose connections go through a proxy."""
    url = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    if url.path not in (None, "/") or url.query or url.fragment or not url.host:
        raise ValueError("no proxy's address")
    user, _, password = map(unquote, (url.auth or "").partition(":"))
    # As where there is no proxy; urllib3 has small writes wait for one another otherwise.
    options["socket_options"] = HTTPConnection.default_socket_options
    if (url.scheme or "").startswith("socks"):
        importlib.import_module("socks")  # which urllib3 warns of before it fails
        socks = importlib.import_module("urllib3.contrib.socks")
        through: PoolManager = socks.SOCKSProxyManager(url.url, user or None, password or None, **options)
        return through
    if url.scheme not in ("http", "https"):
        raise ValueError("no kind of proxy that is known")
    headers = None
    if url.auth:
        headers = {"Proxy-Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
    return ProxyManager(url.url, proxy_headers=headers, proxy_ssl_context=options["ssl_context"], **options)


def _certificates() -> ssl.SSLContext:
    """Those that are trusted: of the environment's file or folder, else the system's."""
    file, folder = os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None
    context = ssl.create_default_context(cafile=file, capath=folder)
    if not file and not folder and not context.cert_store_stats()["x509_ca"]:
        # Some builds of Python know none of the system's; certifi comes with most libraries that speak HTTP.
        with suppress(ImportError):
            context.load_verify_locations(importlib.import_module("certifi").where())
    return context
