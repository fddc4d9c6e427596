"""`python -m firmware --data DIR [--config FILE]`: the daemon."""

import os
import sys


def main() -> int:
    # One thread of linear algebra for each pump: more would only wait for each other. Read when numpy is loaded.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from firmware.daemon import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
