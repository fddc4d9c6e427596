"""Compiles every binding into this folder: `python -m cffi_bindings.build`. Needs gcc and the libraries' headers."""

import sys
from pathlib import Path

from cffi import VerificationError
from setuptools.errors import CompileError, LinkError

from cffi_bindings import build_dahdi, build_libc, build_spandsp, build_synway

BUILDERS = (build_libc, build_spandsp, build_dahdi, build_synway)


def main() -> int:
    """Compile all; 1 with the remedy on stderr where one cannot be compiled."""
    for builder in BUILDERS:
        try:
            print(builder.ffi.compile(tmpdir=str(Path(__file__).parents[1])))
        except (VerificationError, CompileError, LinkError) as error:
            print(
                f"{builder.__name__}: compiling against {builder.HEADER} failed: {error}\nRemedy: {builder.REMEDY}",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
