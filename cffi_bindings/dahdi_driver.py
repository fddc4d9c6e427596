"""DAHDI: how the driver is asked, and what is said when it refuses.

The compiled binding (`build_dahdi.py`) is looked up when it is first used, so that what needs no card runs without it.
Every refusal becomes a `DahdiError` that names the object, the act and the remedy.
"""

import errno
import os
from functools import cache
from importlib import import_module
from typing import Any, Final

from numpy.typing import NDArray

from cffi_bindings.errors import DahdiError, LibraryMissing

_NO_DRIVER: Final = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV})


class Control:
    """The driver's control file, open while the block runs."""

    def __enter__(self) -> int:
        try:
            self._fd = os.open("/dev/dahdi/ctl", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _no_driver("/dev/dahdi/ctl", error) from error
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def opened(number: int, write: bool) -> int:
    """The channel's descriptor, by the file that stands for any of them: nothing depends on how udev names them."""
    ffi, lib = binding()
    path = "/dev/dahdi/channel"
    try:
        fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _no_driver(path, error) from error
    if lib.ioctl(fd, lib.DAHDI_SPECIFY, ffi.new("int *", number)) == 0:
        return fd
    refused = ffi.errno
    os.close(fd)
    if refused == errno.EBUSY:
        raise DahdiError(
            f"DAHDI channel {number} is in use by another program. Remedy: stop it, or take the channel out of "
            "linekeep.toml"
        )
    raise DahdiError(
        f"DAHDI channel {number} is not there or not configured ({error_name(refused)}). Remedy: `linekeep card scan` "
        "lists the channels; dahdi_cfg configures them from /etc/dahdi/system.conf"
    )


def _no_driver(path: str, error: OSError) -> DahdiError:
    if error.errno == errno.EACCES:
        return DahdiError(f"DAHDI: {path} may not be opened. Remedy: run as a member of the group that owns it")
    return DahdiError(
        f"DAHDI: {path} cannot be opened ({error.strerror}). Remedy: load the card's driver (modprobe dahdi and the "
        "module of the card), then `linekeep doctor`"
    )


def ioctl(fd: int, request: int, argument: Any, act: str) -> None:
    ffi, lib = binding()
    if lib.ioctl(fd, request, argument) != 0:
        raise DahdiError(f"{act} failed ({error_name(ffi.errno)}). Remedy: {remedy_of(ffi.errno)}")


def remedy_of(number: int) -> str:
    if number in _NO_DRIVER:
        return "the card was removed or its driver unloaded; `linekeep doctor` says which"
    if number == errno.ENOTTY:
        return "the driver does not know this request: is it DAHDI 2.11 or later?"
    return "`linekeep doctor`, and the kernel's log (dmesg)"


def error_name(number: int) -> str:
    return f"{errno.errorcode.get(number, number)}, {os.strerror(number)}"


def text_of(field: Any) -> str:
    ffi, _ = binding()
    found: bytes = ffi.string(field)
    return found.decode("utf-8", "replace").strip()


def pointer(ffi: Any, type_: str, array: NDArray[Any]) -> Any:
    return ffi.cast(type_, array.ctypes.data)


@cache
def binding() -> tuple[Any, Any]:
    try:
        module = import_module("cffi_bindings._dahdi")
    except ImportError as error:
        raise LibraryMissing(
            f"DAHDI's binding cannot be loaded ({error}). Remedy: make setup, which builds it from the driver's headers"
        ) from error
    return module.ffi, module.lib
