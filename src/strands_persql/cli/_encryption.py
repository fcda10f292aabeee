"""The commands about encryption: encrypt, decrypt, rotate."""

from typing import Annotated, cast

import typer

from ..administration.encrypting import Stored
from ..administration.values import many
from ._options import OptionalSession, Problem, Settings, YesOption, confirmed, require_there
from ._output import progress

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="STORE", help="In place of a session: objects (those that are no session's), or memories."
    ),
]


def encrypt(settings: Settings, session: OptionalSession = None, store: StoreOption = None) -> None:
    """Encrypt a session, or a store, that is in clear. Run again after an interruption, it goes on."""
    _check_one(session, store)
    settings.needed_key("encrypt")
    with settings.opened() as place:
        if session is None:
            with progress(f"encrypting {store}") as report:
                count = place.sessions.encrypt_store(cast("Stored", store), progress=report)
            settings.output.answer({"store": store, "encrypted": count}, f"{_counted(count, store)} encrypted")
            return
        with progress(f"encrypting {session}") as report:
            place.sessions.encrypt(session, progress=report)
        settings.output.answer({"session_id": session, "encrypted": True}, f"{session} is encrypted")


def decrypt(
    settings: Settings, session: OptionalSession = None, store: StoreOption = None, yes: YesOption = False
) -> None:
    """Store an encrypted session, or store, in clear. Run again after an interruption, it goes on."""
    _check_one(session, store)
    settings.needed_key("decrypt")
    with settings.opened() as place:
        if session is None:
            confirmed(f"Store all {store} in clear?", yes)
            with progress(f"decrypting {store}") as report:
                count = place.sessions.decrypt_store(cast("Stored", store), progress=report)
            settings.output.answer({"store": store, "decrypted": count}, f"{_counted(count, store)} decrypted")
            return
        require_there(place, session)
        confirmed(f"Store session {session!r} in clear?", yes)
        with progress(f"decrypting {session}") as report:
            place.sessions.decrypt(session, progress=report)
        settings.output.answer({"session_id": session, "encrypted": False}, f"{session} is stored in clear")


def _counted(count: int, store: str | None) -> str:
    return many(count, "object") if store == "objects" else many(count, "memory", "memories")


def _check_one(session: str | None, store: str | None) -> None:
    if (session is None) is (store is None):
        raise Problem("name a session, or --store objects or --store memories", 2)
    if store not in (None, "objects", "memories"):
        raise typer.BadParameter(f"{store!r} is none of objects, memories", param_hint="--store")


def rotate(settings: Settings) -> None:
    """Wrap all data keys under the newest key of a keyring. No message is read or written."""
    settings.needed_key("rotate")
    with settings.opened() as place:
        with progress("wrapping data keys") as report:
            count = place.sessions.rotate(progress=report)
        settings.output.answer({"rotated": count}, f"{many(count, 'data key')} wrapped under the newest key")
