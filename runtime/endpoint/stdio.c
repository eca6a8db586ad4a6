/* MCP for `flopinio stdio`: lines of JSON over a unix socket (the framing that the protocol
 * recommends for byte streams). The first line is {"token":"fla_..."}, answered with
 * {"ready":true} or {"refused":"why","code":"..."}; what follows is the client's own traffic,
 * passed through by the bridge. A half-closed socket is a client that has said everything: what
 * runs is answered, what waits for people becomes a pending ticket, then we close. A worker that
 * stops says {"leaving":true}: the bridge half-closes, hears the last answers and goes on with
 * another worker, and no request is lost in between. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "runtime/endpoint/endpoint_priv.h"

#define LINE_MAX_BYTES  (10 << 20)
#define QUEUE_MAX_BYTES (64 << 20)
#define PAUSE_BYTES     (256 << 10) /* unread answers: no further request is taken then */
#define HELLO_MS        10000
#define HELLO_MAX_BYTES                                                                            \
    4096 /* anybody on the host may connect: little is kept of who is not known */
#define STRANGERS_MAX  256
#define FINISH_LOOK_MS 100
#define LEAVE_MS       2000 /* for the bridge to half-close */

struct stdio_conn {
    struct fl_conn conn;
    struct fl_endpoint *endpoint;
    uv_pipe_t pipe;
    struct fl_buf in;
    size_t scanned; /* of `in`, without a line end */
    struct fl_timer hello, leave, finish;
    struct fl_post look, cut;
    struct fl_agent_auth auth;
    struct fl_op op;
    struct fl_principal *principal;
    size_t queued;
    bool is_stranger; /* has not been let in yet; counted */
    bool is_known, is_open, is_paused, is_finishing, is_closing, is_closed;
    bool is_cut; /* nothing more is sent or taken; `cut` hangs up */
};

struct line {
    uv_write_t req;
    struct stdio_conn *c;
    size_t n;
    char bytes[];
};

static void maybe_free(struct stdio_conn *c)
{
    if (!c->is_closed || c->op.is_pending)
        return;
    fl_principal_unref(&c->principal);
    fl_buf_fini(&c->in);
    fl_free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct stdio_conn *c = handle->data;
    c->is_closed = true;
    maybe_free(c);
}

static void no_stranger(struct stdio_conn *c)
{
    c->endpoint->stdio_strangers -= c->is_stranger;
    c->is_stranger = false;
}

static void hang_up(struct stdio_conn *c)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    no_stranger(c);
    fl_loop_timer_cancel(c->endpoint->core->loop, &c->hello);
    fl_loop_timer_cancel(c->endpoint->core->loop, &c->leave);
    fl_loop_timer_cancel(c->endpoint->core->loop, &c->finish);
    fl_loop_post_cancel(c->endpoint->core->loop, &c->look);
    fl_loop_post_cancel(c->endpoint->core->loop, &c->cut);
    if (c->is_open)
        fl_conn_gone(&c->conn);
    c->is_open = false;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void take_lines(struct stdio_conn *c);
static void read_on(struct stdio_conn *c);

static void on_written(uv_write_t *req, int status)
{
    struct line *l = FL_CONTAINER(req, struct line, req);
    struct stdio_conn *c = l->c;
    c->queued -= l->n;
    fl_free(l);
    if (c->is_closing)
        return;
    if (status < 0)
        hang_up(c);
    else if (c->is_finishing)
        fl_loop_post(c->endpoint->core->loop, &c->look);
    else if (c->is_paused && c->queued <= PAUSE_BYTES / 2)
        read_on(c);
}

/* Nothing more comes: closed when everything is answered and taken. */
static void look(struct stdio_conn *c)
{
    struct pollfd p = { .fd = -1 };
    if (c->is_closing || c->op.is_pending)
        return;
    /* Gone altogether is another thing than having said everything. */
    bool is_gone = uv_fileno((uv_handle_t *)&c->pipe, &p.fd) != 0 ||
                   (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)));
    if (is_gone || (fl_list_is_empty(&c->conn.talks) && c->queued == 0))
        hang_up(c);
}

static void on_look(struct fl_post *post)
{
    look(FL_CONTAINER(post, struct stdio_conn, look));
}

