"""Builds `_synway`: our own side of Synway's callbacks. Nothing of the vendor's is needed."""

from pathlib import Path

from cffi import FFI

SOURCE = Path(__file__).with_name("src")
HEADER = "pthread.h"
REMEDY = "apt-get install libc6-dev"

ffi = FFI()
ffi.cdef("""
    typedef struct lk_synway {
        int64_t late, lost;
        int longest;
        int64_t ahead, ahead_ns;
        ...;
    } lk_synway_t;
    lk_synway_t *lk_synway_new(int channels, int block);
    void *lk_synway_place(lk_synway_t *card, int place);
    void lk_synway_data(int ch, uint8_t *data, uint32_t bytes, void *place);
    void lk_synway_open(lk_synway_t *card, int place);
    void lk_synway_close(lk_synway_t *card);
    void lk_synway_expect(lk_synway_t *card, int place, int expected);
    void lk_synway_begin(lk_synway_t *card);
    int lk_synway_read(lk_synway_t *card, uint8_t *law, uint8_t *status, int wait_ms, int grace_ms, uint8_t idle);
""")
ffi.set_source("cffi_bindings._synway", '#include "synway_ring.h"', include_dirs=[str(SOURCE)], libraries=["pthread"])
