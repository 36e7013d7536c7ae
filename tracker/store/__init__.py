"""Everything that survives a crash, as SQL in one database: accounts, groups, files, news, keys.

Each function is one question or one change inside the caller's transaction. Not here: whether the caller may (rules,
service), who is online (rules.presence, in memory).
"""
