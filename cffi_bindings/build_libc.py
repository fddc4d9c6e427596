"""Builds `_libc`: the calls of the C library that Python's own modules leave out."""

from cffi import FFI

HEADER = "unistd.h"
REMEDY = "apt-get install libc6-dev"

ffi = FFI()
ffi.cdef("""
    int syncfs(int fd);

    #define TIME_ERROR ...
    struct timex { unsigned int modes; ...; };
    int adjtimex(struct timex *buf);
""")
ffi.set_source("cffi_bindings._libc", "#include <Python.h>\n#include <unistd.h>\n#include <sys/timex.h>")
