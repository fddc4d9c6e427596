"""Builds `_dahdi`: DAHDI's user interface in API mode, with the loops of `src/dahdi_tick.h`.

Numbers and sizes are the compiler's, from the driver's own headers `dahdi/user.h` and `dahdi/wctdm_user.h`, which
`make` unpacks from Debian's dahdi-dkms. They are not committed, and nothing of the driver is linked: the module is
built and imported on machines that have no card."""

from pathlib import Path

from cffi import FFI

FOLDER = Path(__file__).parent
HEADERS = FOLDER.parent / "build/dahdi/source/usr/src/dahdi-2.11.1.0.20170917/include"
HEADER = "dahdi/user.h"
REMEDY = "make setup, which unpacks the headers of the package dahdi-dkms into build/dahdi"

# Requests, what they take and give, and events.
_CONSTANTS = (
    "DAHDI_SPECIFY", "DAHDI_GET_PARAMS", "DAHDI_SET_BUFINFO", "DAHDI_AUDIOMODE", "DAHDI_SETLAW", "DAHDI_HOOK",
    "DAHDI_SPANSTAT", "DAHDI_BUFFER_EVENTS", "DAHDI_ECHOCANCEL", "DAHDI_FLUSH", "DAHDI_GETVERSION",
    "DAHDI_FLUSH_ALL", "DAHDI_POLICY_IMMEDIATE", "DAHDI_LAW_MULAW", "DAHDI_LAW_ALAW",
    "DAHDI_ONHOOK", "DAHDI_OFFHOOK", "DAHDI_FLASH", "DAHDI_RING",
    "DAHDI_SIG_NONE", "DAHDI_SIG_CLEAR", "__DAHDI_SIG_FXO", "__DAHDI_SIG_FXS",
    "DAHDI_ALARM_RECOVER", "DAHDI_ALARM_LOOPBACK", "DAHDI_ALARM_YELLOW", "DAHDI_ALARM_RED", "DAHDI_ALARM_BLUE",
    "DAHDI_ALARM_NOTOPEN", "DAHDI_ALARM_LOS", "DAHDI_ALARM_LFA", "DAHDI_ALARM_LMFA",
    "DAHDI_EVENT_ONHOOK", "DAHDI_EVENT_RINGOFFHOOK", "DAHDI_EVENT_WINKFLASH", "DAHDI_EVENT_ALARM",
    "DAHDI_EVENT_NOALARM", "DAHDI_EVENT_POLARITY", "DAHDI_EVENT_RINGBEGIN", "DAHDI_EVENT_REMOVED",
    "DAHDI_EVENT_READ_OVERRUN", "DAHDI_EVENT_WRITE_UNDERRUN",
)  # fmt: skip

ffi = FFI()
ffi.cdef(
    "".join(f"#define {name} ...\n" for name in _CONSTANTS)
    + """
    struct dahdi_params {
        int channo, spanno, chanpos, sigtype, sigcap, rxisoffhook, rxhooksig, txhooksig, curlaw; char name[...];
        uint32_t chan_alarms; ...;
    };
    struct dahdi_spaninfo {
        int spanno; char name[...]; char desc[...]; int alarms, irqmisses, syncsrc, numchans, totalchans, totalspans;
        char location[...]; char manufacturer[...]; char devicetype[...]; int linecompat; char spantype[...]; ...;
    };
    struct dahdi_bufferinfo { int txbufpolicy, numbufs, bufsize; ...; };
    struct dahdi_versioninfo { char version[...]; char echo_canceller[...]; ...; };

    int ioctl(int fd, unsigned long request, ...);

    enum { LK_LEFT_OUT, LK_GOT, LK_SHORT, LK_LATE, LK_GONE, ... };
    typedef struct { int32_t channel, code; } lk_dahdi_event_t;
    typedef struct {
        int channels, block, events_max;
        const int32_t *fds; uint8_t *law; uint8_t *result; int32_t *detail; int32_t *owed; lk_dahdi_event_t *events;
        int events_count, events_lost, late_blocks, calls;
        int64_t ready_ns; int waited, drained;
        struct pollfd *polled; int32_t *polled_channel; ...;
    } lk_dahdi_tick_t;
    int lk_dahdi_read(lk_dahdi_tick_t *t, int wait_ms, int grace_ms);
    void lk_dahdi_write(lk_dahdi_tick_t *t, const uint8_t *law, int most, const uint8_t *wanted, int32_t *written);
    int lk_dahdi_volts(const int32_t *fds, int channels, float *volts);
    #define LK_POLLFD_SIZE ...
"""
)
ffi.set_source(
    "cffi_bindings._dahdi",
    """
    #include <sys/ioctl.h>
    #include <dahdi/user.h>
    #include <dahdi/wctdm_user.h>
    #include "dahdi_tick.h"
    #define LK_POLLFD_SIZE sizeof(struct pollfd)
    """,
    include_dirs=[str(HEADERS), str(FOLDER / "src")],
)
