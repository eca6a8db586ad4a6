/* The HTTP headers that mirror a message: which there are, how their values are encoded, whether
 * they agree with the body (2026-07-28, streamable-http: Request Metadata, Server Validation).
 * Called by the reader (message.h) and, for content type, verbs and sessions, by runtime/endpoint.
 * The body decides; a header that disagrees refuses the request. Any thread, no state. */
#ifndef FL_MCP_HEADERS_H
#define FL_MCP_HEADERS_H

#include "flopinio/base/arena.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_mcp_header {
    struct fl_str name, value; /* as received; borrowed */
};

/* All header lines of one HTTP request, in any order, repeated ones repeated. */
struct fl_mcp_headers {
    const struct fl_mcp_header *list;
    size_t count;
};

/* How often a header stands in the request (name without case). With one, *ret is its value
 * without blanks around; with several, the first: for none of ours is that ever good. */
size_t fl_mcp_header_get(const struct fl_mcp_headers *headers, const char *name,
                         struct fl_str *ret);

/* FL_OK if Content-Type is application/json, with or without parameters; else
 * FL_UNSUPPORTED_MEDIA. */
enum fl_code fl_mcp_check_content_type(const struct fl_mcp_headers *headers,
                                       struct fl_err *err) FL_MUST_CHECK;

/* What the client can read: bits. No Accept header means both (RFC 9110 section 12.5.1). */
enum fl_mcp_accepts { FL_MCP_ACCEPTS_JSON = 1, FL_MCP_ACCEPTS_SSE = 2 };
unsigned fl_mcp_accepts(const struct fl_mcp_headers *headers);

/* The session that a request names, if it has to be looked up before fl_mcp_read: false when the
 * request carries no Mcp-Session-Id, or names a modern version (which has no sessions). An id that
 * cannot be one of ours (not 1-128 visible ASCII characters, or sent twice) gives true and an
 * empty *ret_id: a session that is gone. */
bool fl_mcp_names_session(const struct fl_mcp_headers *headers, struct fl_str *ret_id);

/* The value that Mcp-Name or Mcp-Param-* carries: plain visible ASCII, or =?base64?...?= around
 * the standard base64 of UTF-8, decoded strictly. *ret is borrowed or from the arena.
 * FL_HEADER_MISMATCH when it is neither; FL_NOMEM. */
enum fl_code fl_mcp_header_decode(struct fl_arena *arena, struct fl_str value,
                                  struct fl_str *ret) FL_MUST_CHECK;

/* ---- Mcp-Param-*: arguments that a tool's schema asks clients to mirror ---- */
enum fl_mcp_param_type { FL_MCP_PARAM_STRING, FL_MCP_PARAM_INTEGER, FL_MCP_PARAM_BOOLEAN };

struct fl_mcp_param_header {
    struct fl_str name; /* behind "Mcp-Param-" */
    enum fl_mcp_param_type type;
    const char *const *path; /* property names from the arguments' root */
    size_t path_count;
};

struct fl_mcp_param_headers {
    const struct fl_mcp_param_header *list; /* the arena's */
    size_t count;
};

/* Collects the x-mcp-header annotations of an input schema (JSON text that fl_scan accepted, an
 * object). FL_BAD_PARAMS names the place and the rule that one breaks: legal only on string,
 * integer and boolean properties that a chain of `properties` reaches, a token, unique without
 * case. Such a tool must not be published over HTTP. FL_NOMEM. */
enum fl_code fl_mcp_param_headers_read(struct fl_arena *arena, struct fl_str input_schema,
                                       struct fl_mcp_param_headers *ret,
                                       struct fl_err *err) FL_MUST_CHECK;

/* Each declared argument that is present and not null must be mirrored, equal, exactly once; each
 * absent or null one must not be. Integers compare as numbers. Headers that no declaration knows
 * are ignored. FL_HEADER_MISMATCH names the header, never a value. `arguments` may be any JSON
 * value (another type than object has no members). FL_NOMEM. */
enum fl_code fl_mcp_param_headers_check(const struct fl_mcp_param_headers *declared,
                                        const struct fl_mcp_headers *headers,
                                        struct fl_str arguments, struct fl_arena *arena,
                                        struct fl_err *err) FL_MUST_CHECK;

#endif
