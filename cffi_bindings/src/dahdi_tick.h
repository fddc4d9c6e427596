/* Every ready channel of a tick in one call, without the interpreter lock; and the frames that go out.
 *
 * What DAHDI does that is easily overlooked (drivers/dahdi/dahdi-base.c, 2.11.1):
 * - a pending event makes read and write answer ELAST before any data: events are drained first;
 * - a read gives one buffer and throws away what did not fit, so it asks for no less than the block;
 * - an overrun is one event for a whole burst, and only where DAHDI_BUFFER_EVENTS is on;
 * - a channel whose card was removed answers ENODEV, and every question costs 5 ms: it is asked once.
 */

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LK_LEFT_OUT, LK_GOT, LK_SHORT, LK_LATE, LK_GONE };
/* Events of one channel that are taken in one go; a driver holds 64 at most. */
enum { LK_EVENTS_AT_ONCE = 128 };

typedef struct {
    int32_t channel, code;
} lk_dahdi_event_t;

typedef struct {
    int channels, block, events_max;
    /* Descriptors, -1 where a channel is left out. */
    const int32_t *fds;
    /* [channels][block] */
    uint8_t *law;
    /* [channels]: how it went; with SHORT how many bytes came, with GONE the error number. */
    uint8_t *result;
    int32_t *detail;
    /* [channels]: blocks for which filler was given. If they come after all they are late, and dropped. */
    int32_t *owed;
    lk_dahdi_event_t *events;
    int events_count, events_lost, late_blocks, calls;
    /* CLOCK_MONOTONIC_RAW when the first block was there; whether it had to be waited for, and so came just then; and
     * whether no other is queued behind it. */
    int64_t ready_ns;
    int waited, drained;
    struct pollfd *polled;
    int32_t *polled_channel;
} lk_dahdi_tick_t;

/* As the machine's oscillator counts. CLOCK_MONOTONIC runs faster or slower, by percents, while a time server's word is
 * made up for, and a card would seem to lose samples. */
static int64_t lk_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static void lk_drain(lk_dahdi_tick_t *t, int channel) {
    for (int i = 0; i < LK_EVENTS_AT_ONCE; i++) {
        int code = 0;
        t->calls++;
        if (ioctl(t->fds[channel], DAHDI_GETEVENT, &code) != 0 || code == DAHDI_EVENT_NONE)
            return;
        if (t->events_count < t->events_max)
            t->events[t->events_count++] = (lk_dahdi_event_t){channel, code};
        else
            t->events_lost++;
    }
}

/* One block of a channel into `into`; the answer is one of the results. */
static int lk_read_one(lk_dahdi_tick_t *t, int channel, uint8_t *into) {
    for (int tries = 0; tries < LK_EVENTS_AT_ONCE; tries++) {
        t->calls++;
        ssize_t n = read(t->fds[channel], into, t->block);
        if (n == t->block)
            return LK_GOT;
        t->detail[channel] = n >= 0 ? (int32_t)n : errno;
        if (n >= 0)
            return LK_SHORT;
        if (errno == EAGAIN)
            return LK_LATE;
        if (errno == ELAST)
            lk_drain(t, channel);
        else if (errno != EINTR)
            return LK_GONE;
    }
    return LK_LATE;
}

/* What is due and, of a channel that is behind, what comes too late: its place has been filled. */
static void lk_take(lk_dahdi_tick_t *t, int channel) {
    uint8_t *into = t->law + (size_t)channel * t->block;
    int result = t->result[channel] = lk_read_one(t, channel, into);
    while (t->owed[channel] > 0 && result == LK_GOT) {
        struct pollfd more = {t->fds[channel], POLLIN, 0};
        t->calls++;
        if (poll(&more, 1, 0) <= 0 || !(more.revents & POLLIN)) {
            t->owed[channel] = 0;
            return;
        }
        result = lk_read_one(t, channel, into);
        if (result == LK_GOT) {
            t->owed[channel]--;
            t->late_blocks++;
        }
    }
}

/* The next block of every channel that has a descriptor: waits `wait_ms` for the first, and from then on `grace_ms`
 * for the others. Answers how many blocks came, or -1 with errno where even waiting failed. */
