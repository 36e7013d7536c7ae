"""`python -m bench <name>`: runs one of the measurements; without a name, lists them."""

import sys

from bench import demo

RUNS = {"demo": demo.run}


def main() -> int:
    """The exit code of what was run; 2 if it does not exist."""
    if len(sys.argv) == 2 and sys.argv[1] in RUNS:
        return RUNS[sys.argv[1]]()
    for name, run in RUNS.items():
        summary = (sys.modules[run.__module__].__doc__ or "").split("\n")[0]
        print(f"python -m bench {name:10} {summary}")
    return 0 if len(sys.argv) == 1 else 2


if __name__ == "__main__":
    sys.exit(main())
