/* The loops around libspandsp that would be slow or awkward to turn in Python: sources of bits, two ends of a call
   that hear each other, and receivers that remember where they heard what. No policy; every function returns a count
   of samples or of reports, or a negative number that names what libspandsp refused. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <spandsp.h>
#include <spandsp/expose.h>

#define LK_NO_CONTEXT (-1)
#define LK_REFUSED (-2)
#define LK_CHUNK 160

/* Bits to send: those given, or, where none are, a pseudo-random sequence (x^15 + x^14 + 1). */
typedef struct {
    const uint8_t *bits;
    int n, at;
    uint32_t shift;
} lk_bits_t;

static int lk_get_bit(void *user)
{
    lk_bits_t *b = user;
    if (b->bits)
        return b->at < b->n ? b->bits[b->at++] & 1 : SIG_STATUS_END_OF_DATA;
    uint32_t bit = (b->shift ^ (b->shift >> 1)) & 1;
    b->shift = (b->shift >> 1) | (bit << 14);
    return (int) bit;
}

static void lk_put_bit(void *user, int bit)
{
    if (bit >= 0)
        ++*(int *) user;
}

static uint32_t lk_seed(uint32_t seed) { return (seed & 0x7FFF) ? (seed & 0x7FFF) : 1; }

static int lk_g711(int alaw, int encode, const int16_t *linear_in, const uint8_t *law_in, int16_t *linear, uint8_t *law,
                   int n)
{
    g711_state_t *s = g711_init(NULL, alaw ? G711_ALAW : G711_ULAW);
    if (!s)
        return LK_NO_CONTEXT;
    int done = encode ? g711_encode(s, law, linear_in, n) : g711_decode(s, linear, law_in, n);
    g711_free(s);
    return done;
}

static int lk_fsk_tx(int spec, const uint8_t *bits, int bit_count, float level_dbm0, int16_t *out, int n)
{
    lk_bits_t source = {bits, bit_count, 0, 1};
    fsk_tx_state_t *s = fsk_tx_init(NULL, &preset_fsk_specs[spec], lk_get_bit, &source);
    if (!s)
        return LK_NO_CONTEXT;
    fsk_tx_power(s, level_dbm0);
    int got = fsk_tx(s, out, n);
    fsk_tx_free(s);
    return got;
}

/* One modem sending for ever. kind: 17, 27, 29 for V.17, V.27ter, V.29. */
static int lk_modem_tx(int kind, int bit_rate, int tep, float level_dbm0, uint32_t seed, int16_t *out, int n)
{
    lk_bits_t source = {NULL, 0, 0, lk_seed(seed)};
    int got = LK_NO_CONTEXT;
    if (kind == 17) {
        v17_tx_state_t *s = v17_tx_init(NULL, bit_rate, tep, lk_get_bit, &source);
        if (!s) return LK_REFUSED;
        v17_tx_power(s, level_dbm0);
        got = v17_tx(s, out, n);
        v17_tx_free(s);
    } else if (kind == 27) {
        v27ter_tx_state_t *s = v27ter_tx_init(NULL, bit_rate, tep, lk_get_bit, &source);
        if (!s) return LK_REFUSED;
        v27ter_tx_power(s, level_dbm0);
        got = v27ter_tx(s, out, n);
        v27ter_tx_free(s);
    } else if (kind == 29) {
        v29_tx_state_t *s = v29_tx_init(NULL, bit_rate, tep, lk_get_bit, &source);
        if (!s) return LK_REFUSED;
        v29_tx_power(s, level_dbm0);
        got = v29_tx(s, out, n);
        v29_tx_free(s);
    }
    return got;
}

static int lk_connect_tone_tx(int kind, int16_t *out, int n)
{
    modem_connect_tones_tx_state_t *s = modem_connect_tones_tx_init(NULL, kind);
    if (!s)
        return LK_NO_CONTEXT;
    int got = modem_connect_tones_tx(s, out, n);
    modem_connect_tones_tx_free(s);
    return got;
}

/* What a receiver heard: `at` is the sample after which it said so. */
typedef struct {
    int code, level, at;
} lk_heard_t;

