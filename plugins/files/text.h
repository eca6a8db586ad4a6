/* Questions about bytes: is it UTF-8, is it text, does a name match; and base64. Any thread. */
#ifndef FILES_TEXT_H
#define FILES_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* Bytes of the UTF-8 sequence at p (RFC 3629), or 0 if none is whole and valid there. */
size_t utf8_width(const char *p, size_t n);
bool utf8_is_valid(const char *p, size_t n);
/* Valid UTF-8 without NUL: what can be shown and edited as text. */
bool text_is_text(const char *p, size_t n);
/* Where the first whole character of p[from, to) starts, and where the last one ends: at most three
 * bytes further in. For ranges that were cut out of a larger text. */
size_t text_head(const char *p, size_t from, size_t to);
size_t text_tail(const char *p, size_t from, size_t to);
/* A short single-line form of a path for messages: escaped; the middle of a very long one is
 * replaced by its length. */
#define TEXT_NAME_BYTES 320
const char *text_name(const char *name, char ret[TEXT_NAME_BYTES]);
/* `*` any run of bytes, `?` any one character; bytes otherwise. Time at most |name| * |pattern|. */
bool text_glob(const char *pattern, const char *name);
/* "image/png" and the like by the first bytes, or NULL; *ret_kind is "image" or "audio". */
const char *text_media_type(const char *p, size_t n, const char **ret_kind);

/* RFC 4648 section 4, with padding. */
void base64_put(struct buf *buf, const void *bytes, size_t n);
/* false on anything else than canonical base64. */
bool base64_decode(struct buf *buf, const char *text, size_t n);

#endif
