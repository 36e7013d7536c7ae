"""How many files and sockets this process may have open: RLIMIT_NOFILE.

Every file that is served keeps descriptors open, here and in every worker, and every link is one.
"""

import errno
import os
import resource


def raise_to_hard_limit() -> None:
    """The soft limit, 1024 on most systems, is made for programs that use select(2); this one does not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def require(count: int) -> None:
    """Raises OSError (EMFILE) if this process may not have so many descriptors open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and count > limit:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
