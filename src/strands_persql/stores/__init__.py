"""What else Strands stores: objects (`PerSQLStorage`) and memories (`PerSQLMemoryStore`)."""
