/* Canonical JSON (RFC 8785). Made once at intake of held calls: stored, shown, digested, sent.
 * Any thread. */
#ifndef FLOPINIO_BASE_JCS_H
#define FLOPINIO_BASE_JCS_H

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* Appends the canonical form of `json` (a span that fl_scan accepted). A number whose decimal value
 * the canonical form would change is refused with FL_BAD_PARAMS, naming the place as a JSON pointer
 * and the number; this refuses a few numbers that RFC 8785 alone would round (333333333.33333329).
 * So are two equal keys in one object, and an empty span. FL_NOMEM. After FL_BAD_PARAMS `out` is as
 * it was; after another failure its contents are undefined (fl_buf.is_failed). */
enum fl_code fl_jcs(struct fl_str json, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* The ECMAScript form of a finite double (RFC 8785 section 3.2.2.3) into out (>= 32 bytes). */
char *fl_jcs_number(double value, char out[32]);

#endif
