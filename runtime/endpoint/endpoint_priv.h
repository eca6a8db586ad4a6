/* Shared inside runtime/endpoint. */
#ifndef FLOPINIO_ENDPOINT_PRIV_H
#define FLOPINIO_ENDPOINT_PRIV_H

#include "mcp/session.h"
#include "mcp/sse.h"
#include "mcp/tasks.h"
#include "runtime/approval/call.h"
#include "runtime/endpoint/endpoint.h"

/* Places of GET streams (stream_place.c). */
struct fl_stream_places {
    struct fl_list waiting,
        failed;             /* fl_stream_place.link: to be given back, now or behind `again` */
    struct fl_list telling; /* statements under way */
    struct fl_timer again;
    struct fl_post turn; /* what ended in this turn is given back together */
    int64_t again_ms;
    size_t count, at_once; /* places; of telling */
};

struct fl_endpoint {
    struct fl_core *core;
    struct fl_principals *principals;
    struct fl_endpoint_config config;
    struct fl_mcp_server server;
    struct fl_ws_hub *hub;
    struct fl_list conns;          /* fl_conn: WebSocket and stdio */
    struct fl_list talks;          /* fl_talk, over every transport */
    struct fl_list streams;        /* fl_http_stream: GET streams of legacy sessions */
    struct fl_list sessions[256];  /* fl_session: legacy HTTP sessions known here, by their hash */
    struct fl_list idle_sessions;  /* fl_session.idle: those of them that nothing refers to */
    struct fl_timer trim_sessions; /* armed while there are such */
    struct fl_list kept;           /* fl_http_stream.kept: ended ones that can be resumed */
    size_t kept_bytes;
    struct fl_list telling; /* what rows of sessions are told and nobody waits for */
    struct fl_stream_places places;
    struct fl_mcp_listens listens; /* over HTTP */
    size_t talk_count, session_count;
    size_t stdio_strangers;      /* connections of the local socket that have not been let in */
    uint64_t own_sessions_ended; /* config.sessions_ended points here when there are no others */
    struct fl_orgs_listener org_listener;
    struct fl_timer announce; /* list_changed, a little later */
    struct fl_uuid changed[64];
    size_t changed_count;
    struct fl_buf answer; /* where answers of calls are made, one at a time */
    bool is_draining;
};

/* ---- a request in progress and the way to answer it (talk.c) ---- */
struct fl_talk;
struct fl_talk_ops {
    /* One message of ours. `is_last`: the answer; `http` is its status. A talk whose transport is
     * gone is never sent. False: it was only kept, for a client that may come back to the stream.
     * Ends no other talk before it returns. */
    bool (*send)(struct fl_talk *talk, struct fl_str message, bool is_last, int http);
    /* The answer will take long: whatever keeps the way open (SSE headers, comments). */
    void (*opening)(struct fl_talk *talk);
    /* No answer follows (the client cancelled). */
    void (*close)(struct fl_talk *talk);
    /* People are asked now. True: nobody is connected, the talk has left (may be NULL). */
    bool (*leaves)(struct fl_talk *talk);
};

struct fl_watch; /* of one task in a listen (tasks.c) */

struct fl_talk {
    struct fl_endpoint *endpoint;
    struct fl_principal *principal; /* a reference */
    struct fl_arena *arena;         /* holds this struct, too */
    const struct fl_talk_ops *ops;
    void *transport;
    struct fl_list link; /* endpoint->talks */
    struct fl_list mine; /* the transport's list */
    struct fl_mcp_message msg;
    struct fl_mcp_flight flight;
    struct fl_mcp_progress progress;
    double waited; /* progress while people are asked */
    struct fl_timer tick;
    struct fl_call *call;
    struct fl_org *org;
    struct fl_org_load org_load;
    void (*then)(struct fl_talk *talk);
    int http_status; /* of the answer; 0: 200 */
    struct fl_mcp_listen listen;
    struct fl_mcp_listens *listens; /* the connection's; NULL: those over HTTP */
    struct fl_watch *watches;
    struct fl_post watches_over;
    struct fl_str mcp_session, mcp_stream; /* legacy HTTP */
    struct fl_uuid outcome_of;             /* the answer is the outcome of this approval; or zero */
    bool is_listening, is_isolated, is_over, has_opened, is_gone, is_wait, is_asking;
    bool is_beyond_scope; /* the credential does not reach what was asked for */
    struct fl_retired retired;
    /* ---- from here on nothing is cleared at the beginning but what says that it is empty ---- */
    struct fl_op op;
    struct fl_look look;
    struct fl_cancel cancel;
};

