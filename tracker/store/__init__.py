"""Everything that survives a crash: accounts, groups, files, news, keys, as SQL in one database.

A function is one question or one change inside the caller's transaction. Not here: whether the caller may (rules), who
is online (rules.presence, in memory).
"""
