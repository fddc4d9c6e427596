"""Builds `_spandsp`: libspandsp 0.0.6 in API mode, with the loops of `src/spandsp_glue.h` and
`src/spandsp_lines.h`."""

from pathlib import Path

from cffi import FFI

HEADER = "spandsp.h"
REMEDY = "apt-get install libspandsp-dev libtiff-dev"

ffi = FFI()
ffi.cdef("""
    typedef struct dtmf_rx_state_s dtmf_rx_state_t;
    dtmf_rx_state_t *dtmf_rx_init(dtmf_rx_state_t *s, void *callback, void *user_data);
    void dtmf_rx_parms(dtmf_rx_state_t *s, int filter_dialtone, float twist, float reverse_twist, float threshold);
    int dtmf_rx(dtmf_rx_state_t *s, const int16_t amp[], int samples);
    size_t dtmf_rx_get(dtmf_rx_state_t *s, char *digits, int max);
    int dtmf_rx_free(dtmf_rx_state_t *s);

    typedef struct dtmf_tx_state_s dtmf_tx_state_t;
    dtmf_tx_state_t *dtmf_tx_init(dtmf_tx_state_t *s);
    void dtmf_tx_set_level(dtmf_tx_state_t *s, int level, int twist);
    void dtmf_tx_set_timing(dtmf_tx_state_t *s, int on_time, int off_time);
    int dtmf_tx_put(dtmf_tx_state_t *s, const char *digits, int len);
    int dtmf_tx(dtmf_tx_state_t *s, int16_t amp[], int max_samples);
    int dtmf_tx_free(dtmf_tx_state_t *s);

    enum { FSK_V21CH1, FSK_V21CH2, FSK_V23CH1, FSK_V23CH2, FSK_BELL103CH1, FSK_BELL103CH2, FSK_BELL202, ... };
    enum { MODEM_CONNECT_TONES_NONE, MODEM_CONNECT_TONES_FAX_CNG, MODEM_CONNECT_TONES_ANS, MODEM_CONNECT_TONES_ANS_PR,
        MODEM_CONNECT_TONES_ANSAM, MODEM_CONNECT_TONES_ANSAM_PR, MODEM_CONNECT_TONES_FAX_PREAMBLE,
        MODEM_CONNECT_TONES_FAX_CED_OR_PREAMBLE, MODEM_CONNECT_TONES_BELL_ANS, MODEM_CONNECT_TONES_CALLING_TONE, ... };
    enum { ADSI_STANDARD_CLASS, ADSI_STANDARD_CLIP, ADSI_STANDARD_CLIP_DTMF, ... };
    enum { CLASS_SDMF_CALLERID, CLASS_MDMF_CALLERID, MCLASS_DATETIME, MCLASS_CALLER_NUMBER, MCLASS_CALLER_NAME, ... };
    enum { V8_MOD_V21, V8_MOD_V22, V8_MOD_V32, V8_MOD_V34, V8_MOD_V90, V8_STATUS_V8_CALL, ... };
    enum { T30_SUPPORT_V27TER, T30_SUPPORT_V29, T30_SUPPORT_V17, T30_ERR_OK, ... };
    const char *t30_completion_code_to_str(int result);

    typedef struct { int code, level, at; } lk_heard_t;
    typedef struct { int caller_code, answerer_code, pages, bit_rate, ecm; } lk_fax_result_t;
    int lk_g711(int alaw, int encode, const int16_t *linear_in, const uint8_t *law_in, int16_t *linear, uint8_t *law,
                int n);
    int lk_fsk_tx(int spec, const uint8_t *bits, int bit_count, float level_dbm0, int16_t *out, int n);
    int lk_modem_tx(int kind, int bit_rate, int tep, float level_dbm0, uint32_t seed, int16_t *out, int n);
    int lk_connect_tone_tx(int kind, int16_t *out, int n);
    int lk_connect_tone_rx(int kind, const int16_t *in, int n, lk_heard_t *out, int max);
    int lk_super_tone_rx(const int *elements, int count, const int16_t *in, int n, lk_heard_t *out, int max);
    int lk_tone_tx(int f1, int level1, int f2, int level2, int d1, int d2, int d3, int d4, int repeat, int16_t *out,
                   int n);
    int lk_adsi_tx(int standard, int message_type, const uint8_t *fields, int fields_len, int alert, int16_t *out,
                   int n);
    int lk_adsi_rx(int standard, const int16_t *in, int n, uint8_t *out, int max);
    int lk_adsi_fields(int standard, const uint8_t *msg, int len, uint8_t *out, int max);
    int lk_v22bis_pair(int bit_rate, int guard, uint32_t seed, int16_t *out, int n, int *received);
    int lk_v8_pair(unsigned modulations, int answer_tone, int16_t *out, int n, int *status);
    int lk_fax_pair(const char *tx_file, const char *rx_file, const char *caller, const char *answerer, int modems,
                    int ecm, int16_t *out, int n, lk_fax_result_t *result);

    typedef struct lk_lines lk_lines_t;
    lk_lines_t *lk_lines_new(int channels, int alaw, unsigned receivers, const int *elements, int element_count);
    int lk_lines_feed(lk_lines_t *s, const uint8_t *law, size_t stride, int n);
    void lk_lines_free(lk_lines_t *s);
""")
ffi.set_source(
    "cffi_bindings._spandsp",
    '#include "spandsp_glue.h"\n#include "spandsp_lines.h"',
    include_dirs=[str(Path(__file__).parent / "src")],
    libraries=["spandsp", "tiff"],
    extra_compile_args=["-O2", "-Wno-unused-function"],
)