static int lk_dahdi_read(lk_dahdi_tick_t *t, int wait_ms, int grace_ms) {
    int waiting = 0, got = 0;
    int64_t until_ns = lk_now_ns() + wait_ms * (int64_t)1000000;
    t->events_count = t->events_lost = t->late_blocks = t->calls = 0;
    t->waited = t->drained = 0;
    t->ready_ns = 0;
    for (int c = 0; c < t->channels; c++) {
        t->result[c] = t->fds[c] < 0 ? LK_LEFT_OUT : LK_LATE;
        t->detail[c] = 0;
        if (t->fds[c] >= 0) {
            t->polled[waiting] = (struct pollfd){t->fds[c], POLLIN | POLLPRI, 0};
            t->polled_channel[waiting++] = c;
        }
    }
    for (int first = 1; waiting; first = 0) {
        int64_t left_ns = until_ns - lk_now_ns();
        t->calls++;
        int ready = poll(t->polled, waiting, 0);
        if (ready == 0 && left_ns > 0) {
            t->calls++;
            t->waited |= first;
            ready = poll(t->polled, waiting, (int)((left_ns + 999999) / 1000000));
        }
        if (ready < 0 && errno != EINTR)
            return -1;
        if (ready == 0)
            break;
        int still = 0;
        for (int i = 0; i < waiting; i++) {
            int c = t->polled_channel[i], what = ready < 0 ? 0 : t->polled[i].revents;
            if (what & (POLLERR | POLLHUP | POLLNVAL)) {
                t->result[c] = LK_GONE;
                t->detail[c] = ENODEV;
                continue;
            }
            if (what & POLLPRI)
                lk_drain(t, c);
            if (what & POLLIN) {
                lk_take(t, c);
                if (t->result[c] != LK_LATE) {
                    got += t->result[c] == LK_GOT;
                    continue;
                }
            }
            t->polled[still] = (struct pollfd){t->fds[c], POLLIN | POLLPRI, 0};
            t->polled_channel[still++] = c;
        }
        waiting = still;
        if (got && !t->ready_ns) {
            t->ready_ns = lk_now_ns();
            until_ns = t->ready_ns + grace_ms * (int64_t)1000000;
        }
    }
    for (int c = 0; got && c < t->channels; c++)
        if (t->result[c] == LK_GOT) {
            struct pollfd more = {t->fds[c], POLLIN, 0};
            t->calls++;
            t->drained = poll(&more, 1, 0) == 0 || !(more.revents & POLLIN);
            break;
        }
    return got;
}

/* One block out; 1 if the driver took it, 0 where it has no room, or minus the error number. */
static int lk_write_one(lk_dahdi_tick_t *t, int channel, const uint8_t *law) {
    for (int tries = 0; tries < LK_EVENTS_AT_ONCE; tries++) {
        t->calls++;
        ssize_t n = write(t->fds[channel], law, t->block);
        if (n == t->block)
            return 1;
        if (n >= 0 || errno == EAGAIN)
            return 0;
        if (errno == ELAST)
            lk_drain(t, channel);
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

/* `wanted[c]` blocks out on every channel, of `most` in `law` `[channels][most][block]`. All in one go: the driver
 * begins to play the first while the next are written. `written`: blocks taken, or minus the error number. */
static void lk_dahdi_write(lk_dahdi_tick_t *t, const uint8_t *law, int most, const uint8_t *wanted, int32_t *written) {
    t->events_count = t->events_lost = t->calls = 0;
    for (int c = 0; c < t->channels; c++) {
        written[c] = 0;
        for (int b = 0; b < wanted[c] && t->fds[c] >= 0; b++) {
            int taken = lk_write_one(t, c, law + ((size_t)c * most + b) * t->block);
            if (taken < 0 && written[c] == 0)
                written[c] = taken;
            if (taken <= 0)
                break;
            written[c]++;
        }
    }
}

/* The line voltage of each channel in volts, with its sign; NaN where the driver does not say. */
static int lk_dahdi_volts(const int32_t *fds, int channels, float *volts) {
    int known = 0;
    for (int c = 0; c < channels; c++) {
        struct wctdm_stats stats;
        volts[c] = __builtin_nanf("");
        if (fds[c] >= 0 && ioctl(fds[c], WCTDM_GET_STATS, &stats) == 0) {
            volts[c] = stats.batvolt / 1000.0f;
            known++;
        }
    }
    return known;
}
