"""A database handle and the tables in it: every SQL statement, and the documents that stand in the rows."""
