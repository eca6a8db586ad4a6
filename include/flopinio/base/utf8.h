/* UTF-8 (RFC 3629: no surrogates, no over-long forms, at most U+10FFFF). Any thread. */
#ifndef FLOPINIO_BASE_UTF8_H
#define FLOPINIO_BASE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

bool fl_utf8_is_valid(struct fl_str s);
/* Decodes the code point at *pos and moves *pos behind it; -1 at the end, -2 (and one byte
 * forward) at an invalid sequence. */
int32_t fl_utf8_next(struct fl_str s, size_t *pos);
void fl_utf8_put(struct fl_buf *out, uint32_t code_point);
/* Code points of a valid string. */
size_t fl_utf8_count(struct fl_str s);
/* The longest prefix of at most n bytes that ends at a code point's end. */
size_t fl_utf8_cut(struct fl_str s, size_t n);

#endif
