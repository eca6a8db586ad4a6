/* A tool's result on its way to a client: one shape, emitted as each version knows it. Filled from
 * a plugin's parts, from an upstream's result text, or from outcome.h's words. Used by
 * runtime/endpoint and tasks.h. Any thread, no state. */
#ifndef FL_MCP_RESULT_H
#define FL_MCP_RESULT_H

#include "flopinio/base/buf.h"
#include "mcp/version.h"

/* Spans are JSON texts that fl_scan accepted (or that we made); all borrowed. */
struct fl_mcp_result {
    struct fl_str content;     /* an array; p NULL = [] */
    struct fl_str structured;  /* any value; p NULL = none */
    struct fl_str meta;        /* an object that came with it; our keys and reserved ones in it
                                  are not passed on; p NULL = none */
    struct fl_str approval_id; /* text for _meta["dev.flopinio/approvalId"]; n 0 = none */
    struct fl_str approval;    /* an object for _meta["dev.flopinio/approval"]; p NULL = none */
    bool is_error;
};

/* Takes an upstream's CallToolResult apart; approval_id and approval stay empty. The text is
 * scanned (fl_scan_call's limits but max_bytes). FL_BAD_JSON, FL_TOO_LARGE, FL_BAD_PARAMS ("the
 * result has no content array"), FL_NOMEM. */
enum fl_code fl_mcp_result_read(struct fl_str text, size_t max_bytes, struct fl_mcp_result *ret,
                                struct fl_err *err) FL_MUST_CHECK;

struct fl_mcp_server; /* reply.h */

/* Appends the CallToolResult object. Content kinds that the version does not know become a text
 * that names them; structuredContent goes only where the version has it (before 2026-07-28 only
 * an object), and where it cannot go while there is no content, it goes as text. Modern results
 * name `server`; NULL: a result inside of a task, which is named already. */
void fl_mcp_result_put(struct fl_buf *out, enum fl_mcp_version version,
                       const struct fl_mcp_result *result, const struct fl_mcp_server *server);

#endif
