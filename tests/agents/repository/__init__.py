"""Tests of `PerSQLSessionRepository`, and of sessions that go through both doors."""
