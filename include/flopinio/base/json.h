/* Small helpers over jansson trees, for configuration, policy, and arguments that a rule reads.
 * At each json_t parameter: borrowed unless it says stolen. Any thread; a tree by one at a time. */
#ifndef FLOPINIO_BASE_JSON_H
#define FLOPINIO_BASE_JSON_H

#include <jansson.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* Parses within the limits of fl_scan_call (duplicates and NUL refused, any top-level value); NULL
 * fills err: FL_BAD_JSON (also for a number that neither an int64 nor a finite double holds),
 * FL_TOO_LARGE, FL_NOMEM. */
json_t *fl_json_parse(struct fl_str text, struct fl_err *err);
/* Are both JSON, and equal whatever the order of their keys? */
bool fl_json_is_same(struct fl_str a, struct fl_str b);
/* Compact, keys in their order, reals with the fewest digits that read back the same ("0.1",
 * "1.0"). Failure shows in the buffer. */
void fl_json_put(struct fl_buf *out, const json_t *value);
/* Canonical (RFC 8785); the numbers of `value` must be exact (FL_BAD_PARAMS otherwise, see
 * fl_jcs). */
enum fl_code fl_json_put_canonical(struct fl_buf *out, const json_t *value,
                                   struct fl_err *err) FL_MUST_CHECK;
/* The value as a string, or {NULL,0} if it is none. */
struct fl_str fl_json_str(const json_t *value);
/* A member as a string. */
struct fl_str fl_json_get_str(const json_t *object, const char *name);
json_t *fl_json_new_str(struct fl_str s); /* new reference; NULL if not valid UTF-8 or no memory */
/* RFC 6901; borrowed; NULL if there is no such place or no memory. "" is the root. Array indexes
 * have no leading zeros; "-" is no place. */
json_t *fl_json_pointer(json_t *root, struct fl_str pointer);
/* The reference tokens of a pointer one by one: start with pos 0; false at the end or where it is
 * malformed (*pos then stays below pointer.n). `scratch` holds a decoded token until the next. */
bool fl_json_pointer_next(struct fl_str pointer, size_t *pos, struct fl_buf *scratch,
                          struct fl_str *ret_token);
/* A token that is an array index, as RFC 6901 section 4 writes it. */
bool fl_json_pointer_index(struct fl_str token, size_t *ret);
/* Appends "/" and the token, escaped. */
void fl_json_pointer_add(struct fl_buf *out, struct fl_str token);

#endif
