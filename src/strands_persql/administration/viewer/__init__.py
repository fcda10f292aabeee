"""A session as one page of HTML: to read, to send to somebody, to print. Needs the extra `cli`, for jinja2.

```python
from strands_persql.administration.viewer import session_html

page = session_html(PerSQLSessions(db), "user-42")
```

The page is whole in itself: no script, no network, images inside it. Whatever a message holds is text in it: jinja2
escapes every value, and a content security policy forbids all but the page's own style and images.
"""

from __future__ import annotations

from ._page import session_html, write_session_html

__all__ = ["session_html", "write_session_html"]
