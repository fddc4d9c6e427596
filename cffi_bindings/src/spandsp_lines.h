/* Many lines, and on each of them the receivers that an application of libspandsp would run: the loop over lines and
   receivers is turned here, so that what is measured of a block of 20 ms is libspandsp and not the way to it. */

enum {
    LK_LINES_POWER = 1,
    LK_LINES_DTMF = 2,
    LK_LINES_CONNECT = 4,
    LK_LINES_PREAMBLE = 8,
    LK_LINES_CALLER_ID = 16,
    LK_LINES_PROGRESS = 32
};

#define LK_CONNECTS 4
#define LK_CALLER_IDS 2
#define LK_LONGEST 1600

typedef struct {
    power_meter_t power;
    dtmf_rx_state_t *dtmf;
    modem_connect_tones_rx_state_t *connect[LK_CONNECTS];
    modem_connect_tones_rx_state_t *preamble;
    adsi_rx_state_t *caller_id[LK_CALLER_IDS];
    super_tone_rx_state_t *progress;
} lk_line_t;

typedef struct lk_lines {
    int channels, alaw;
    unsigned receivers;
    super_tone_rx_descriptor_t *plan;
    lk_line_t *lines;
    int heard;
} lk_lines_t;

static void lk_lines_digits(void *user, const char *digits, int len) { (void) digits, *(int *) user += len; }
static void lk_lines_tone(void *user, int code, int level, int delay)
{
    (void) code, (void) level, (void) delay;
    ++*(int *) user;
}

static void lk_lines_message(void *user, const uint8_t *msg, int len) { (void) msg, (void) len, ++*(int *) user; }

static void lk_lines_free(lk_lines_t *s)
{
    for (int c = 0; s->lines && c < s->channels; ++c) {
        lk_line_t *line = &s->lines[c];
        if (line->dtmf)
            dtmf_rx_free(line->dtmf);
        for (int k = 0; k < LK_CONNECTS; ++k)
            if (line->connect[k])
                modem_connect_tones_rx_free(line->connect[k]);
        if (line->preamble)
            modem_connect_tones_rx_free(line->preamble);
        for (int k = 0; k < LK_CALLER_IDS; ++k)
            if (line->caller_id[k])
                adsi_rx_free(line->caller_id[k]);
        if (line->progress)
            super_tone_rx_free(line->progress);
    }
    if (s->plan)
        super_tone_rx_free_descriptor(s->plan);
    free(s->lines);
    free(s);
}

/* `elements`: five numbers each: tone (0 up), two frequencies (0 for none; -1, as its header
   has it, is not taken), shortest and longest length in ms (0: no
   end). */
static bool lk_lines_make(lk_lines_t *s, const int *elements, int element_count)
{
    static const int connects[LK_CONNECTS] = {MODEM_CONNECT_TONES_FAX_CNG, MODEM_CONNECT_TONES_ANSAM_PR,
                                              MODEM_CONNECT_TONES_BELL_ANS, MODEM_CONNECT_TONES_CALLING_TONE};
    static const int standards[LK_CALLER_IDS] = {ADSI_STANDARD_CLASS, ADSI_STANDARD_CLIP};
    if (!(s->lines = calloc(s->channels, sizeof(lk_line_t))))
        return false;
    if (s->receivers & LK_LINES_PROGRESS) {
        if (!(s->plan = super_tone_rx_make_descriptor(NULL)))
            return false;
        for (int k = 0, tone = -1; k < element_count; ++k) {
            const int *e = &elements[5 * k];
            while (tone < e[0])
                tone = super_tone_rx_add_tone(s->plan);
            super_tone_rx_add_element(s->plan, tone, e[1], e[2], e[3], e[4]);
        }
    }
    for (int c = 0; c < s->channels; ++c) {
        lk_line_t *line = &s->lines[c];
        power_meter_init(&line->power, 7);
        if (s->receivers & LK_LINES_DTMF && !(line->dtmf = dtmf_rx_init(NULL, lk_lines_digits, &s->heard)))
            return false;
        for (int k = 0; s->receivers & LK_LINES_CONNECT && k < LK_CONNECTS; ++k)
            if (!(line->connect[k] = modem_connect_tones_rx_init(NULL, connects[k], lk_lines_tone, &s->heard)))
                return false;
        if (s->receivers & LK_LINES_PREAMBLE && !(line->preamble = modem_connect_tones_rx_init(NULL,
                MODEM_CONNECT_TONES_FAX_PREAMBLE, lk_lines_tone, &s->heard)))
            return false;
        for (int k = 0; s->receivers & LK_LINES_CALLER_ID && k < LK_CALLER_IDS; ++k)
            if (!(line->caller_id[k] = adsi_rx_init(NULL, standards[k], lk_lines_message, &s->heard)))
                return false;
        if (s->receivers & LK_LINES_PROGRESS && !(line->progress = super_tone_rx_init(NULL, s->plan, lk_lines_tone,
                &s->heard)))
            return false;
    }
    return true;
}

static lk_lines_t *lk_lines_new(int channels, int alaw, unsigned receivers, const int *elements, int element_count)
{
    lk_lines_t *s = calloc(1, sizeof(lk_lines_t));
    if (!s)
        return NULL;
    s->channels = channels;
    s->alaw = alaw;
    s->receivers = receivers;
    if (!lk_lines_make(s, elements, element_count)) {
        lk_lines_free(s);
        return NULL;
    }
    return s;
}

/* `n` law bytes of every channel, each `stride` bytes after the one before. Answers how much was reported so far. */
static int lk_lines_feed(lk_lines_t *s, const uint8_t *law, size_t stride, int n)
{
    int16_t x[LK_LONGEST];
    if (n > LK_LONGEST)
        return LK_REFUSED;
    for (int c = 0; c < s->channels; ++c) {
        lk_line_t *line = &s->lines[c];
        const uint8_t *in = law + c * stride;
        if (s->alaw)
            for (int i = 0; i < n; ++i)
                x[i] = alaw_to_linear(in[i]);
        else
            for (int i = 0; i < n; ++i)
                x[i] = ulaw_to_linear(in[i]);
        if (s->receivers & LK_LINES_POWER)
            for (int i = 0; i < n; ++i)
                power_meter_update(&line->power, x[i]);
        if (line->dtmf)
            dtmf_rx(line->dtmf, x, n);
        if (s->receivers & LK_LINES_CONNECT)
            for (int k = 0; k < LK_CONNECTS; ++k)
                modem_connect_tones_rx(line->connect[k], x, n);
        if (line->preamble)
            modem_connect_tones_rx(line->preamble, x, n);
        if (s->receivers & LK_LINES_CALLER_ID)
            for (int k = 0; k < LK_CALLER_IDS; ++k)
                adsi_rx(line->caller_id[k], x, n);
        if (line->progress)
            super_tone_rx(line->progress, x, n);
    }
    return s->heard;
}
