"""Sessions over HTTP, for the users whose sessions they are: an ASGI app to mount. Needs the extra `web`.

```python
from strands_persql.web import sessions_app

app = FastAPI()
app.mount("/chats", sessions_app(database, user=lambda request: request.session.get("user")))
```
"""

from __future__ import annotations

from ..administration.users import EVERYONE, Everyone, UserSessions

try:
    from ._app import sessions_app
    from ._service import UserOf
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("starlette", "anyio"):
        raise
    raise ModuleNotFoundError(
        f"{error.name} is missing; install the extra: pip install 'strands-persql[web]'", name=error.name
    ) from error

__all__ = ["EVERYONE", "Everyone", "UserOf", "UserSessions", "sessions_app"]
