/* Shared inside the HTTP front: the server, its connections, and an exchange as the front sees it.
 * A connection has at most one exchange; what the peer sends behind it waits in `in`. */
#ifndef FLOPINIO_IO_HTTP_PRIV_H
#define FLOPINIO_IO_HTTP_PRIV_H

#include "runtime/io/http_body.h"
#include "runtime/io/http_server.h"
#include "runtime/io/stream.h"

#define FL_HTTP_DATE_BYTES 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" with NUL */

struct fl_http_server {
    struct fl_http_server_config config;
    struct fl_stream_env env;
    struct fl_list conns; /* fl_http_conn.link */
    struct fl_list idle;  /* fl_http_conn.idle_link, the longest idle first */
    struct fl_http_server_counts counts;
    struct fl_buf reply; /* the head that is being written; empty between calls */
    char date[FL_HTTP_DATE_BYTES];
    int64_t date_s; /* of `date` */
    /* Accepting. */
    int listen_fd;  /* -1: not any more */
    int reserve_fd; /* given up to accept (and close) one connection when descriptors run out */
    uv_poll_t poll;
    struct fl_timer again; /* accepting goes on */
    int64_t logged_ms;     /* when the want of descriptors was last logged */
    uint64_t logged_refused;
    bool is_unix, is_accepting, is_poll_open;
    bool is_full; /* someone waits and there is no room */
    uint16_t port;
    /* Ending. */
    struct fl_timer drain_timer;
    void (*drained)(struct fl_http_server *server);
    struct fl_post post; /* reports `drained`, or breaks everything */
    bool is_draining, is_freed;
};

enum fl_http_state {
    FL_HTTP_S_HEAD,
    FL_HTTP_S_BODY,
    FL_HTTP_S_OWED,      /* the endpoint has the request */
    FL_HTTP_S_STREAMING, /* fl_http_start was called */
    FL_HTTP_S_FINISHED,
    FL_HTTP_S_TAKEN /* fl_http_take was called */
};

struct fl_http_conn;

struct exchange {
    struct fl_http_exchange pub; /* first: the endpoint's pointer is ours */
    struct fl_http_conn *conn;
    enum fl_http_state state;
    struct fl_http_head head;
    struct fl_http_body body;
    struct fl_buf content;
    struct fl_http_budget *budget; /* where the content counts; NULL: nowhere */
    struct fl_list in_budget;      /* budget->reading, while more of it is to come; then ->whole */
    uint64_t counted, sender;      /* bytes there; whose (http_budget.c) */
    int64_t body_until_ms;         /* the whole body; 0: no such end */
    bool is_headed;                /* on_head was called: on_released is owed */
    bool is_paused;                /* the body waits for fl_http_resume */
    bool is_body_whole;            /* nothing of this request is left to read */
    bool is_whole_in_budget;
    bool is_bodyless; /* the response has none: HEAD, 204, 304 */
    bool is_chunked;  /* the response is */
    bool is_aborted;  /* fl_http_abort, or a response that could not be written */
    bool is_gone;     /* the peer is */
    void (*take)(void *taker, struct fl_stream *stream, struct fl_str rest);
    void *taker;
};

struct fl_http_conn {
    struct fl_http_server *server;
    struct fl_stream *stream;
    struct fl_list link, idle_link;
    struct exchange *ex; /* NULL between two requests */
    struct fl_buf in;    /* read and not used: a part of a head, or requests behind this one */
    struct fl_post post; /* goes on after a response that was given outside of `process` */
    struct fl_timer timer;
    int64_t deadline_ms; /* what the timer is for; it may fire earlier and look again */
    uint64_t body_mark;  /* content bytes at the begin of the rate window */
    enum fl_http_wait { FL_HTTP_W_NONE, FL_HTTP_W_HEAD, FL_HTTP_W_BODY, FL_HTTP_W_IDLE } waits;
    bool is_processing, is_closing;
};

/* ---- http_conn.c ---- */
/* Begins with an accepted socket; takes fd. */
void fl_http_conn_start(struct fl_http_server *server, int fd, const struct fl_http_peer *peer);
/* Breaks the connection now, as if the peer had. */
void fl_http_conn_break(struct fl_http_conn *conn);
/* After a change of ex->state outside of the reading: goes on from the loop. */
void fl_http_conn_wake(struct fl_http_conn *conn);
/* Closes one that has no request under way. */
void fl_http_conn_close_idle(struct fl_http_conn *conn);
/* Of an idle one while the server drains: closes it unless a request comes at once. */
void fl_http_conn_last_chance(struct fl_http_conn *conn);
/* Instead of a response (nothing is sent): when the exchange ends, `take` gets the stream, whose
 * events it must set, and what was read and not used. */
void fl_http_take(struct fl_http_exchange *ex,
                  void (*take)(void *taker, struct fl_stream *stream, struct fl_str rest),
                  void *taker);

/* ---- http_budget.c ---- */
/* What came of the body counts; false: there is no room, which is answered. */
bool fl_http_budget_count(struct exchange *ex);
/* More of it is to come. Harmless when that was said, and for one that does not count. */
void fl_http_budget_enter(struct exchange *ex);
/* It is whole, and counts as long as its sender is not known. */
void fl_http_budget_leave(struct exchange *ex);

/* ---- http_reply.c ---- */
/* Answers instead of the endpoint, with or without a valid head, and closes. Says nothing when a
 * response has begun. */
void fl_http_reply_error(struct fl_http_conn *conn, int status, const char *text);

/* ---- http_server.c ---- */
void fl_http_server_conn_gone(struct fl_http_server *server); /* it is unlinked already */
void fl_http_server_stream_gone(struct fl_stream *stream);    /* fl_stream.released */

static inline struct exchange *fl_http_exchange_of(const struct fl_http_exchange *ex)
{
    return (struct exchange *)(void *)ex;
}

#endif
