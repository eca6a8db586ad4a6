/* The span scanner: validates a JSON text (RFC 8259) in one pass without building a tree, and
 * hands out spans of the text. Messages in flight are scanned, and a tree is built only when a
 * rule, a schema or a card reads the arguments. Spans borrow the text. Any thread; allocates only
 * for an object with very many members. */
#ifndef FLOPINIO_BASE_SCAN_H
#define FLOPINIO_BASE_SCAN_H

#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

#define FL_SCAN_DEPTH_MAX 1024
#define FL_SCAN_PICKS_MAX 32

struct fl_scan_limits {
    size_t max_bytes;        /* at most UINT32_MAX */
    uint32_t max_nodes;      /* values, counting containers and scalars, not keys */
    uint16_t max_depth;      /* containers inside one another; at most FL_SCAN_DEPTH_MAX */
    bool rejects_duplicates; /* equal keys in one object, compared after decoding escapes */
    bool rejects_nul;        /* \u0000 in a key or string */
};

/* RFC 8259 alone, deep enough for every published test text. */
extern const struct fl_scan_limits fl_scan_grammar;
/* What a call must obey: 4 MiB, 100,000 nodes, depth 64, no duplicate keys, no NUL. */
extern const struct fl_scan_limits fl_scan_call;

/* A value to pick while scanning, by its place from the root: up to 3 member names, for instance
 * { "params", "_meta", "progressToken" }. Found values are written to the same index of `ret`.
 * Names are compared after decoding escapes, byte for byte: no case folding. Where duplicates are
 * not rejected the last of equal members counts, here and in fl_span_get, as in jansson. */
struct fl_scan_pick {
    const char *path[3]; /* no empty names; the first never NULL, unused ones NULL */
};

/* Validates `text` as one JSON value (RFC 8259 section 2) with optional white space around. At
 * most FL_SCAN_PICKS_MAX picks. On success `ret[i].p` is NULL for a pick that is absent; on failure
 * `ret` is untouched. FL_BAD_JSON says where ("line 3, column 7: expected ':' behind the key"; the
 * column counts code points) and never quotes the text; FL_TOO_LARGE says which limit; FL_NOMEM.
 * Lone surrogate escapes are refused (they have no UTF-8 form), a byte order mark too. */
enum fl_code fl_scan(struct fl_str text, const struct fl_scan_limits *limits,
                     const struct fl_scan_pick *picks, size_t pick_count, struct fl_str *ret,
                     struct fl_err *err) FL_MUST_CHECK;

/* ---- reading spans of a text that fl_scan accepted; blanks in front are skipped ---- */
enum fl_span_type {
    FL_SPAN_ABSENT,
    FL_SPAN_NULL,
    FL_SPAN_FALSE,
    FL_SPAN_TRUE,
    FL_SPAN_NUMBER,
    FL_SPAN_STRING,
    FL_SPAN_ARRAY,
    FL_SPAN_OBJECT
};
enum fl_span_type fl_span_type(struct fl_str value);
/* A member of an object by its (unescaped) name; absent -> p NULL. */
struct fl_str fl_span_get(struct fl_str object, const char *name);
/* Iteration: start with pos 0; false at the end, or at once if it is no object (array). `key` is
 * the raw string span with quotes. Each step skips the value's text once more, so nested iteration
 * costs length times depth. */
bool fl_span_next_member(struct fl_str object, size_t *pos, struct fl_str *ret_key,
                         struct fl_str *ret_value);
bool fl_span_next_item(struct fl_str array, size_t *pos, struct fl_str *ret_value);
/* The decoded string: borrowed from the text when it has no escape, else from the arena; p NULL
 * if `value` is not a string or there is no memory (an empty string has a p). */
struct fl_str fl_span_string(struct fl_arena *arena, struct fl_str value);
/* Decodes a string into `out`, which has as many bytes as the span; returns how many it became. */
size_t fl_span_decode(struct fl_str value, char *out);
/* True if `value` is a string equal to `text` after decoding. */
bool fl_span_is(struct fl_str value, const char *text);
/* An integer literal (no fraction, no exponent) that fits. */
bool fl_span_int(struct fl_str value, int64_t *ret);
/* Is this a member that is read as well where it stands as from a tree? Its name has no escape, and
 * its value is a string, a boolean, null, or an integer of at most 18 digits. */
bool fl_span_is_flat(struct fl_str key, struct fl_str value);

#endif
