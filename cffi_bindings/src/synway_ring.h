/* Where the vendor's library leaves its audio, and one call that takes a block of every channel.
 *
 * The library calls back from threads of its own, for each channel and with pieces of any length. That must never wait
 * for Python's interpreter lock, so the callback is here: it puts the bytes where they belong in time and goes.
 *
 * A position counts a channel's samples since the start; the reader's is the same for all channels. What comes for a
 * place that was read already is late, and dropped. What finds no room, or was skipped because a channel began anew, is
 * a hole: its length is known, so the time line stays true.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LK_OK, LK_LATE, LK_LOST };
/* 8 s of a channel; a power of two. */
enum { LK_RING = 1 << 16 };
enum { LK_SAMPLE_NS = 125000 };

struct lk_synway;

typedef struct {
    struct lk_synway *card;
    /* Behind the newest byte, and what never came: from hole to hole_end. */
    int64_t end, hole, hole_end;
    /* The least of arrival less position: how early a piece has come, since the channel was opened. */
    int64_t earliest_ns;
    int open, align, expected;
    uint8_t bytes[LK_RING];
} lk_synway_channel_t;

typedef struct lk_synway {
    int channels, block;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    /* Where the reader stands, and how far the furthest channel is. */
    int64_t first, newest, newest_ns;
    /* While the reader waits: channels that still lack the block, of how many. */
    int waiting, lacking, of;
    int64_t late, lost;
    int longest;
    /* Of the last read: how far behind its block the newest sample stands, and CLOCK_MONOTONIC_RAW when that came. */
    int64_t ahead, ahead_ns;
    lk_synway_channel_t channel[];
} lk_synway_t;

/* When audio came is counted by CLOCK_MONOTONIC_RAW, as the machine's oscillator does: the other clock runs faster or
 * slower while a time server puts it right, and would tell of samples that were never lost. How long the reader waits is
 * counted by CLOCK_MONOTONIC: a condition knows no other. */
static int64_t lk_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

/* It is never freed: the library may call back for a moment after it was told to stop. */
static lk_synway_t *lk_synway_new(int channels, int block) {
    lk_synway_t *card = calloc(1, sizeof *card + channels * sizeof(lk_synway_channel_t));
    if (card == NULL)
        return NULL;
    card->channels = channels;
    card->block = block;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&card->lock, NULL);
    pthread_cond_init(&card->ready, &monotonic);
    for (int i = 0; i < channels; i++)
        card->channel[i].card = card;
    return card;
}

static void *lk_synway_place(lk_synway_t *card, int place) { return &card->channel[place]; }

static int lk_has(const lk_synway_channel_t *c, int64_t until) { return c->end >= until; }

/* A second hole before the first was read takes what lies between with it. */
static void lk_hole(lk_synway_channel_t *c, int64_t to) {
    if (c->hole_end <= c->card->first)
        c->hole = c->end;
    c->hole_end = to;
    c->card->lost += to - c->end;
    c->end = to;
}

static void lk_keep(lk_synway_channel_t *c, const uint8_t *data, int64_t bytes) {
    int64_t gone = c->card->first - c->end;
    if (gone > 0) {
        gone = gone < bytes ? gone : bytes;
        c->card->late += gone;
        c->end += gone;
        data += gone;
        bytes -= gone;
    }
    int64_t at = c->end & (LK_RING - 1);
    int64_t before = bytes < LK_RING - at ? bytes : LK_RING - at;
    memcpy(c->bytes + at, data, before);
    memcpy(c->bytes, data + before, bytes - before);
    c->end += bytes;
}

/* The first piece of a channel belongs beside the newest of the others, if that came just now; if it came longer ago
 * than half a piece lasts, the others are about to bring what belongs beside this one. */
static void lk_align(lk_synway_channel_t *c, int64_t bytes, int64_t now) {
    int64_t ahead = now - c->card->newest_ns > bytes * LK_SAMPLE_NS / 2 ? bytes : 0;
    int64_t from = c->card->newest + ahead - bytes;
    c->align = 0;
    if (from > c->end)
        lk_hole(c, from);
}

/* The library's callback. Its DWORD is 32 or 64 bits wide; a register holds either, and no piece is longer than 2 GiB. */
static void lk_synway_data(int ch, uint8_t *data, uint32_t bytes, void *place) {
    lk_synway_channel_t *c = place;
    lk_synway_t *card = c->card;
    (void)ch;
    pthread_mutex_lock(&card->lock);
    if (c->open) {
        int64_t until = card->first + card->block;
        int had = lk_has(c, until);
        int64_t now = lk_ns(CLOCK_MONOTONIC_RAW);
        if (c->align)
            lk_align(c, bytes, now);
        if ((int64_t)bytes > card->longest)
            card->longest = bytes;
        if (c->end + bytes - card->first > LK_RING)
            lk_hole(c, c->end + bytes);
        else
            lk_keep(c, data, bytes);
        if (now - c->end * LK_SAMPLE_NS < c->earliest_ns)
            c->earliest_ns = now - c->end * LK_SAMPLE_NS;
        if (c->end > card->newest) {
            card->newest = c->end;
            card->newest_ns = now;
        }
        if (card->waiting && c->expected && !had && lk_has(c, until) && (--card->lacking == 0 || card->lacking == card->of - 1))
            pthread_cond_signal(&card->ready);
    }
    pthread_mutex_unlock(&card->lock);
}

