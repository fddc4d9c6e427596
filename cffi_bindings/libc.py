"""Calls of the C library that Python's own modules leave out."""

import os
from functools import cache
from importlib import import_module
from typing import Any

from cffi_bindings.errors import LibraryMissing


def syncfs(fd: int) -> None:
    """Write all that is dirty of the file system that `fd` lies on, and wait for it (syncfs(2), Linux 5.8 and later
    reports errors). The interpreter lock is free meanwhile. Raises OSError."""
    ffi, lib = _libc()
    if lib.syncfs(fd) != 0:
        raise OSError(ffi.errno, f"syncfs of descriptor {fd}: {os.strerror(ffi.errno)}")


@cache
def _libc() -> tuple[Any, Any]:
    try:
        module = import_module("cffi_bindings._libc")
    except ImportError as error:
        raise LibraryMissing(
            f"The C library's binding cannot be loaded ({error}). Remedy: apt-get install gcc libc6-dev, "
            "then python -m cffi_bindings.build"
        ) from error
    return module.ffi, module.lib