/* The transport fills msg and the rest, then fl_talk_start. NULL on no memory. */
struct fl_talk *fl_talk_new(struct fl_endpoint *endpoint, struct fl_principal *principal,
                            const struct fl_talk_ops *ops, void *transport);
/* Does what the message asks; answers at once or later. */
void fl_talk_start(struct fl_talk *talk);
/* The client is gone or does not want it: no send follows. The talk ends by itself. */
void fl_talk_leave(struct fl_talk *talk, enum fl_call_leave how);
/* Answers, and ends the talk. `out` is the caller's to free; a failed one becomes an error. False:
 * nobody was connected to take it. */
bool fl_talk_answer(struct fl_talk *talk, const struct fl_buf *out);
/* The answer to a request for whose answer there is no memory; of no id where there is none. */
#define FL_NO_MEMORY_BYTES 2048 /* an id of 255 bytes, each an escape, and what is around it */
struct fl_str fl_talk_no_memory(struct fl_str id, char out[FL_NO_MEMORY_BYTES]);
void fl_talk_refuse(struct fl_talk *talk, const struct fl_mcp_refusal *refusal);
/* An error by its code; http 0: the code's own for transport errors, 200 for the handler's. */
void fl_talk_error(struct fl_talk *talk, enum fl_code code, const char *text);
/* Sends something in between; false: it does not leave. */
bool fl_talk_tell(struct fl_talk *talk, const struct fl_buf *out);
/* Ends it without an answer. */
void fl_talk_close(struct fl_talk *talk);
void fl_talk_open(struct fl_talk *talk);
/* Operations of a talk call this when they end after the talk did. */
void fl_talk_finish_pending(struct fl_talk *talk);
/* Progress or a comment while a call waits or works; arms itself again. */
void fl_call_tick(struct fl_talk *talk);
static inline struct fl_mcp_to fl_talk_to(const struct fl_talk *talk)
{
    return fl_mcp_to(&talk->msg);
}
/* Loads the organization's snapshot into talk->org, then calls `then`; errors are answered. */
void fl_talk_with_org(struct fl_talk *talk, void (*then)(struct fl_talk *talk));

/* ---- methods ---- */
void fl_method_list(struct fl_talk *talk);   /* lists.c */
void fl_method_call(struct fl_talk *talk);   /* calls.c */
void fl_method_task(struct fl_talk *talk);   /* tasks.c: get, update, cancel */
void fl_method_listen(struct fl_talk *talk); /* listens.c */
void fl_listen_end(struct fl_talk *talk, bool is_graceful);
void fl_listen_gone(struct fl_talk *talk);
/* The task as the protocol shows it, from a finished look. Texts in the arena. */
void fl_task_of(struct fl_arena *arena, struct fl_endpoint *endpoint, const struct fl_look *look,
                struct fl_mcp_result *result, struct fl_mcp_task *ret);
/* After a final task was sent. */
void fl_task_delivered(struct fl_talk *talk, const struct fl_look *look);

