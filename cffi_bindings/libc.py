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


def clock_is_synchronised() -> bool:
    """Is the system's clock disciplined by a time source? Whichever program does it tells the kernel, which forgets it
    when nothing has come for long (adjtimex(2), TIME_ERROR). Raises OSError where the kernel may not be asked."""
    ffi, lib = _libc()
    state = lib.adjtimex(ffi.new("struct timex *"))
    if state < 0:
        raise OSError(ffi.errno, f"adjtimex: {os.strerror(ffi.errno)}")
    return bool(state != lib.TIME_ERROR)


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
