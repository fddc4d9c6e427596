/* A library of our own that answers as Synway's would, by its public documentation, and plays lines.
 *
 * Every recording channel brings, in pieces of 20 ms (or as asked for), bytes that tell channel and position: byte k of
 * channel c is (k * 7 + c * 31 + k / 251) mod 256, unless the test put audio of its own (line_audio). Time passes when
 * the test says so (line_play, by a thread of the library), or by the clock (line_run); the latter from the start on
 * where ShConfig.ini holds a script: lines of "<ms> <what> <channel> <value>", what is done to a line and when.
 *
 * Compiled with -DDWORD='unsigned long' it is a library whose DWORD has 64 bits.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef DWORD
#define DWORD unsigned int
#endif

enum { CHANNELS = 8, EVENTS = 1024, STEPS = 32, TRUNK = 0, RECORDING = 3 };
enum { OPEN_FAILED = 0, NOT_OPEN = 1, BAD_CHANNEL = 2, UNSUPPORTED = 3 };

typedef struct {
    unsigned short code;
    int channel;
    DWORD value;
} message_t;

typedef struct {
    DWORD mode;
    void *handler;
    DWORD condition, parameter, user;
} event_mode_t;

typedef void (*live_t)(int ch, unsigned char *data, DWORD bytes, void *user);

static struct {
    int type, state, volts, reversed, recording, begun, silent, piece;
    int64_t position, at_audio, owed;
    const uint8_t *audio;
    int64_t audio_bytes;
    char caller[64];
    live_t live;
    void *user;
    uint8_t wanted[256];
} line[CHANNELS];

static struct {
    int ms, ch;
    char what[16], value[64];
} script[STEPS];
static int scripted;

static message_t queue[EVENTS];
static int waits, impatient, queued, open_, polled, starts, running, quit;
static int error_code;
static const char *error_text = "";
static char last_file[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queued_one = PTHREAD_COND_INITIALIZER;
static pthread_t clock_thread;

static int fail(int code, const char *text) {
    error_code = code;
    error_text = text;
    return -1;
}

void line_run(void);

static int bad(int ch) {
    if (!open_)
        return fail(NOT_OPEN, "driver not opened");
    return ch < 0 || ch >= CHANNELS ? fail(BAD_CHANNEL, "invalid channel") : 0;
}

static void say(int code, int ch, DWORD value) {
    pthread_mutex_lock(&lock);
    if (polled && line[ch].wanted[code] && queued < EVENTS)
        queue[queued++] = (message_t){code, ch, value};
    pthread_cond_signal(&queued_one);
    pthread_mutex_unlock(&lock);
}

/* What the vendor's library exports. */

int SsmStartCti(const char *config, const char *index) {
    if (open_)
        return fail(OPEN_FAILED, "already started");
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(i ? index : config, "r");
        if (file == NULL)
            return fail(OPEN_FAILED, "\xc5\xe4\xd6\xc3\xce\xc4\xbc\xfe"); /* in GB 18030: configuration file */
        fclose(file);
    }
    memset(line, 0, sizeof line);
    scripted = 0;
    FILE *file = fopen(config, "r");
    while (scripted < STEPS && fscanf(file, "%d %15s %d %63s", &script[scripted].ms, script[scripted].what,
                                      &script[scripted].ch, script[scripted].value) == 4)
        scripted++;
    fclose(file);
    for (int ch = 0; ch < CHANNELS; ch++) {
        line[ch].type = ch == CHANNELS - 1 ? TRUNK : RECORDING;
        line[ch].volts = 48;
        line[ch].piece = 800;
    }
    queued = polled = quit = impatient = 0;
    starts++;
    open_ = 1;
    if (scripted)
        line_run();
    return 0;
}

int SsmCloseCti(void) {
    if (!open_)
        return fail(NOT_OPEN, "driver not opened");
    if (running) {
        quit = 1;
        pthread_join(clock_thread, NULL);
        running = 0;
    }
    open_ = 0;
    return 0;
}

int SsmGetLastErrCode(void) { return error_code; }
void SsmGetLastErrMsg(char *text) { strcpy(text, error_text); }
int SsmGetMaxCh(void) { return open_ ? CHANNELS : fail(NOT_OPEN, "driver not opened"); }
int SsmGetChType(int ch) { return bad(ch) ? -1 : line[ch].type; }
int SsmGetChState(int ch) { return bad(ch) ? -1 : line[ch].state; }
int SsmGetLineVoltage(int ch) { return bad(ch) ? -1 : line[ch].volts; }
int SsmGetPolarState(int ch) { return bad(ch) ? -1 : line[ch].reversed; }

int SsmSetEvent(unsigned short code, int ch, int enable, event_mode_t *mode) {
    if (code == 0xFFFF) {
        /* All of it was laid out as we do, or what follows the pointer would not be nought. */
        if (mode == NULL || mode->mode != 1 || mode->handler != NULL || mode->condition || mode->user)
            return fail(8, "invalid parameter");
        polled = enable;
        return 0;
    }
    if (bad(ch))
        return -1;
    line[ch].wanted[code] = enable;
    return 0;
}

int SsmWaitForEvent(DWORD timeout_ms, message_t *message) {
    struct timespec until;
    waits++;
    if (impatient)
        return -1;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += timeout_ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    if (!queued)
        pthread_cond_timedwait(&queued_one, &lock, &until);
    int got = queued > 0;
    if (got) {
        *message = queue[0];
        memmove(queue, queue + 1, --queued * sizeof queue[0]);
    }
    pthread_mutex_unlock(&lock);
    return got ? 0 : -1;
}

int SsmSetFlag(int ch, int flag, long value) {
    if (bad(ch))
        return -1;
    if (flag != 6 || value < 1)
        return fail(UNSUPPORTED, "unsupported operation");
    line[ch].piece = value * 8;
    return 0;
}

int SsmRecToFileB(int ch, const char *file, int codec, DWORD start, DWORD bytes, DWORD ms, int mask, live_t live,
                  void *user) {
    if (bad(ch))
        return -1;
    if (codec != 6 && codec != 7)
        return fail(7, "invalid format");
    if (file == NULL || start != 0 || (uint32_t)bytes != 0xFFFFFFFF || (uint32_t)ms != 0xFFFFFFFF || mask != 0)
        return fail(8, "invalid parameter");
    pthread_mutex_lock(&lock);
    strncpy(last_file, file, sizeof last_file - 1);
    line[ch].live = live;
    line[ch].user = user;
    line[ch].recording = 1;
    line[ch].begun++;
    line[ch].owed = 0;
    pthread_mutex_unlock(&lock);
    return 0;
}

int SsmStopRecToFile(int ch) {
    if (bad(ch))
        return -1;
    pthread_mutex_lock(&lock);
    int was = line[ch].recording;
    line[ch].recording = 0;
    pthread_mutex_unlock(&lock);
    return was ? 0 : fail(14, "not recording");
}

int SsmGetCallerId(int ch, char *text) {
    if (bad(ch))
        return -1;
    if (ch == 6)
        return fail(UNSUPPORTED, "unsupported operation");
    strcpy(text, line[ch].caller);
    return 0;
}

int SsmClearCallerId(int ch) {
    if (bad(ch))
        return -1;
    line[ch].caller[0] = 0;
    return 0;
}

/* What the test does to the lines. */

static uint8_t byte_of(int ch, int64_t k) {
    int64_t at = k - line[ch].at_audio;
    if (line[ch].audio != NULL)
        return at >= 0 && at < line[ch].audio_bytes ? line[ch].audio[at] : 0xD5;
    return k * 7 + ch * 31 + k / 251;
}

/* 20 ms pass on every line; a piece is brought when it is full. */
static void tick(void) {
    uint8_t piece[8000];
    for (int ch = 0; ch < CHANNELS; ch++) {
        line[ch].owed += 160;
        while (line[ch].owed >= line[ch].piece) {
            int bytes = line[ch].piece;
            for (int k = 0; k < bytes; k++)
                piece[k] = byte_of(ch, line[ch].position + k);
            line[ch].position += bytes;
            line[ch].owed -= bytes;
            pthread_mutex_lock(&lock);
            live_t live = line[ch].recording && !line[ch].silent ? line[ch].live : NULL;
            void *user = line[ch].user;
            pthread_mutex_unlock(&lock);
            if (live != NULL)
                live(ch, piece, bytes, user);
        }
    }
}

static void *play(void *blocks) {
    for (intptr_t i = 0; i < (intptr_t)blocks; i++)
        tick();
    return NULL;
}

/* 20 ms pass in 20 ms. */
void line_pass(void) {
    tick();
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 20000000}, NULL);
}

/* So many times 20 ms pass, as fast as it goes; every callback has been when it returns. */
void line_play(int blocks) {
    pthread_t thread;
    pthread_create(&thread, NULL, play, (void *)(intptr_t)blocks);
    pthread_join(thread, NULL);
}

static void step(const char *what, int ch, const char *value);

static void *by_the_clock(void *unused) {
    int ms = 0, done = 0;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (!quit) {
        next.tv_nsec += 20000000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        tick();
        ms += 20;
        for (; done < scripted && script[done].ms <= ms; done++)
            step(script[done].what, script[done].ch, script[done].value);
    }
    return unused;
}

/* From now on time passes by itself, until the library is closed. */
void line_run(void) {
    running = 1;
    pthread_create(&clock_thread, NULL, by_the_clock, NULL);
}

/* It does not wait for events any more; how often it was asked to. */
int line_impatient(void) {
    int so_far = waits;
    impatient = 1;
    waits = 0;
    return so_far;
}

int line_starts(void) { return starts; }

/* How often a recording was begun on a channel since the library was started. */
int line_begun(int ch) {
    pthread_mutex_lock(&lock);
    int begun = line[ch].begun;
    pthread_mutex_unlock(&lock);
    return begun;
}

const char *line_file(void) { return last_file; }

/* Audio that begins now; without bytes: the pattern again. */
void line_audio(int ch, const uint8_t *bytes, int64_t count) {
    line[ch].audio_bytes = count;
    line[ch].at_audio = line[ch].position;
    line[ch].audio = bytes;
}

void line_volts(int ch, int volts) {
    line[ch].volts = volts;
    say(0x08, ch, volts);
}

void line_state(int ch, int state) {
    DWORD before = line[ch].state;
    line[ch].state = state;
    say(0x18, ch, before << 16 | state);
}

void line_ring(int ch, int on) { say(0x1D, ch, on); }
void line_caller(int ch, const char *number) { strncpy(line[ch].caller, number, sizeof line[ch].caller - 1); }
void line_digit(int ch, int digit) { say(0x0C, ch, digit); }

void line_polarity(int ch, int reversed) {
    line[ch].reversed = reversed;
    say(0x21, ch, 1);
}

void line_hook(int ch, int lifted) { say(0x24, ch, lifted); }
/* Its audio gets lost before it is brought. */
void line_silent(int ch, int silent) { line[ch].silent = silent; }

/* The library ends a recording by itself, and says so a piece later. */
void line_ends(int ch) {
    SsmStopRecToFile(ch);
    line_play(1);
    say(0x13, ch, 1);
}

/* The board loses so many samples of all lines. */
void line_skips(int samples) {
    for (int ch = 0; ch < CHANNELS; ch++)
        line[ch].owed -= samples;
}

static void step(const char *what, int ch, const char *value) {
    int number = atoi(value);
    if (strcmp(what, "volts") == 0)
        line_volts(ch, number);
    else if (strcmp(what, "state") == 0)
        line_state(ch, number);
    else if (strcmp(what, "ring") == 0)
        line_ring(ch, number);
    else if (strcmp(what, "caller") == 0)
        line_caller(ch, value);
    else
        abort();
}
