/* Reads one inbound message: what it is, which era it speaks, whether it may go on; both eras on
 * one endpoint. Called by runtime/endpoint for each HTTP body, WebSocket message and stdio line,
 * on the loop thread. No I/O, no clock.
 * Sources: 2026-07-28 basic/index, streamable-http, versioning; 2025-11-25 lifecycle, transports;
 * docs/protocol.md has the order of the checks. */
#ifndef FL_MCP_MESSAGE_H
#define FL_MCP_MESSAGE_H

#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"
#include "mcp/headers.h"
#include "mcp/method.h"
#include "mcp/version.h"

enum fl_mcp_kind {
    FL_MCP_REQUEST,
    FL_MCP_NOTIFICATION,
    FL_MCP_RESPONSE, /* legacy: the answer to a request of ours */
    FL_MCP_BATCH     /* 2025-03-26: take it apart with fl_mcp_batch_next */
};

#define FL_MCP_ID_BYTES              255 /* of a string id, decoded */
#define FL_MCP_IDEMPOTENCY_KEY_BYTES 255
#define FL_MCP_JUSTIFICATION_BYTES   4000
#define FL_MCP_BATCH_MAX             64

/* Spans are raw JSON out of the text; strings are decoded, borrowed from the text or from the
 * arena. Absent ones have p NULL, except where a line says otherwise. */
struct fl_mcp_message {
    enum fl_mcp_kind kind;
    enum fl_mcp_era era;
    enum fl_mcp_version version; /* legacy: the session's; in initialize, what we shall answer */
    enum fl_mcp_method method;
    struct fl_str method_text;
    struct fl_str id;              /* JSON, its type kept (1 is not "1"), escapes normalised: equal
                                      ids have equal bytes; p NULL in a notification or batch */
    struct fl_str params;          /* span of an object; "{}" when there are none */
    struct fl_str name;            /* the method's own string: tool, prompt, uri, task id, level */
    struct fl_str arguments;       /* span of an object; "{}" when the call has none */
    struct fl_str cursor;          /* lists; p NULL when absent: "" is a cursor */
    struct fl_str progress_token;  /* span of a string or an integer */
    struct fl_str input_responses; /* span of an object: tools/call, prompts/get, resources/read,
                                      tasks/update */
    struct fl_str request_state;
    struct fl_str listens_to;        /* subscriptions/listen: span of params.notifications */
    struct fl_str request_id;        /* notifications/cancelled: a valid id, as `id` is */
    struct fl_str reason;            /* notifications/cancelled */
    struct fl_str requested_version; /* initialize; modern: from _meta */
    struct fl_str result, error;     /* responses: span of one of them */
    struct fl_str items;             /* batch: span of the array */
    unsigned client_caps;            /* enum fl_mcp_client_caps: modern requests and initialize */
    struct fl_str client_name, client_title, client_version; /* self-declared: for show only */
    enum fl_mcp_level log_level;   /* modern: how much the caller wants to hear; NONE = nothing */
    unsigned accepts;              /* enum fl_mcp_accepts; HTTP */
    struct fl_str idempotency_key; /* _meta["dev.flopinio/idempotencyKey"] */
    struct fl_str justification;   /* _meta["dev.flopinio/justification"]: unverified */
    struct fl_str traceparent;     /* W3C trace context, only when well formed */
};

/* Why a message goes no further; fl_mcp_put_refusal (reply.h) makes the answer. */
struct fl_mcp_refusal {
    struct fl_err err;  /* its text is the error's message */
    int http;           /* status; of no meaning on WebSocket and stdio */
    int rpc;            /* JSON-RPC code */
    struct fl_str id;   /* span; p NULL: the answer has no id member */
    struct fl_str data; /* JSON text for error.data, static or from the arena; p NULL = none */
    bool is_mute;       /* a notification or a response: WebSocket and stdio send nothing back */
};

enum fl_mcp_transport { FL_MCP_HTTP, FL_MCP_WEBSOCKET, FL_MCP_STDIO };
enum fl_mcp_session_fact {
    FL_MCP_SESSION_NONE, /* no handshake yet; HTTP: no Mcp-Session-Id */
    FL_MCP_SESSION_GONE, /* the named session is unknown, ended, or another principal's */
    FL_MCP_SESSION_LIVE
};

/* What the reader has to know about the place that the message came in at. */
struct fl_mcp_facts {
    enum fl_mcp_transport transport;
    const struct fl_mcp_headers *headers; /* HTTP only, else NULL */
    enum fl_mcp_session_fact session;
    enum fl_mcp_version session_version; /* when live */
    unsigned serves;                     /* enum fl_mcp_serves */
    bool is_in_batch;
    /* The mirrored arguments of a published tool, NULL if it has none or is unknown; may be NULL
     * itself. Only asked on HTTP, for modern tools/call. */
    const struct fl_mcp_param_headers *(*param_headers)(void *ctx, struct fl_str tool);
    void *ctx;
};

/* FL_OK: *ret is the message. Else *ret_refusal is filled and its code returned. `text` must stay
 * as long as *ret and *ret_refusal are used. Does steps 5 to 15 of docs/protocol.md's ladder. */
enum fl_code fl_mcp_read(struct fl_arena *arena, struct fl_str text,
                         const struct fl_mcp_facts *facts, struct fl_mcp_message *ret,
                         struct fl_mcp_refusal *ret_refusal) FL_MUST_CHECK;

/* The members of a batch, one by one: read each with is_in_batch set. Start with *pos 0. */
bool fl_mcp_batch_next(const struct fl_mcp_message *batch, size_t *pos, struct fl_str *ret_text);

/* HTTP verbs other than POST: GET and DELETE are for a live legacy session, all else is 405 (send
 * `Allow: POST`). FL_OK: serve it as legacy. */
enum fl_code fl_mcp_check_verb(struct fl_str verb, const struct fl_mcp_facts *facts,
                               struct fl_mcp_refusal *ret_refusal) FL_MUST_CHECK;

/* For checks that come after the reading (unknown tool, cursor, scope): fills *ret with the
 * code's numbers and msg's id (msg may be NULL), http instead of the code's unless 0. */
enum fl_code fl_mcp_refuse(struct fl_mcp_refusal *ret, const struct fl_mcp_message *msg,
                           enum fl_code code, int http, const char *fmt, ...) FL_PRINTF(5, 6);
/* -32021: the request needs client capability `cap` (one bit of enum fl_mcp_client_caps). */
enum fl_code fl_mcp_refuse_capability(struct fl_mcp_refusal *ret, const struct fl_mcp_message *msg,
                                      enum fl_mcp_client_caps cap);

#endif
