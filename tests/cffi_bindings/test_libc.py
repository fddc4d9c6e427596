"""What is asked reaches the kernel, and what the kernel refuses is an OSError with its number."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from cffi_bindings.libc import clock_is_synchronised, syncfs


def test_syncfs_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 4096)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        syncfs(fd)
    finally:
        os.close(fd)


def test_a_closed_descriptor_is_refused() -> None:
    fd = os.open("/", os.O_RDONLY)
    os.close(fd)
    with pytest.raises(OSError, match=f"syncfs of descriptor {fd}") as raised:
        syncfs(fd)
    assert raised.value.errno == errno.EBADF


def test_the_kernel_says_whether_its_clock_is_synchronised() -> None:
    """Read once more in another way: modes = 0 at the front of a large enough structure, 5 is TIME_ERROR."""
    assert clock_is_synchronised() is (ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) != 5)