static void on_finish(struct fl_timer *timer)
{
    struct stdio_conn *c = FL_CONTAINER(timer, struct stdio_conn, finish);
    look(c);
    if (!c->is_closing)
        fl_loop_timer(c->endpoint->core->loop, &c->finish, FINISH_LOOK_MS);
}

static void finish(struct stdio_conn *c)
{
    if (c->is_closing || c->is_finishing)
        return;
    if (!c->is_open && !c->op.is_pending) {
        hang_up(c); /* never said who it is */
        return;
    }
    c->is_finishing = true;
    uv_read_stop((uv_stream_t *)&c->pipe);
    if (c->is_open)
        fl_conn_finish(&c->conn);
    fl_loop_timer(c->endpoint->core->loop, &c->finish, 0);
}

static void on_leave_late(struct fl_timer *timer)
{
    finish(FL_CONTAINER(timer, struct stdio_conn, leave));
}

static bool stdio_send(struct fl_conn *conn, struct fl_str message);

static void stdio_drain(struct fl_conn *conn)
{
    struct stdio_conn *c = FL_CONTAINER(conn, struct stdio_conn, conn);
    if (c->is_closing || c->is_finishing)
        return;
    stdio_send(conn, FL_STR("{\"leaving\":true}"));
    fl_loop_timer(c->endpoint->core->loop, &c->leave, LEAVE_MS);
}

static void on_cut(struct fl_post *post)
{
    hang_up(FL_CONTAINER(post, struct stdio_conn, cut));
}

/* Not at once: whoever sends may be walking the connection's requests, which hanging up ends. */
static bool cut(struct stdio_conn *c)
{
    c->is_cut = true;
    fl_loop_post(c->endpoint->core->loop, &c->cut);
    return false;
}

static bool stdio_send(struct fl_conn *conn, struct fl_str message)
{
    struct stdio_conn *c = FL_CONTAINER(conn, struct stdio_conn, conn);
    if (c->is_closing || c->is_cut)
        return false;
    struct line *l = c->queued > QUEUE_MAX_BYTES ? NULL : fl_malloc(sizeof *l + message.n + 1);
    if (!l)
        return cut(c); /* a reader that does not read */
    l->c = c;
    l->n = message.n + 1;
    memcpy(l->bytes, message.p, message.n);
    l->bytes[message.n] = '\n';
    uv_buf_t buf = uv_buf_init(l->bytes, (unsigned)l->n);
    c->queued += l->n;
    if (uv_write(&l->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written) != 0) {
        c->queued -= l->n;
        fl_free(l);
        return cut(c);
    }
    return true;
}

static void stdio_close(struct fl_conn *conn, const char *why)
{
    struct stdio_conn *c = FL_CONTAINER(conn, struct stdio_conn, conn);
    FL_LOG(INFO, "stdio_closed", FL_KS("reason", why));
    hang_up(c);
}

static void refuse(struct stdio_conn *c, const struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"refused\":");
    fl_buf_json_str(&out, fl_str_of(err->text));
    fl_buf_puts(&out, ",\"code\":");
    fl_buf_json_str(&out, fl_str_of(fl_code_name(err->code)));
    fl_buf_putc(&out, '}');
    stdio_send(&c->conn, fl_buf_view(&out));
    fl_buf_fini(&out);
    hang_up(c);
}

static void on_known(struct fl_op *op)
{
    struct stdio_conn *c = FL_CONTAINER(op, struct stdio_conn, op);
    int fd = -1;
    if (c->is_closing) {
        maybe_free(c);
        return;
    }
    if (op->code == FL_OK && c->endpoint->is_draining)
        op->code = fl_err_set(&op->err, FL_UNAVAILABLE, "the runtime is stopping");
    if (op->code) {
        op->err.code = op->code;
        refuse(c, &op->err);
        return;
    }
    struct ucred cred = { .uid = (uid_t)-1 };
    socklen_t n = sizeof cred;
    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0)
        (void)!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n);
    c->conn.is_isolated = fl_uid_is_isolated(cred.uid);
    c->conn.send = stdio_send;
    c->conn.close = stdio_close;
    c->conn.drain = stdio_drain;
    no_stranger(c);
    fl_orgs_want(c->endpoint->core->orgs, &c->principal->organization_id);
    fl_conn_open(&c->conn, c->endpoint, c->principal, FL_MCP_STDIO);
    c->is_open = true;
    stdio_send(&c->conn, FL_STR("{\"ready\":true}"));
    take_lines(c);
    if (c->is_finishing && !c->is_closing)
        fl_conn_finish(&c->conn);
}

