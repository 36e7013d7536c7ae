"""SQLite behind the store: opening the database, its file as a file, and statements that run without a thread.

Nothing outside this room depends on which SQL engine it is, apart from `insert_if_free`, which names the dialects.
"""
