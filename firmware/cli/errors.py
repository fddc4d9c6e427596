"""What the command answers when it cannot do what it was asked: one failure, one exit code, one remedy."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; `linekeep --help` and docs/command.md list them."""

    OK = 0
    NO = 1
    """Not done, or the answer is no: a digest differs, a part of the request failed, a configuration is wrong."""
    USAGE = 2
    NO_DAEMON = 3
    NOT_FOUND = 4
    REFUSED = 5
    """The state of things does not allow it."""
    DATA = 6
    """The data folder, the catalogue or a file cannot be read or written."""
    INTERRUPTED = 130
    PIPE = 141


class Failure(Exception):
    """What went wrong and where (`message`), what to do about it (`remedy`)."""

    def __init__(self, exit_code: Exit, message: str, remedy: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message
        self.remedy = remedy
