/* Streamable HTTP's one kind of object: the answer to a POST (JSON, or a stream of events), or a
 * legacy GET stream. It outlives its exchange where the protocol says that a broken connection is
 * no cancellation. Shared by http.c (requests) and legacy.c (sessions and resuming). */
#ifndef FLOPINIO_ENDPOINT_HTTP_H
#define FLOPINIO_ENDPOINT_HTTP_H

#include "runtime/endpoint/auth.h"

struct fl_relay;
struct fl_stream_place;

struct fl_http_stream {
    struct fl_flow flow; /* reading the request: session, organization, message */
    struct fl_endpoint *endpoint;
    struct fl_http_exchange *ex; /* NULL: the connection is gone */
    struct fl_principal *principal;
    struct fl_session *session;    /* legacy; a reference */
    struct fl_stream_place *place; /* of a GET stream; NULL once it was given back */
    struct fl_list link;           /* session->streams, or endpoint->streams for GET */
    struct fl_list kept;           /* endpoint->kept, once it has ended and can be resumed */
    size_t kept_bytes;             /* then */
    bool has_left;                 /* then: its connection took the whole of it */
    struct fl_list talks;          /* fl_talk.mine */
    struct fl_sse_stream sse;      /* legacy: numbered, kept for resuming */
    struct fl_arena *arena;
    struct fl_str body, session_text;
    struct fl_mcp_headers headers;
    struct fl_org *org;
    struct fl_org_load org_load;
    struct fl_session_look session_look;
    struct fl_timer timer; /* keep-alive of a GET stream; afterwards: how long it can be resumed */
    char session_id[44];   /* of a new session, for the header */
    struct fl_str last_event_id;
    struct fl_uuid resumed;     /* approval that a stream of another worker was about */
    struct fl_uuid undelivered; /* approval whose outcome was kept here and not taken yet */
    struct fl_op db;
    struct fl_tx tx;
    struct fl_query *q;
    enum fl_mcp_session_fact session_fact;
    struct fl_mcp_facts facts;
    struct fl_mcp_refusal refusal; /* of the verb */
    unsigned pins;                 /* no end while a loop walks its talks */
    unsigned accepts;
    bool is_isolated, is_numbered, has_begun, is_ended, is_get, is_batch, is_read, is_freed;
    bool is_creating, is_cutting; /* a session; the connection: `cut` follows */
    bool is_beyond_scope;         /* said with the challenge (RFC 6750, 3.1) */
    struct fl_relay *relay;       /* what another worker has of it comes this way; or NULL */
    struct fl_post cut;
    struct fl_retired retired;
};

/* ---- http.c ---- */
void fl_stream_begin(struct fl_http_stream *s);
/* Writes a message as an event; numbered ones are kept even when nobody is connected. */
void fl_stream_event(struct fl_http_stream *s, struct fl_str message);
/* Writes what is in the form of events already. */
void fl_stream_bytes(struct fl_http_stream *s, struct fl_str bytes);
void fl_stream_end(struct fl_http_stream *s);
/* Out of every list; the memory waits for what is still in flight. */
void fl_stream_free(struct fl_http_stream *s);
/* An operation of the stream has ended (it says so first). True: the stream was freed meanwhile,
 * nothing of it may be touched any more. */
bool fl_stream_is_gone(struct fl_http_stream *s);
extern const struct fl_talk_ops fl_stream_ops;

/* ---- relay.c ---- */
/* Asks another worker of the node for the stream that the GET names; false: no memory. */
bool fl_relay_start(struct fl_http_stream *s, unsigned worker);
/* Harmless without one. */
void fl_relay_stop(struct fl_http_stream *s);

/* ---- legacy.c ---- */
/* Answers the exchange and frees the stream. */
void fl_legacy_refuse(struct fl_http_stream *s, int status, const char *text);
void fl_legacy_get(struct fl_http_stream *s);
void fl_legacy_delete(struct fl_http_stream *s);
void fl_legacy_notification(struct fl_http_stream *s, const struct fl_mcp_message *msg);
/* Streams that are open end; calls that wait lose their caller. The session may be freed by it. */
void fl_legacy_session_ended(struct fl_session *session);
/* A GET stream is over: another one may be opened. Harmless for any other. */
void fl_legacy_get_gone(struct fl_http_stream *s);
/* The stream has ended, and can be resumed for a while. `has_left`: the socket took all of it. */
void fl_legacy_keep(struct fl_http_stream *s, bool has_left);
/* Harmless for one that is not kept. */
void fl_legacy_keep_no_more(struct fl_http_stream *s);

#endif
