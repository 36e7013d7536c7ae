import errno
import os
import resource
from collections.abc import Iterator

import pytest

from engine.process import descriptor_limit


@pytest.fixture
def limit() -> Iterator[int]:
    """A soft limit below the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(soft, hard) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    yield low
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_descriptors_than_the_limit_are_refused_and_as_many_are_not(limit: int) -> None:
    descriptor_limit.require(limit)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        descriptor_limit.require(limit + 1)


def test_the_limit_is_raised_as_far_as_the_system_allows(limit: int) -> None:
    descriptor_limit.raise_to_hard_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard
