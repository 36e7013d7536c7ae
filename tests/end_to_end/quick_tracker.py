"""The tracker as it is, but for the price of a password: tests log in a thousand times, at a fifth of a second each.

Not for: tests of passwords or of the start; those have `python -m tracker` itself (tests/tracker).
"""

import sys
from functools import partial

from tracker import __main__
from tracker.service import passwords

if __name__ == "__main__":
    vars(passwords)["Cost"] = partial(passwords.Cost, passes=1, memory_kib=8)
    sys.exit(__main__.main())
