/* The error table's texts and numbers. */
#include "flopinio/base/err.h"

#include <stdio.h>
#include <string.h>

#include "flopinio/base/utf8.h"

static const struct {
    const char *name;
    const char *text;
    int rpc;
    int http;
} codes[] = {
#define X(name, rpc, http, text) { #name, text, rpc, http },
    FL_CODES(X)
#undef X
};

enum fl_code fl_err_vset(struct fl_err *err, enum fl_code code, const char *fmt, va_list ap)
{
    if (err) {
        fl_utf8_vformat(err->text, sizeof err->text, fmt, ap);
        err->code = code;
    }
    return code;
}

enum fl_code fl_err_set(struct fl_err *err, enum fl_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fl_err_vset(err, code, fmt, ap);
    va_end(ap);
    return code;
}

enum fl_code fl_err_code(struct fl_err *err, enum fl_code code)
{
    return fl_err_set(err, code, "%s", fl_code_text(code));
}

const char *fl_code_name(enum fl_code code)
{
    FL_ASSERT(code < FL_CODE_COUNT);
    return codes[code].name;
}

const char *fl_code_text(enum fl_code code)
{
    FL_ASSERT(code < FL_CODE_COUNT);
    return codes[code].text;
}

int fl_code_rpc(enum fl_code code)
{
    FL_ASSERT(code < FL_CODE_COUNT);
    return codes[code].rpc;
}

int fl_code_http(enum fl_code code)
{
    FL_ASSERT(code < FL_CODE_COUNT);
    return codes[code].http;
}
