"""The commands about encryption: encrypt, decrypt, rotate."""

from ..administration.values import many
from ._options import SessionArgument, Settings, YesOption, confirmed
from ._output import progress


def encrypt(settings: Settings, session: SessionArgument) -> None:
    """Encrypt a session that is stored in clear. Run again after an interruption, it goes on."""
    with settings.opened() as place:
        with progress(f"encrypting {session}") as report:
            place.sessions.encrypt(session, progress=report)
        settings.output.answer({"session_id": session, "encrypted": True}, f"{session} is encrypted")


def decrypt(settings: Settings, session: SessionArgument, yes: YesOption = False) -> None:
    """Store an encrypted session in clear. Run again after an interruption, it goes on."""
    with settings.opened() as place:
        confirmed(f"Store session {session!r} in clear?", yes)
        with progress(f"decrypting {session}") as report:
            place.sessions.decrypt(session, progress=report)
        settings.output.answer({"session_id": session, "encrypted": False}, f"{session} is stored in clear")


def rotate(settings: Settings) -> None:
    """Wrap the data keys of all sessions under the newest key of a keyring; no message is read or written."""
    with settings.opened() as place:
        with progress("wrapping data keys") as report:
            count = place.sessions.rotate(progress=report)
        settings.output.answer({"rotated": count}, f"{many(count, 'data key')} wrapped under the newest key")
