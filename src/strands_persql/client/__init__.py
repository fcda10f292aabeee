"""PerSQL itself: the client, its handles for remote and local databases, and the protocol that any handle keeps."""

from __future__ import annotations

from ._client import PerSQL
from ._environment import setting
from ._failures import is_blameless, is_sql_kind, logger_of
from ._files import (
    is_folder,
    is_link,
    is_sqlite,
    leads_away,
    make_private_folder,
    open_privately,
    place_of,
    uri_of,
    whole,
)
from ._forks import survive_forks
from ._handle import Handle
from ._local import AT_ONCE_STATEMENTS, LocalDatabase
from ._names import file_name, split_name
from ._protocol import Database, QueryResult, Statement
from ._remote import RemoteDatabase, end_requests
from ._retry import retries_so_far
from ._shared import ANY_NAME, shared_database
from ._statements import MAX_STATEMENTS, characters_of, only_reads
from ._store import is_open
from ._users import ProvisionedUser, UserRole, Users
from ._version import installed_version

__all__ = [
    "ANY_NAME",
    "AT_ONCE_STATEMENTS",
    "MAX_STATEMENTS",
    "Database",
    "Handle",
    "LocalDatabase",
    "PerSQL",
    "ProvisionedUser",
    "QueryResult",
    "RemoteDatabase",
    "Statement",
    "UserRole",
    "Users",
    "characters_of",
    "end_requests",
    "file_name",
    "installed_version",
    "is_blameless",
    "is_folder",
    "is_link",
    "is_open",
    "is_sql_kind",
    "is_sqlite",
    "leads_away",
    "logger_of",
    "make_private_folder",
    "only_reads",
    "open_privately",
    "place_of",
    "retries_so_far",
    "setting",
    "shared_database",
    "split_name",
    "survive_forks",
    "uri_of",
    "whole",
]
