/* A connection's bytes in both directions: a socket, perhaps with TLS around it, a write queue,
 * and a close that does not lose the last answer. HTTP connections and WebSockets stand on it.
 * Loop thread only. */
#ifndef FLOPINIO_IO_STREAM_H
#define FLOPINIO_IO_STREAM_H

#include "flopinio/base/list.h"
#include "runtime/io/http.h"
#include "runtime/io/loop.h"
#include "runtime/io/tls_conn.h"

struct fl_stream;

/* All come from the loop, never from inside a call of the stream. After fl_stream_close or
 * fl_stream_abort only on_closed comes. */
struct fl_stream_events {
    /* Borrowed for the call; the owner may overwrite them. */
    void (*on_bytes)(struct fl_stream *s, char *p, size_t n);
    /* The peer closed its side (writing may still work), or, if broken, everything is over. */
    void (*on_end)(struct fl_stream *s, bool is_broken);
    void (*on_drained)(struct fl_stream *s); /* the queue, which was not empty, is */
    void (*on_closed)(struct fl_stream *s);  /* last; the stream is freed behind it */
};

/* What the streams of one listener share; outlives them. */
struct fl_stream_env {
    struct fl_loop *loop;
    struct fl_tls *tls; /* NULL: in clear */
    int64_t write_stall_ms, linger_ms;
    struct fl_list closing; /* closed by us, and still there */
    char in[64 * 1024];     /* what a read gives, until its callback returns */
    char plain[16 * 1024];  /* the same, decrypted */
};

struct fl_stream {
    struct fl_list link;                   /* of env->closing */
    const struct fl_stream_events *events; /* of the current owner */
    void *user;                            /* the owner's */
    struct fl_http_peer peer;
    int64_t write_stall_ms; /* starts as the environment's */
    /* The stream's own. */
    struct fl_stream_env *env;
    void (*released)(struct fl_stream *s); /* the listener's: behind on_closed, before the free */
    void *listener;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct fl_tls_conn *tls;
    struct fl_buf flying; /* what `write` is sending */
    struct fl_buf out;    /* behind it */
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct fl_timer timer; /* a stalled write, or lingering after the close */
    struct fl_post post;   /* reports is_broken, or reads on what TLS has buffered */
    uint64_t sent_bytes, sent_at_check;
    bool is_reading, has_plain, is_writing, is_at_eof, is_broken, is_closing, is_lingering;
};

/* Takes `fd`, a connected stream socket (closed on failure, too). Reading is on. */
enum fl_code fl_stream_new(struct fl_stream_env *env, int fd, const struct fl_http_peer *peer,
                           const struct fl_stream_events *events, void *user,
                           struct fl_stream **ret, struct fl_err *err) FL_MUST_CHECK;
/* Sends the parts in order, at once as far as the socket takes them; the rest is copied. A failure
 * is reported by on_end. Nothing happens after a close. */
void fl_stream_write(struct fl_stream *s, const struct fl_str *parts, size_t count);
size_t fl_stream_queued(const struct fl_stream *s); /* bytes not yet taken by the socket */
void fl_stream_read(struct fl_stream *s, bool is_on);
/* Sends what is queued, says close_notify, closes our side, and waits linger_ms for the peer to
 * close (what it still sends is thrown away: a reset would lose the answer). */
void fl_stream_close(struct fl_stream *s);
void fl_stream_abort(struct fl_stream *s);
/* Waits for no peer any more: aborts those that fl_stream_close left. */
void fl_stream_abort_closing(struct fl_stream_env *env);

#endif