typedef struct {
    lk_heard_t *out;
    int max, count, at;
} lk_hearing_t;

static void lk_hear(void *user, int code, int level, int delay)
{
    lk_hearing_t *h = user;
    (void) delay;
    if (h->count < h->max)
        h->out[h->count] = (lk_heard_t) {code, level, h->at};
    h->count++;
}

static int lk_connect_tone_rx(int kind, const int16_t *in, int n, lk_heard_t *out, int max)
{
    lk_hearing_t h = {out, max, 0, 0};
    modem_connect_tones_rx_state_t *s = modem_connect_tones_rx_init(NULL, kind, lk_hear, &h);
    if (!s)
        return LK_NO_CONTEXT;
    while (h.at < n) {
        int chunk = n - h.at < LK_CHUNK ? n - h.at : LK_CHUNK;
        const int16_t *from = in + h.at;
        h.at += chunk;
        modem_connect_tones_rx(s, from, chunk);
    }
    modem_connect_tones_rx_free(s);
    return h.count;
}

/* Supervisory tones: `elements` are five numbers each (tone, Hz, Hz or 0, shortest ms, longest ms; 0, 0 is a
   silence), the tones in order from 0. The end of a tone is reported as code -1. */
static int lk_super_tone_rx(const int *elements, int count, const int16_t *in, int n, lk_heard_t *out, int max)
{
    lk_hearing_t h = {out, max, 0, 0};
    super_tone_rx_descriptor_t *d = super_tone_rx_make_descriptor(NULL);
    if (!d)
        return LK_NO_CONTEXT;
    for (int i = 0, tone = -1; i < count; i++, elements += 5) {
        if (elements[0] != tone)
            tone = super_tone_rx_add_tone(d);
        super_tone_rx_add_element(d, tone, elements[1], elements[2], elements[3], elements[4]);
    }
    super_tone_rx_state_t *s = super_tone_rx_init(NULL, d, lk_hear, &h);
    while (s && h.at < n) {
        int chunk = n - h.at < LK_CHUNK ? n - h.at : LK_CHUNK;
        const int16_t *from = in + h.at;
        h.at += chunk;
        super_tone_rx(s, from, chunk);
    }
    if (s)
        super_tone_rx_free(s);
    super_tone_rx_free_descriptor(d);
    return s ? h.count : LK_NO_CONTEXT;
}

static int lk_tone_tx(int f1, int level1, int f2, int level2, int d1, int d2, int d3, int d4, int repeat, int16_t *out,
                      int n)
{
    tone_gen_descriptor_t *d = tone_gen_descriptor_init(NULL, f1, level1, f2, level2, d1, d2, d3, d4, repeat);
    if (!d)
        return LK_NO_CONTEXT;
    tone_gen_state_t *s = tone_gen_init(NULL, d);
    int got = s ? tone_gen(s, out, n) : LK_NO_CONTEXT;
    if (s)
        tone_gen_free(s);
    tone_gen_descriptor_free(d);
    return got;
}

/* Caller ID. The fields come as type, length, body one after the other; a type of 0 means one unmarked body. */
static int lk_adsi_tx(int standard, int message_type, const uint8_t *fields, int fields_len, int alert, int16_t *out,
                      int n)
{
    uint8_t message[256];
    adsi_tx_state_t *s = adsi_tx_init(NULL, standard);
    if (!s)
        return LK_NO_CONTEXT;
    if (alert)
        adsi_tx_send_alert_tone(s);
    int len = standard == ADSI_STANDARD_CLIP_DTMF ? 0 : adsi_add_field(s, message, -1, (uint8_t) message_type, NULL, 0);
    for (int at = 0; at + 1 < fields_len && at + 2 + fields[at + 1] <= fields_len; at += 2 + fields[at + 1]) {
        if (len + 2 + fields[at + 1] > (int) sizeof(message)) {
            adsi_tx_free(s);
            return LK_REFUSED;
        }
        if (standard == ADSI_STANDARD_CLIP_DTMF && at == 0)
            len = adsi_add_field(s, message, -1, (uint8_t) message_type, NULL, 0);
        len = adsi_add_field(s, message, len, fields[at], fields + at + 2, fields[at + 1]);
    }
    int got = LK_REFUSED;
    if (len > 0 && adsi_tx_put_message(s, message, len) > 0)
        got = adsi_tx(s, out, n);
    adsi_tx_free(s);
    return got;
}

