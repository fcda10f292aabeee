"""Pages over all sessions of a database, for whoever runs its agents. Needs the extra `web`.

```python
import uvicorn
from strands_persql.web.pages import pages_app

uvicorn.run(pages_app(database), host="127.0.0.1", port=8765)
```
"""

from __future__ import annotations

from ._app import pages_app
from ._guard import is_loopback

__all__ = ["is_loopback", "pages_app"]
