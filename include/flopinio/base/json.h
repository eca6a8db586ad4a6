/* Small helpers over jansson trees, for configuration, policy, and arguments that a rule reads.
 * At each json_t parameter: borrowed unless it says stolen. Any thread; a tree by one at a time. */
#ifndef FLOPINIO_BASE_JSON_H
#define FLOPINIO_BASE_JSON_H

#include <jansson.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* Parses strictly (duplicates refused, NUL refused, any top-level value); NULL fills err. */
json_t *fl_json_parse(struct fl_str text, struct fl_err *err);
/* Compact, keys in their order. */
void fl_json_put(struct fl_buf *out, const json_t *value);
/* Canonical (RFC 8785); the numbers of `value` must be exact (FL_BAD_PARAMS otherwise). */
enum fl_code fl_json_put_canonical(struct fl_buf *out, const json_t *value,
                                   struct fl_err *err) FL_MUST_CHECK;
/* The value as a string, or {NULL,0} if it is none. */
struct fl_str fl_json_str(const json_t *value);
/* A member as a string. */
struct fl_str fl_json_get_str(const json_t *object, const char *name);
json_t *fl_json_new_str(struct fl_str s); /* new reference; NULL if not valid UTF-8 or no memory */
/* RFC 6901; NULL if there is no such place. "" is the root. */
json_t *fl_json_pointer(json_t *root, struct fl_str pointer);

#endif
