"""What can go wrong in this package: one tree, and every message names what, where and the remedy."""

import os
from pathlib import Path


class RecorderError(Exception):
    """Anything this package cannot do."""


class RecordingError(RecorderError):
    """A recording's file cannot be read or written."""


class WriteFailed(RecordingError):
    """The disk refused a write or a sync. This file is not tried again: begin a new one.

    `durable_samples` survive; `lost_samples` had been handed over and are not known to be on the disk.
    """

    def __init__(self, path: Path, act: str, error: OSError, durable_samples: int, lost_samples: int) -> None:
        self.path = path
        self.errno = error.errno
        self.durable_samples = durable_samples
        self.lost_samples = lost_samples
        super().__init__(
            f"{path}: {act} failed ({os.strerror(error.errno or 0)}); {durable_samples} samples are safe, "
            f"{lost_samples} after them are not. {remedy(error)} The recording goes on in a new file."
        )


class JournalError(RecorderError):
    """The journal is damaged or could not be written."""


class CatalogueError(RecorderError):
    """The catalogue is damaged, full or could not be opened."""


class FolderError(RecorderError):
    """The disk refuses what the data folder needs to be taken."""


class LockedError(RecorderError):
    """Another process owns the data folder."""


class NotFoundError(RecorderError):
    """No recording, alarm or account by this name."""


class RefusedError(RecorderError):
    """The state of the object does not allow the act."""


class AccessError(RecorderError):
    """The accounts could not be read or changed."""


class IdentityError(RecorderError):
    """The box's key is damaged, gone, or could not be made."""


def remedy(error: OSError) -> str:
    """What the person in front of the box can do about an error of the file system."""
    return {
        28: "The disk is full: make room or shorten the retention.",
        30: "The file system is read-only: look for disk errors in the system log and mount it for writing.",
        5: "The disk reports an error: look in the system log and replace it.",
        13: "The service may not write here: correct the owner of the data folder.",
        27: "The file has reached its largest size.",
    }.get(error.errno or 0, "Look in the system log.")
