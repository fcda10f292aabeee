"""Database names, base addresses and file names: what is allowed, and what to do about the rest."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from urllib.parse import unquote

from urllib3.util import Url, parse_url

from ..errors import named

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}")
_LONGEST_FILE_NAME = 200
"""File systems take 255 bytes; SQLite adds `-journal`."""
_DEVICE = re.compile(r"con|prn|aux|nul|(?:com|lpt)[0-9]", re.IGNORECASE)


def split_name(name: str) -> tuple[str, str]:
    """Split `"namespace/slug"` into its two parts.

    Raises:
        ValueError: Where it isn't two parts of 1 to 128 letters, digits, `.`, `_`, `~` or `-` that don't begin with a
            dot, tilde or dash: both become segments of the request's path.
    """
    parts = name.split("/")
    if len(parts) != 2 or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(
            f'{named(name)} is not a database name: write "namespace/slug" with one slash, each part 1 to 128 letters, '
            'digits, ".", "_", "~" or "-" and beginning with a letter, digit or "_" (e.g. "acme/agent-state")'
        )
    return parts[0], parts[1]


def check_base_url(base_url: str) -> Url:
    """Parse the service's address.

    Raises:
        ValueError: Where it is no `https://` address. Plain `http://` carries the token in the clear, so it is allowed
            for loopback hosts alone (`localhost`, 127.0.0.0/8, `::1`).
    """
    try:
        url = parse_url(base_url)
    except (ValueError, TypeError, AttributeError):
        raise ValueError('base_url is not a web address; write e.g. "https://api.persql.com"') from None
    if url.scheme not in ("https", "http") or not url.host:
        raise ValueError('base_url must begin with "https://" and name a host, e.g. "https://api.persql.com"')
    if url.auth or url.query or url.fragment:
        raise ValueError(
            "base_url must hold neither credentials, nor a query, nor a fragment; pass the token as token="
        )
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError(
            f"base_url is plain http:// to {url.host}, which would send the token unencrypted; use https:// "
            "(http:// is for localhost, 127.0.0.0/8 and ::1 alone)"
        )
    default = {"https": 443, "http": 80}[url.scheme]
    return url._replace(port=None if url.port == default else url.port, path=(url.path or "").rstrip("/"))


def is_loopback(host: str) -> bool:
    """Whether a host certainly is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def file_name(namespace: str, slug: str) -> str:
    """The file of a database in a local folder: two names never share one.

    Lower-case letters, digits, `_` and `-` stand for themselves and everything else is percent-encoded, capitals too:
    some file systems don't tell them apart. `acme/agent-state` is `acme.agent-state.db`. Nor is it a device's name.
    """
    name = f"{_escape(namespace)}.{_escape(slug)}"
    if is_device(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > _LONGEST_FILE_NAME:
        # "+" occurs in no other file name, so a cut name can't be an uncut one.
        digest = hashlib.sha256(f"{namespace}/{slug}".encode()).hexdigest()
        name = f"{name[: _LONGEST_FILE_NAME - 65]}+{digest}"
    return f"{name}.db"


def is_device(name: str) -> bool:
    """Whether Windows takes a file's name for a device, which keeps nothing: `nul`, and `nul.db` as well.

    Source: Microsoft, "Naming Files, Paths, and Namespaces".
    """
    return _DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")) is not None


def name_of_file(name: str) -> str | None:
    """The database whose file this is; None where it isn't one of ours, or its name was cut (`label_of_file`)."""
    match = re.fullmatch(r"([a-z0-9_%A-F-]+)\.([a-z0-9_%A-F-]+)\.db", name)
    return f"{unquote(match[1])}/{unquote(match[2])}" if match else None


def label_of_file(name: str) -> str | None:
    """The file that holds the name of the database whose file this is, if it was cut; else None."""
    return f"{name[:-3]}.name" if re.fullmatch(r"[a-z0-9_%A-F.-]+\+[0-9a-f]{64}\.db", name) else None


def _escape(part: str) -> str:
    return re.sub(r"[^a-z0-9_-]", lambda found: f"%{ord(found[0]):02X}", part)