/* ---- connections that carry many requests: WebSocket, stdio (conn.c) ---- */
struct fl_conn {
    struct fl_endpoint *endpoint;
    struct fl_principal *principal;
    struct fl_list link;
    struct fl_list talks; /* fl_talk.mine */
    struct fl_mcp_conn mcp;
    struct fl_mcp_listens listens;
    bool is_isolated, is_closing;
    void *transport;
    /* False: it does not leave. Never ends the connection, nor any request of it, before it
     * returns: its callers walk lists of both. */
    bool (*send)(struct fl_conn *conn, struct fl_str message);
    void (*close)(struct fl_conn *conn, const char *why);
    void (*drain)(struct fl_conn *conn); /* the worker stops: answers, says goodbye, ends */
};
void fl_conn_open(struct fl_conn *conn, struct fl_endpoint *endpoint,
                  struct fl_principal *principal, enum fl_mcp_transport transport);
/* One message came in. */
void fl_conn_message(struct fl_conn *conn, struct fl_str text);
/* No further message comes, answers are still read: what runs ends, what waits for people is
 * answered with a pending ticket, subscriptions end. */
void fl_conn_finish(struct fl_conn *conn);
/* The transport is gone: its requests lose their caller. Releases the principal. */
void fl_conn_gone(struct fl_conn *conn);

/* ---- legacy HTTP sessions (session.c) ---- */
struct fl_session {
    struct fl_list link; /* endpoint->sessions */
    struct fl_list idle; /* endpoint->idle_sessions, while refs is 0 */
    struct fl_endpoint *endpoint;
    uint8_t hash[FL_SHA256_BYTES];
    struct fl_uuid organization_id, credential_id;
    enum fl_mcp_version version;
    unsigned refs;
    int64_t looked_up_ms, seen_ms, idle_since_ms;
    uint64_t ended_before; /* *config.sessions_ended when it was looked up */
    bool is_gone;
    struct fl_list streams;  /* fl_http_stream, of requests that are or were answered here */
    size_t kept, kept_bytes; /* of those: ended, and can be resumed */
};

/* *ret: a reference; FL_NOT_FOUND: unknown, ended, or another credential's. */
struct fl_session_look {
    struct fl_op *op;
    struct fl_endpoint *endpoint;
    struct fl_principal *principal;
    struct fl_session **ret;
    struct fl_op db;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    uint8_t hash[FL_SHA256_BYTES];
    uint64_t ended_before;
    enum fl_mcp_version version;
};
struct fl_session *fl_session_peek(struct fl_endpoint *endpoint, struct fl_principal *principal,
                                   struct fl_str id);
enum fl_code fl_session_look_start(struct fl_op *op, struct fl_session_look *look,
                                   struct fl_endpoint *endpoint, struct fl_principal *principal,
                                   struct fl_str id, struct fl_session **ret) FL_MUST_CHECK;
/* Writes a new one; `id` gets its text (44 bytes). */
enum fl_code fl_session_create_start(struct fl_op *op, struct fl_session_look *look,
                                     struct fl_endpoint *endpoint, struct fl_principal *principal,
                                     enum fl_mcp_version version, char id[44],
                                     struct fl_session **ret) FL_MUST_CHECK;
enum fl_code fl_session_end_start(struct fl_op *op, struct fl_session_look *look,
                                  struct fl_session *session) FL_MUST_CHECK;
/* Borrowed; NULL: it is not known here. */
struct fl_session *fl_session_by_prefix(struct fl_endpoint *endpoint,
                                        const struct fl_uuid *hash_prefix);
void fl_session_seen(struct fl_session *session);
/* Told to the row without waiting for it. */
enum fl_session_news { FL_SESSION_SEEN, FL_SESSION_READY };
void fl_session_tell(struct fl_session *session, enum fl_session_news news);
void fl_session_unref(struct fl_session **session);
void fl_sessions_init(struct fl_endpoint *endpoint);
void fl_sessions_free(struct fl_endpoint *endpoint);

/* ---- where the peer runs (peer.c) ---- */
/* False when the peer runs under our own operating-system user (or root), on this machine: then it
 * could read our keys, and approvals are advisory. */
bool fl_peer_is_isolated(const struct fl_endpoint *endpoint, const struct fl_http_exchange *ex);
bool fl_uid_is_isolated(uid_t uid);

#endif