static void hello(struct stdio_conn *c, struct fl_str line)
{
    static const struct fl_scan_pick pick = { { "token" } };
    struct fl_str found;
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_err err;
    fl_loop_timer_cancel(c->endpoint->core->loop, &c->hello);
    c->is_known = true;
    struct fl_str token = { NULL, 0 };
    if (arena && fl_scan(line, &fl_scan_call, &pick, 1, &found, &err) == FL_OK && found.p)
        token = fl_span_string(arena, found);
    c->op = (struct fl_op){ .done = on_known };
    if (!token.p || fl_agent_auth_start(&c->op, &c->auth, c->endpoint->principals, token,
                                        &c->principal) != FL_OK)
        hang_up(c);
    fl_arena_free(&arena);
}

static void take_lines(struct stdio_conn *c)
{
    /* Between the hello and its answer nothing is taken, nor while answers are not read. */
    while (!c->is_closing && !c->is_cut && (!c->is_known || c->is_open)) {
        if (c->queued > PAUSE_BYTES && !c->is_finishing) {
            uv_read_stop((uv_stream_t *)&c->pipe);
            c->is_paused = true;
            return;
        }
        char *end =
            c->in.n > c->scanned ? memchr(c->in.p + c->scanned, '\n', c->in.n - c->scanned) : NULL;
        if (!end) {
            c->scanned = c->in.n;
            if (c->in.n > (c->is_known ? LINE_MAX_BYTES : HELLO_MAX_BYTES))
                hang_up(c);
            return;
        }
        size_t n = (size_t)(end - c->in.p);
        struct fl_str line = { c->in.p, n };
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!c->is_known)
            hello(c, line);
        else if (line.n)
            fl_conn_message(&c->conn, line);
        if (!c->is_closing)
            fl_buf_drop(&c->in, n + 1);
        c->scanned = 0;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stdio_conn *c = handle->data;
    FL_UNUSED(suggested);
    if (fl_buf_reserve(&c->in, 65536))
        *buf = uv_buf_init(c->in.p + c->in.n, 65536);
    else
        *buf = uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct stdio_conn *c = stream->data;
    FL_UNUSED(buf);
    if (n == UV_EOF) {
        finish(c);
    } else if (n < 0) {
        hang_up(c);
    } else {
        c->in.n += (size_t)n;
        take_lines(c);
    }
}

static void read_on(struct stdio_conn *c)
{
    c->is_paused = false;
    if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        hang_up(c);
    else
        take_lines(c);
}

static void on_hello_late(struct fl_timer *timer)
{
    hang_up(FL_CONTAINER(timer, struct stdio_conn, hello));
}

void fl_endpoint_stdio(struct fl_endpoint *ep, int fd)
{
    bool is_crowded = ep->stdio_strangers >= STRANGERS_MAX;
    struct stdio_conn *c = is_crowded ? NULL : fl_calloc(1, sizeof *c);
    if (!c || uv_pipe_init(&ep->core->loop->uv, &c->pipe, 0) != 0) {
        fl_free(c);
        close(fd);
        return;
    }
    c->pipe.data = c;
    c->endpoint = ep;
    c->is_stranger = true;
    ep->stdio_strangers++;
    fl_buf_init(&c->in, LINE_MAX_BYTES + 131072);
    fl_timer_init(&c->hello, on_hello_late);
    fl_timer_init(&c->leave, on_leave_late);
    fl_timer_init(&c->finish, on_finish);
    c->look.run = on_look;
    c->cut.run = on_cut;
    if (uv_pipe_open(&c->pipe, fd) != 0) {
        close(fd);
        hang_up(c);
        return;
    }
    fl_loop_timer(ep->core->loop, &c->hello, HELLO_MS);
    if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        hang_up(c);
}