/* Messages are stored one after the other: the sample (4 bytes, little-endian), the length (2 bytes), the bytes. */
typedef struct {
    uint8_t *out;
    int max, len, at;
    bool overflow;
} lk_messages_t;

static void lk_put_message(void *user, const uint8_t *msg, int len)
{
    lk_messages_t *m = user;
    if (len < 0 || m->len + 6 + len > m->max) {
        m->overflow |= len >= 0;
        return;
    }
    uint8_t *p = m->out + m->len;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t) (m->at >> (8 * i));
    p[4] = (uint8_t) len;
    p[5] = (uint8_t) (len >> 8);
    memcpy(p + 6, msg, (size_t) len);
    m->len += 6 + len;
}

static int lk_adsi_rx(int standard, const int16_t *in, int n, uint8_t *out, int max)
{
    lk_messages_t m = {out, max, 0, 0, false};
    adsi_rx_state_t *s = adsi_rx_init(NULL, standard, lk_put_message, &m);
    if (!s)
        return LK_NO_CONTEXT;
    while (m.at < n) {
        int chunk = n - m.at < LK_CHUNK ? n - m.at : LK_CHUNK;
        const int16_t *from = in + m.at;
        m.at += chunk;
        adsi_rx(s, from, chunk);
    }
    adsi_rx_free(s);
    return m.overflow ? LK_REFUSED : m.len;
}

/* Fields of one message as type, length, body; -1 where libspandsp cannot take the message apart. */
static int lk_adsi_fields(int standard, const uint8_t *msg, int len, uint8_t *out, int max)
{
    adsi_rx_state_t *s = adsi_rx_init(NULL, standard, lk_put_message, NULL);
    if (!s)
        return LK_NO_CONTEXT;
    int used = 0, at = -1;
    uint8_t type;
    const uint8_t *body;
    int body_len;
    while ((at = adsi_next_field(s, msg, len, at, &type, &body, &body_len)) > 0 && used + 2 + body_len <= max) {
        out[used] = type;
        out[used + 1] = (uint8_t) (body ? body_len : 0);
        if (body)
            memcpy(out + used + 2, body, (size_t) body_len);
        used += 2 + (body ? body_len : 0);
    }
    adsi_rx_free(s);
    return used;
}

/* Two V.22bis modems on one line: `out` is [2, n], caller first. `received` counts the data bits of each end. */
static int lk_v22bis_pair(int bit_rate, int guard, uint32_t seed, int16_t *out, int n, int *received)
{
    lk_bits_t source[2] = {{NULL, 0, 0, lk_seed(seed)}, {NULL, 0, 0, lk_seed(seed + 77)}};
    v22bis_state_t *end[2];
    for (int e = 0; e < 2; e++) {
        received[e] = 0;
        end[e] = v22bis_init(NULL, bit_rate, guard, e == 0, lk_get_bit, &source[e], lk_put_bit, &received[e]);
        if (!end[e])
            return LK_NO_CONTEXT;
    }
    for (int at = 0; at < n; at += LK_CHUNK) {
        int chunk = n - at < LK_CHUNK ? n - at : LK_CHUNK;
        for (int e = 0; e < 2; e++) {
            int got = v22bis_tx(end[e], out + e * n + at, chunk);
            memset(out + e * n + at + got, 0, (size_t) (chunk - got) * sizeof(int16_t));
        }
        for (int e = 0; e < 2; e++)
            v22bis_rx(end[e], out + (1 - e) * n + at, chunk);
    }
    v22bis_free(end[0]);
    v22bis_free(end[1]);
    return n;
}

/* V.8 between two modems: returns the samples it took; `status` holds each end's last result. */
static void lk_v8_result(void *user, v8_parms_t *result) { *(int *) user = result->status; }

