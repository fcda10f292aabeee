"""Examines a database: its connection, the token's role, the layout, and every row.

```python
for finding in diagnose(client.database("acme/agent-state")):
    print(finding.severity, finding.where, finding.what, finding.remedy)
```

Nothing is changed by it. `mend` changes what can be mended without a loss. Both are safe beside live agents: what
several tables tell together is asked again in one statement before it is reported; what mends carries the same
condition, and raises the revision of the agent's row, so that an agent in the midst of writing gets
`SessionConflictError` instead of a row that can't be read.

All tables are read in the order of their keys, page by page. What is held at a time is a page of each and the shape of
one agent's live window: which roles and tool ids its messages have, not what they say.
"""

from __future__ import annotations

from ._doctor import diagnose, examine, mend
from ._findings import Finding, Severity

__all__ = ["Finding", "Severity", "diagnose", "examine", "mend"]
