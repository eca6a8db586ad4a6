/* Canonical JSON: what comes out is valid, equal for jansson, and its own canonical form. With the
 * environment's FL_JCS_LOG each text and what became of it is added to that file, for tests/fuzz/
 * jcs.mjs to compare with JavaScript's: two lines of hex, the second one "-" for a refusal. */
#include <jansson.h>
#include <stdio.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/scan.h"
#include "fuzz.h"

static void put_hex(FILE *out, struct fl_str text)
{
    for (size_t i = 0; i < text.n; i++)
        fprintf(out, "%02x", (unsigned char)text.p[i]);
    fputc('\n', out);
}

static void note(struct fl_str text, const struct fl_buf *canonical)
{
    static FILE *out;
    const char *path = getenv("FL_JCS_LOG");
    if (!out && path)
        out = fopen(path, "a");
    if (!out)
        return;
    put_hex(out, text);
    if (canonical)
        put_hex(out, fl_buf_view(canonical));
    else
        fputs("-\n", out);
    fflush(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_err err;
    struct fl_buf once = FL_BUF_INIT, twice = FL_BUF_INIT;
    struct fl_str text = fuzz_copy(data, n);
    if (fl_scan(text, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK) {
        enum fl_code code = fl_jcs(text, &once, &err);
        FL_ASSERT(code == FL_OK || (code == FL_BAD_PARAMS && once.n == 0));
        if (code == FL_OK) {
            json_t *before = json_loadb(text.p, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
            json_t *after =
                json_loadb(once.p, once.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
            FL_ASSERT(after && (!before || json_equal(before, after)));
            FL_ASSERT(fl_scan(fl_buf_view(&once), &fl_scan_call, NULL, 0, NULL, &err) == FL_OK);
            FL_ASSERT(fl_jcs(fl_buf_view(&once), &twice, &err) == FL_OK);
            FL_ASSERT(fl_str_eq(fl_buf_view(&once), fl_buf_view(&twice)));
            json_decref(before);
            json_decref(after);
        }
        note(text, code == FL_OK ? &once : NULL);
    }
    fl_buf_fini(&once);
    fl_buf_fini(&twice);
    free((char *)text.p);
    return 0;
}
