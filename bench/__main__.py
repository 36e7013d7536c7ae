"""`python -m bench <name> [options]`: runs one of the measurements; without a name, lists them.

Invariant: importing this file imports next to nothing, because worker processes of a client in this process import
it again.
"""

import sys

from bench.plan import RUNS


def main() -> int:
    """The exit code of what was run; 2 if it does not exist."""
    if len(sys.argv) >= 2 and sys.argv[1] in RUNS:
        from bench.runs import run

        return run(sys.argv[1], sys.argv[2:])
    from bench.runs import summary_of

    for name in RUNS:
        print(f"python -m bench {name:12} {summary_of(name)}")
    print("\nEach takes --help; --json FILE keeps the raw samples, --record puts the figures into bench/RESULTS.md.")
    return 0 if len(sys.argv) == 1 else 2


if __name__ == "__main__":
    sys.exit(main())
