"""The tables, and every SQL statement over them, by what they are for. Pure: no I/O, no agent.

One row holds one document, as one file of Strands' `FileSessionManager` does:

    {prefix}sessions      (session_id)                        data = Session.to_dict(), user, title, …, data_key
    {prefix}agents        (session_id, agent_id)              data = SessionAgent.to_dict(), revision, live_window,
                                                              rewinds
    {prefix}messages      (session_id, agent_id, message_id)  data = SessionMessage.to_dict(), live
    {prefix}multi_agents  (session_id, multi_agent_id)        data = serialize_state(), revision, updated_at
    {prefix}chunks        the parts of a document that is too long for one row
    {prefix}objects       (key, part)                         what Strands stores besides, such as offloaded results
    {prefix}schema        the versions of this layout that have been applied

A message's `data` is what was said. `live` is NULL, or the same kind of document with the message as the model sees it
now, where something has shrunk or edited it since: restoring takes that, everybody else reads `data`.

The documents of a session with a `data_key` are sealed (see `sealing`).

All are `WITHOUT ROWID`, and there are two indexes besides the primary keys: on PerSQL's price list a row written costs
as much as 4 requests or 400 rows read, and every index row counts as one more. One is what lists a user's sessions, the
newest first. It holds sessions with a `user` alone; their `active` is written once in 5 minutes of activity. The other
is what lists the copies of a session, and holds copies alone. A third is opt-in (`Recency`): it holds all sessions by
their last activity, those that are nobody's too.

`revision` goes up with each write of a row, from a random start and by a random step, so that no two writers make the
same one, not even over a session that was deleted and begun anew. Every write to an agent's rows carries the revision
that its writer last knew, in a place where a stale one becomes NULL in a NOT NULL column: the statement fails, and with
it the whole batch. That is how a second writer is stopped without reading first.
"""

from __future__ import annotations

from ..encoding import Document
from ._backup import StoredTable, find_stored
from ._checked import CheckedAgent, CheckedMessage, CheckedMultiAgent, CheckedParts, CheckedSession
from ._conditions import require
from ._copying import Copying, Cut
from ._deleting import Deleting
from ._doctor import DoctorTables
from ._foreign import ForeignTables
from ._fts import IndexedTables, lacks_secure_deletion, without_deleted_words
from ._history import History, HistoryPage, Neighbour
from ._layout import STEPS, first_revision, revision_step
from ._listing import AMONG, Ids, Listing, Place, SessionRow, Which
from ._memories import SCANNED, FoundMemory, MemoryTables, MemoryText, memory_id
from ._newest import Newest, newest
from ._objects import Encoded, KeyScore, KeySize, ObjectRows, ObjectTables, after_prefix, decoded, first_number
from ._ownership import Ownership, Standing
from ._parts import ChunkKind
from ._reading import Found, MessagePage, Reading
from ._recency import Recency
from ._resealing import ResealingTables, WrappedKey
from ._restore import CHUNKS_AT_ONCE, MESSAGES_AT_ONCE
from ._search import EXCERPT, FoundMessage, MessageKey, ScannedMessage, Search, Within
from ._session_objects import SessionObjects, agent_prefix, drop_broken_off, object_place, session_of, session_prefix
from ._store_keys import StoreKeys
from ._tables import Tables
from ._texts import PageEnd, Texts, find_indexes
from ._transfer import AgentColumns, Kind, PagedMessage, SessionHead, StoredState, TransferTables
from ._usage import DayOfUsage, sealed_page, usage_by_day
from ._views import Views

__all__ = [
    "AMONG",
    "CHUNKS_AT_ONCE",
    "EXCERPT",
    "MESSAGES_AT_ONCE",
    "SCANNED",
    "STEPS",
    "AgentColumns",
    "CheckedAgent",
    "CheckedMessage",
    "CheckedMultiAgent",
    "CheckedParts",
    "CheckedSession",
    "ChunkKind",
    "Copying",
    "Cut",
    "DayOfUsage",
    "Deleting",
    "DoctorTables",
    "Document",
    "Encoded",
    "ForeignTables",
    "Found",
    "FoundMemory",
    "FoundMessage",
    "History",
    "HistoryPage",
    "Ids",
    "IndexedTables",
    "KeyScore",
    "KeySize",
    "Kind",
    "Listing",
    "MemoryTables",
    "MemoryText",
    "MessageKey",
    "MessagePage",
    "Neighbour",
    "Newest",
    "ObjectRows",
    "ObjectTables",
    "Ownership",
    "PageEnd",
    "PagedMessage",
    "Place",
    "Reading",
    "Recency",
    "ResealingTables",
    "ScannedMessage",
    "Search",
    "SessionHead",
    "SessionObjects",
    "SessionRow",
    "Standing",
    "StoreKeys",
    "StoredState",
    "StoredTable",
    "Tables",
    "Texts",
    "TransferTables",
    "Views",
    "Which",
    "Within",
    "WrappedKey",
    "after_prefix",
    "agent_prefix",
    "decoded",
    "drop_broken_off",
    "find_indexes",
    "find_stored",
    "first_number",
    "first_revision",
    "lacks_secure_deletion",
    "memory_id",
    "newest",
    "object_place",
    "require",
    "revision_step",
    "sealed_page",
    "session_of",
    "session_prefix",
    "usage_by_day",
    "without_deleted_words",
]
