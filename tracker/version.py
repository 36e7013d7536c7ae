"""The version of Shoal: of the client and of the tracker, which are released together.

It stands in a file of its own so that `--version` and the build (pyproject.toml) read it without importing anything
else. Not for: the versions of the two wire protocols and of the databases, which change for their own reasons.
"""

VERSION = "0.1.0"
