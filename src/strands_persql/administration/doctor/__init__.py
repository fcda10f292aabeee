"""Examines a database: its connection, the token's role, the layout, and every row.

```python
for finding in diagnose(client.database("acme/agent-state")):
    print(finding.severity, finding.where, finding.what, finding.remedy)
```

An examination changes nothing. `mend` changes what can be mended without a loss. Both are safe beside live agents: a
finding that follows from several tables is checked again in one statement before it is reported. The statements that
mend carry the same condition, and raise the revision of the agent's row, so that an agent which is writing meanwhile
gets `SessionConflictError` instead of a row that can't be read.

All tables are read in the order of their keys, page by page. A page of each is held in memory, and the shapes of one
agent's messages: their roles and tool ids, not what they say.
"""

from __future__ import annotations

from ._doctor import diagnose, examine, mend
from ._findings import Finding, Severity

__all__ = ["Finding", "Severity", "diagnose", "examine", "mend"]