/* From now on what comes is kept, beside what comes of the others. */
static void lk_synway_open(lk_synway_t *card, int place) {
    pthread_mutex_lock(&card->lock);
    card->channel[place].open = card->channel[place].align = 1;
    card->channel[place].earliest_ns = INT64_MAX;
    pthread_mutex_unlock(&card->lock);
}

static void lk_synway_close(lk_synway_t *card) {
    pthread_mutex_lock(&card->lock);
    for (int i = 0; i < card->channels; i++)
        card->channel[i].open = 0;
    pthread_mutex_unlock(&card->lock);
}

static void lk_synway_expect(lk_synway_t *card, int place, int expected) {
    pthread_mutex_lock(&card->lock);
    card->channel[place].expected = expected;
    pthread_mutex_unlock(&card->lock);
}

/* All channels begin together, where the newest is now. By when the first piece came a channel may stand wrong by one, if
 * the library's thread was held up just then; by the earliest of several it does not. */
static void lk_synway_begin(lk_synway_t *card) {
    pthread_mutex_lock(&card->lock);
    int64_t block_ns = card->block * LK_SAMPLE_NS, usual = INT64_MAX;
    for (int i = 0; i < card->channels; i++) {
        lk_synway_channel_t *c = &card->channel[i];
        if (c->earliest_ns == INT64_MAX)
            continue;
        if (usual == INT64_MAX)
            usual = c->earliest_ns;
        double blocks = (double)(c->earliest_ns - usual) / block_ns;
        c->end += (int64_t)(blocks < 0 ? blocks - 0.5 : blocks + 0.5) * card->block;
        if (c->end > card->newest)
            card->newest = c->end;
    }
    for (int i = 0; i < card->channels; i++) {
        card->channel[i].end -= card->newest;
        card->channel[i].hole = card->channel[i].hole_end = 0;
    }
    card->first = card->newest = 0;
    pthread_mutex_unlock(&card->lock);
}

static void lk_wait(lk_synway_t *card, int wait_ms, int grace_ms) {
    int64_t limit = lk_ns(CLOCK_MONOTONIC) + wait_ms * (int64_t)1000000;
    int64_t until = card->first + card->block;
    int grace = 0;
    for (;;) {
        card->lacking = card->of = 0;
        for (int i = 0; i < card->channels; i++) {
            card->of += card->channel[i].expected;
            card->lacking += card->channel[i].expected && !lk_has(&card->channel[i], until);
        }
        int64_t now = lk_ns(CLOCK_MONOTONIC);
        if (card->lacking < card->of && !grace) {
            grace = 1;
            limit = now + grace_ms * (int64_t)1000000;
        }
        if (card->lacking == 0 || now >= limit)
            return;
        struct timespec when = {limit / 1000000000, limit % 1000000000};
        card->waiting = 1;
        pthread_cond_timedwait(&card->ready, &card->lock, &when);
        card->waiting = 0;
    }
}

/* The next block of every channel into law[channels][block], how each went into status[channels]. Waits `wait_ms` for
 * the first channel and `grace_ms` from then on for the others. How many have it: 0 where none has, and then nothing is
 * taken. */
static int lk_synway_read(lk_synway_t *card, uint8_t *law, uint8_t *status, int wait_ms, int grace_ms, uint8_t idle) {
    int got = 0, block = card->block;
    pthread_mutex_lock(&card->lock);
    lk_wait(card, wait_ms, grace_ms);
    int64_t first = card->first, until = first + block;
    for (int i = 0; i < card->channels; i++)
        got += lk_has(&card->channel[i], until);
    for (int i = 0; i < card->channels && got; i++) {
        lk_synway_channel_t *c = &card->channel[i];
        uint8_t *to = law + (size_t)i * block;
        if (!lk_has(c, until)) {
            status[i] = LK_LATE;
            memset(to, idle, block);
            continue;
        }
        int64_t at = first & (LK_RING - 1);
        int64_t before = block < LK_RING - at ? block : LK_RING - at;
        memcpy(to, c->bytes + at, before);
        memcpy(to + before, c->bytes, block - before);
        int64_t hole = c->hole > first ? c->hole : first;
        int64_t hole_end = c->hole_end < until ? c->hole_end : until;
        status[i] = hole < hole_end ? LK_LOST : LK_OK;
        if (hole < hole_end)
            memset(to + (hole - first), idle, hole_end - hole);
    }
    if (got) {
        card->first = until;
        card->ahead = card->newest - until;
        card->ahead_ns = card->newest_ns;
    }
    pthread_mutex_unlock(&card->lock);
    return got;
}
