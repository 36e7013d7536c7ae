"""One target under atheris, in a process of its own: `python -m tests.fuzz.one NAME [libFuzzer's flags]`.

Guided by the branches of this program's modules. An input that takes over a second of CPU is a bug too; the time is
that of the process and not of the clock, so that a busy machine finds nothing by being busy.
"""

import sys
import time

import atheris

HANG_S = 1.0


class Hang(Exception):
    """An input took longer than any honest one."""


def main() -> None:
    name, *flags = sys.argv[1:]
    with atheris.instrument_imports(include=["engine", "tracker"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]

    def check(data: bytes) -> None:
        started_s = time.process_time()
        target.check(data)
        took_s = time.process_time() - started_s
        if took_s > HANG_S:
            raise Hang(f"{took_s:.1f} s for {len(data)} bytes")

    atheris.Setup([sys.argv[0], *flags, f"-max_len={target.longest_bytes}"], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
