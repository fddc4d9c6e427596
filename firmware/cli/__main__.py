"""`linekeep`: from the words typed to a function, and from what happened to an exit code.

Every failure ends as three things on standard error, what, where and the remedy (with `--json` as one document
there), and an exit code. A traceback is seen only where the command contradicts itself.
"""

import os
import sys
from importlib import import_module

from firmware.cli import parser
from firmware.cli.box import Box, data_folder
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Output


def main(words: list[str] | None = None) -> int:
    arguments = parser.build().parse_args(words)
    out = Output(json=getattr(arguments, "json", False))
    try:
        box = Box(data_folder(getattr(arguments, "data", None)))
        module, function = arguments.run.split(":")
        code: int = getattr(import_module(f"firmware.cli.{module}"), function)(box, out, arguments)
        sys.stdout.flush()
    except Failure as failure:
        code = report(out, failure)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # What stands in the buffer has no reader any more; without this the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.PIPE
    except OSError as error:
        place = error.filename or "a file"
        code = report(
            out, Failure(Exit.DATA, f"{place}: {error.strerror or error}", "Check the place, its rights and its space.")
        )
    return int(code)


def report(out: Output, failure: Failure) -> Exit:
    out.failure(failure)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
