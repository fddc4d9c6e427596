"""The long form, `make test-dahdi`: everything of `guest/`, and thirty lines at once for `--minutes` of the machine's
time (a minute of it takes a few of ours)."""

import argparse
import sys
from pathlib import Path

from tests.dahdi.machine import ROOT, run
from tests.dahdi.test_real_driver import SHORT

LONG = ("test_clocks.py", "test_thirty_lines.py")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-dahdi", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the thirty lines are in use (5)")
    minutes = parser.parse_args().minutes
    folder = ROOT / "build/dahdi/long"
    files = [f"tests/dahdi/guest/{file}" for file in (*SHORT, *LONG)]
    environment = {"LINEKEEP_MINUTES": str(minutes), "PYTEST_TIMEOUT": str(round(minutes * 60 + 900))}
    outcomes = run(files, folder, 1200 + minutes * 60 * 20, environment)
    for name, outcome in outcomes.items():
        print(f"{'passed' if outcome.passed else 'FAILED'} {outcome.seconds:7.1f} s  {name}")
        if not outcome.passed:
            print(outcome.said)
    print(
        "\n".join(
            line
            for line in Path(folder / "console.log").read_text().splitlines()
            if "minutes;" in line or line.startswith("from the ")
        )
    )
    return 0 if outcomes and all(outcome.passed for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