static int lk_v8_pair(unsigned modulations, int answer_tone, int16_t *out, int n, int *status)
{
    v8_state_t *end[2];
    for (int e = 0; e < 2; e++) {
        v8_parms_t p;
        memset(&p, 0, sizeof(p));
        p.modem_connect_tone = e ? answer_tone : MODEM_CONNECT_TONES_NONE;
        p.send_ci = e == 0;
        p.v92 = -1;
        p.call_function = V8_CALL_V_SERIES;
        p.modulations = modulations;
        p.protocol = V8_PROTOCOL_LAPM_V42;
        p.nsf = p.t66 = -1;
        status[e] = V8_STATUS_IN_PROGRESS;
        end[e] = v8_init(NULL, e == 0, &p, lk_v8_result, &status[e]);
        if (!end[e])
            return LK_NO_CONTEXT;
    }
    int at = 0;
    while (at + LK_CHUNK <= n && (status[0] < V8_STATUS_V8_CALL || status[1] < V8_STATUS_V8_CALL)) {
        for (int e = 0; e < 2; e++) {
            int got = v8_tx(end[e], out + e * n + at, LK_CHUNK);
            memset(out + e * n + at + got, 0, (size_t) (LK_CHUNK - got) * sizeof(int16_t));
        }
        for (int e = 0; e < 2; e++)
            v8_rx(end[e], out + (1 - e) * n + at, LK_CHUNK);
        at += LK_CHUNK;
    }
    v8_free(end[0]);
    v8_free(end[1]);
    return at;
}

/* A whole fax call: caller sends `tx_file`, answerer stores `rx_file`. Ends one second after both ends are done. */
typedef struct {
    int caller_code, answerer_code, pages, bit_rate, ecm;
} lk_fax_result_t;

static void lk_phase_e(t30_state_t *s, void *user, int code)
{
    (void) s;
    *(int *) user = code;
}

static int lk_fax_pair(const char *tx_file, const char *rx_file, const char *caller, const char *answerer, int modems,
                       int ecm, int16_t *out, int n, lk_fax_result_t *result)
{
    fax_state_t *end[2] = {fax_init(NULL, true), fax_init(NULL, false)};
    int code[2] = {-1, -1};
    if (!end[0] || !end[1])
        return LK_NO_CONTEXT;
    for (int e = 0; e < 2; e++) {
        t30_state_t *t30 = fax_get_t30_state(end[e]);
        t30_set_tx_ident(t30, e ? answerer : caller);
        t30_set_supported_modems(t30, modems);
        t30_set_ecm_capability(t30, ecm);
        t30_set_supported_compressions(t30, T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION
                                                | T30_SUPPORT_T6_COMPRESSION);
        t30_set_phase_e_handler(t30, lk_phase_e, &code[e]);
        fax_set_transmit_on_idle(end[e], true);
    }
    t30_set_tx_file(fax_get_t30_state(end[0]), tx_file, -1, -1);
    t30_set_rx_file(fax_get_t30_state(end[1]), rx_file, -1);
    int at = 0, tail = 50;
    while (at + LK_CHUNK <= n && tail > 0) {
        for (int e = 0; e < 2; e++) {
            int got = fax_tx(end[e], out + e * n + at, LK_CHUNK);
            memset(out + e * n + at + got, 0, (size_t) (LK_CHUNK - got) * sizeof(int16_t));
        }
        for (int e = 0; e < 2; e++) {
            int16_t heard[LK_CHUNK]; /* the receiver may write into what it is given */
            memcpy(heard, out + (1 - e) * n + at, sizeof(heard));
            fax_rx(end[e], heard, LK_CHUNK);
        }
        at += LK_CHUNK;
        if (code[0] >= 0 && code[1] >= 0)
            tail--;
    }
    t30_stats_t stats;
    t30_get_transfer_statistics(fax_get_t30_state(end[1]), &stats);
    *result = (lk_fax_result_t) {code[0], code[1], stats.pages_rx, stats.bit_rate, stats.error_correcting_mode};
    fax_free(end[0]);
    fax_free(end[1]);
    return at;
}
