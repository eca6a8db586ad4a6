/* The scanner against jansson: one verdict; and the canonical form of what it accepts: valid, equal
 * for jansson, and its own canonical form. */
#include <jansson.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "fuzz.h"

/* jansson stops at limits of its own numbers, where the grammar has none. */
static bool is_its_number(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow;
}

static void check_canonical(struct fl_str text)
{
    struct fl_err err;
    struct fl_buf once = FL_BUF_INIT, twice = FL_BUF_INIT;
    if (fl_jcs(text, &once, &err) == FL_OK) {
        FL_ASSERT(fl_scan(fl_buf_view(&once), &fl_scan_call, NULL, 0, NULL, &err) == FL_OK);
        FL_ASSERT(fl_jcs(fl_buf_view(&once), &twice, &err) == FL_OK);
        FL_ASSERT(fl_str_eq(fl_buf_view(&once), fl_buf_view(&twice)));
    }
    fl_buf_fini(&once);
    fl_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_err err;
    json_error_t error;
    if (memchr(data, 0, n)) /* jansson ends a text there */
        return 0;
    struct fl_str text = fuzz_copy(data, n);
    json_t *tree = json_loadb(text.p, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    bool is_accepted = fl_scan(text, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK;
    if (is_accepted)
        check_canonical(text);
    FL_ASSERT(!is_accepted || tree || is_its_number(&error));
    if (tree) { /* deeper and larger texts than a call may have, and NUL in strings */
        FL_ASSERT(fl_scan(text, &fl_scan_grammar, NULL, 0, NULL, &err) == FL_OK);
        FL_ASSERT(is_accepted || n > 120 || memmem(text.p, n, "\\u0000", 6));
    }
    json_decref(tree);
    free((char *)text.p);
    return 0;
}
