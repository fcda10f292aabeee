"""`client.databases`: create and list databases (docs.persql.com, platform/templates)."""

from __future__ import annotations

import re
import secrets
from typing import Any

from ..errors import named
from ._answers import Answer, as_list, as_object
from ._local import Folder
from ._remote import Request, Service

PAGE_SIZE = 100
"""Databases the service lists at once; whether there are further pages is not documented."""


class Databases:
    """The databases of the token's namespace, or of the local folder. Made by `PerSQL.databases`."""

    def __init__(self, place: Service | Folder) -> None:
        self._place = place

    def create(self, name: str, slug: str | None = None) -> dict[str, Any]:
        """Create a database.

        Args:
            name: What the console shows.
            slug: The part after the slash in `"namespace/slug"`; by default made of the name: lower case, a dash for
                whatever isn't a letter or digit.

        Returns:
            The database as the service describes it: `id`, `slug`, `name`, `status` and more. Locally `slug`,
            `name` and `status` alone: a local database needs no creating, its first use is enough.

        Raises:
            PerSQLError: Where the service refuses it: the slug is taken, or the token may not create databases.
            ValueError: Where no slug can be made of the name.
        """
        if slug is None:
            slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
            if not slug:
                raise ValueError(f"no slug can be made of {named(name)}; pass slug=")
        if isinstance(self._place, Folder):
            return {"slug": slug, "name": name, "status": "active"}
        payload = {"name": name, "slug": slug}
        return self._place.request(Request("POST", "/v1/databases", payload, slug, key=secrets.token_hex(16)), _object)

    def list(self) -> list[dict[str, Any]]:
        """The databases there are, the first 100 of the service's.

        Returns:
            Each as the service describes it (`id`, `slug`, `name`, `status` …). Locally `slug`, `name`
            (`"namespace/slug"`) and `status`, of the folder's files or of those in memory; a single file, which serves
            every name, lists none.

        Raises:
            PerSQLError: Where the service refuses it.
        """
        if isinstance(self._place, Folder):
            return [{"slug": name.partition("/")[2], "name": name, "status": "active"} for name in self._place.names()]
        return self._place.request(Request("GET", f"/v1/databases?pageSize={PAGE_SIZE}", None, "(all)"), _objects)


def _object(answer: Answer) -> dict[str, Any] | None:
    return as_object(answer.data)


def _objects(answer: Answer) -> list[dict[str, Any]] | None:
    # The answer's shape is not documented: the bare list, or the list under a name, beside fields about the page.
    candidates = [answer.data, *(as_object(answer.data) or {}).values()]
    entries = next((found for found in map(as_list, candidates) if found is not None), None)
    return None if entries is None else [entry for entry in map(as_object, entries) if entry is not None]
