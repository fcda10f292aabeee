"""Scripts that write the files of SQL beside this folder, each by the package that it is of, where that is installed.

python tests/administration/transfer/foreign/writers/agno_sessions.py tests/administration/transfer/foreign/agno.sql
"""
