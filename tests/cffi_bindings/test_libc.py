"""`syncfs` reaches the kernel, and what the kernel refuses is an OSError with its number."""

import errno
import os
from pathlib import Path

import pytest

from cffi_bindings.libc import syncfs


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
