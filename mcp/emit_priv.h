/* Small pieces of JSON that the builders of this folder put together. The comma is decided by the
 * byte in front, so that members can be left out freely. Any thread; errors stay in the buffer. */
#ifndef FL_MCP_EMIT_PRIV_H
#define FL_MCP_EMIT_PRIV_H

#include "flopinio/base/buf.h"

/* A comma, unless this is the first in its object or array. */
void fl_emit_comma(struct fl_buf *out);
/* `"key":`, with a comma where one is due; key needs no escaping. */
void fl_emit_key(struct fl_buf *out, const char *key);
/* A JSON string of text from outside: what is not UTF-8 becomes U+FFFD. */
void fl_emit_text(struct fl_buf *out, struct fl_str text);
/* JSON text as it is, on one line: stdio ends a message at a line's end. */
void fl_emit_json(struct fl_buf *out, struct fl_str json);
/* Members; the JSON text of _raw goes through fl_emit_json. _str and _raw leave out the absent (p
 * NULL). */
void fl_emit_str(struct fl_buf *out, const char *key, struct fl_str text);
void fl_emit_cstr(struct fl_buf *out, const char *key, const char *text);
void fl_emit_raw(struct fl_buf *out, const char *key, struct fl_str json);
void fl_emit_int(struct fl_buf *out, const char *key, int64_t value);
/* RFC 3339 in UTC. */
void fl_emit_time(struct fl_buf *out, const char *key, int64_t at_utc_ms);
/* ["2026-07-28"]: the versions that a request may name, without those of the handshake. */
void fl_emit_modern_versions(struct fl_buf *out);

#endif
