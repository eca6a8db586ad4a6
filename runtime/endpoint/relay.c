/* A legacy client comes back to a stream that another worker of the node has: its request goes on
 * to that worker over a unix socket, and what comes back goes to the client. Only what memory alone
 * knows needs this (the answers of allowed reads); a held call is found by its row (legacy.c). */
#include "runtime/endpoint/http.h"

#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"

#define HEAD_MAX_BYTES 16384
#define PIECE_BYTES    16384

struct fl_relay {
    struct fl_http_stream *stream; /* NULL: stopped */
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_write_t write;
    struct fl_buf request, head;
    bool has_head, is_closing;
    char piece[PIECE_BYTES];
};

static void on_closed(uv_handle_t *handle)
{
    struct fl_relay *r = handle->data;
    fl_cleanse(r->request.p, r->request.n); /* it has the credential */
    fl_buf_fini(&r->request);
    fl_buf_fini(&r->head);
    fl_free(r);
}

static void hang_up(struct fl_relay *r)
{
    if (!r->is_closing)
        uv_close((uv_handle_t *)&r->pipe, on_closed);
    r->is_closing = true;
}

void fl_relay_stop(struct fl_http_stream *s)
{
    struct fl_relay *r = s->relay;
    s->relay = NULL;
    if (!r)
        return;
    r->stream = NULL;
    hang_up(r);
}

/* The other worker has said all, or nothing. */
static void finish(struct fl_relay *r, int status)
{
    struct fl_http_stream *s = r->stream;
    bool has_begun = r->has_head;
    if (!s)
        return;
    fl_relay_stop(s);
    if (has_begun)
        fl_stream_end(s);
    else
        fl_legacy_refuse(s, status, "the stream cannot be resumed from there");
}

/* "HTTP/1.1 200 OK": the status; 0 if it is none. */
static int status_of(struct fl_str head)
{
    int status = 0;
    if (head.n < 12 || memcmp(head.p, "HTTP/1.", 7) != 0)
        return 0;
    for (size_t i = 9; i < 12; i++)
        status = head.p[i] >= '0' && head.p[i] <= '9' ? status * 10 + (head.p[i] - '0') : -1000;
    return status > 0 ? status : 0;
}

/* The bytes behind the head; p NULL while it is not whole, or was no 200. */
static struct fl_str take_head(struct fl_relay *r, struct fl_str bytes)
{
    struct fl_str none = { NULL, 0 };
    fl_buf_str(&r->head, bytes);
    struct fl_str all = fl_buf_view(&r->head);
    const char *end = all.n ? memmem(all.p, all.n, "\r\n\r\n", 4) : NULL;
    if (!end) {
        if (r->head.is_failed || all.n > HEAD_MAX_BYTES)
            finish(r, 503);
        return none;
    }
    int status = status_of(all);
    if (status != 200) {
        finish(r, status == 0 ? 503 : status);
        return none;
    }
    r->has_head = true;
    fl_stream_begin(r->stream);
    return (struct fl_str){ end + 4, all.n - (size_t)(end + 4 - all.p) };
}

static void on_read(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf)
{
    struct fl_relay *r = pipe->data;
    if (n == 0)
        return;
    if (n < 0) {
        finish(r, 503);
        return;
    }
    struct fl_str bytes = { buf->base, (size_t)n };
    if (!r->has_head)
        bytes = take_head(r, bytes);
    if (bytes.n && r->stream)
        fl_stream_bytes(r->stream, bytes);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct fl_relay *r = handle->data;
    FL_UNUSED(suggested);
    *buf = uv_buf_init(r->piece, sizeof r->piece);
}

static void on_written(uv_write_t *req, int status)
{
    struct fl_relay *r = FL_CONTAINER(req, struct fl_relay, write);
    if (status < 0)
        finish(r, 503);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct fl_relay *r = FL_CONTAINER(req, struct fl_relay, connect);
    uv_buf_t buf = uv_buf_init(r->request.p, (unsigned)r->request.n);
    if (r->is_closing)
        return;
    if (status < 0 || uv_read_start((uv_stream_t *)&r->pipe, on_alloc, on_read) != 0 ||
        uv_write(&r->write, (uv_stream_t *)&r->pipe, &buf, 1, on_written) != 0)
        finish(r, 503);
}

static void put_header(struct fl_buf *out, const struct fl_http_stream *s, const char *name)
{
    struct fl_str value;
    if (fl_mcp_header_get(&s->headers, name, &value))
        fl_buf_printf(out, "%s: %.*s\r\n", name, FL_STR_ARG(value));
}

/* HTTP/1.0: the answer ends with the connection, and has no chunks. */
static bool put_request(struct fl_buf *out, const struct fl_http_stream *s)
{
    static const char *const names[] = { "Authorization", "Mcp-Session-Id", "MCP-Protocol-Version",
                                         "Last-Event-ID", "Accept" };
    fl_buf_puts(out, "GET /mcp HTTP/1.0\r\nHost: localhost\r\n");
    for (size_t i = 0; i < FL_COUNTOF(names); i++)
        put_header(out, s, names[i]);
    fl_buf_puts(out, "\r\n");
    return !out->is_failed;
}

bool fl_relay_start(struct fl_http_stream *s, unsigned worker)
{
    const struct fl_endpoint *ep = s->endpoint;
    char path[600];
    struct fl_relay *r = fl_calloc(1, sizeof *r);
    if (!r)
        return false;
    fl_buf_init(&r->request, HEAD_MAX_BYTES);
    fl_buf_init(&r->head, HEAD_MAX_BYTES + PIECE_BYTES);
    if (!put_request(&r->request, s) || uv_pipe_init(&ep->core->loop->uv, &r->pipe, 0) != 0) {
        fl_buf_fini(&r->request);
        fl_free(r);
        return false;
    }
    r->pipe.data = r;
    r->stream = s;
    s->relay = r;
    snprintf(path, sizeof path, "%s/worker-%u.sock", ep->config.peer_dir, worker);
    uv_pipe_connect(&r->connect, &r->pipe, path, on_connected);
    return true;
}
