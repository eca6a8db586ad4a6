/* libcurl's multi interface on libuv. curl says which sockets to watch and when it wants a timer;
 * nothing of curl is called from inside its own callbacks. */
#include "runtime/io/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/io/imap.h"
#include "runtime/io/smtp.h"

#define TIMEOUT_MS INT64_C(15000)
#define CONNECT_MS 5000L
#define ANSWER_MAX (1u << 20)
#define SOCKETS    1024L /* more wait for one another: WebSockets hold theirs */
#define IDLE_MOST  32L

struct fl_http_client {
    struct fl_loop *loop;
    CURLM *multi;
    bool may_be_local, is_closing;
    char *ca_file;
    uv_timer_t timer;
    struct fl_list calls;
    size_t handles; /* of libuv, that are not closed yet */
};

struct watched {
    uv_poll_t poll;
    struct fl_http_client *client;
    curl_socket_t fd;
    int events;
    int unread; /* bytes, at the last error; -1: none has come */
};

static void release(struct fl_http_client *c)
{
    if (!c->is_closing || c->handles)
        return;
    fl_free(c->ca_file);
    fl_free(c);
}

/* ---------------------------------------------------------------- addresses */
static bool is_private_v4(const uint8_t a[4])
{
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 ||
           (a[0] == 100 && a[1] >= 64 && a[1] < 128) || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 172 && a[1] >= 16 && a[1] < 32) || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 198 && (a[1] == 18 || a[1] == 19)) || (a[0] == 192 && a[1] == 0 && a[2] == 0);
}

/* This host, private networks, and what maps to them. Unknown families count as such. */
static bool is_local(const struct sockaddr *sa)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff },
                         nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return is_private_v4((const uint8_t *)&in.sin_addr);
    }
    if (sa->sa_family != AF_INET6)
        return true;
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    const uint8_t *a = in6.sin6_addr.s6_addr;
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return is_private_v4(a + 12);
    return (a[0] & 0xe0) != 0x20 || (a[0] == 0x20 && a[1] == 0x02); /* global unicast, no 6to4 */
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *at)
{
    struct fl_http_call *call = ctx;
    FL_UNUSED(purpose);
    if (!call->client->may_be_local && is_local(&at->addr)) {
        call->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
    if (fd >= 0 && call->smtp)
        fl_curl_line_opened(&call->smtp->line, fd);
    if (fd >= 0 && call->imap)
        fl_curl_line_opened(&call->imap->line, fd);
    return fd;
}

enum fl_code fl_http_client_check_url(struct fl_str url, bool may_be_local, struct fl_err *err)
{
    bool is_tls = url.n > 8 && strncasecmp(url.p, "https://", 8) == 0;
    bool is_clear = url.n > 7 && strncasecmp(url.p, "http://", 7) == 0;
    for (size_t i = 0; i < url.n; i++) {
        if ((unsigned char)url.p[i] <= 0x20 || (unsigned char)url.p[i] >= 0x7f || url.p[i] == '@')
            return fl_err_set(err, FL_BAD_PARAMS,
                              "the address has a character that cannot stand there");
    }
    if (is_tls || (is_clear && may_be_local))
        return FL_OK;
    return fl_err_set(err, FL_BAD_PARAMS,
                      is_clear ? "the address must be https" : "it is no http or https address");
}

/* ---------------------------------------------------------------- the end of a call */
static void drop(struct fl_http_call *call)
{
    if (call->easy) {
        curl_multi_remove_handle(call->client->multi, call->easy);
        curl_easy_cleanup(call->easy);
        curl_slist_free_all(call->list);
        call->easy = call->list = NULL;
        if (call->smtp)
            fl_smtp_fini(call->smtp);
    }
    fl_list_remove(&call->link);
    fl_loop_post_cancel(call->client->loop, &call->post);
}

/* Before it is over. curl would end a mail that it has begun with a dot, and the server take it for
 * the whole one: nothing more is said. */
static void break_off(struct fl_http_call *call)
{
    if (call->smtp)
        fl_curl_line_cut(&call->smtp->line);
    if (call->imap)
        fl_curl_line_cut(&call->imap->line);
    drop(call);
}

static enum fl_code explain(const struct fl_http_call *call, CURLcode rc, struct fl_err *err)
{
    if (call->is_over)
        return fl_err_set(err, FL_TOO_LARGE, "the answer is too long");
    if (call->is_refused)
        return fl_err_set(err, FL_CONFIG, "its address is on this host or in a private network");
    enum fl_code code = call->smtp   ? fl_smtp_explain(call, rc, err)
                        : call->imap ? fl_imap_explain(call, rc, err)
                                     : FL_OK;
    if (code)
        return code;
    switch (rc) {
    case CURLE_OUT_OF_MEMORY: return fl_err_code(err, FL_NOMEM);
    case CURLE_COULDNT_CONNECT: return fl_err_set(err, FL_UNAVAILABLE, "nobody answers there");
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return fl_err_set(err, FL_UNAVAILABLE, "its host name is not known");
    case CURLE_OPERATION_TIMEDOUT: return fl_err_set(err, FL_TIMEOUT, "it did not answer in time");
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_PARTIAL_FILE:
        return fl_err_set(err, FL_AMBIGUOUS, "the connection ended before the answer");
    case CURLE_PEER_FAILED_VERIFICATION:
        return fl_err_set(err, FL_IO, "its certificate is not trusted");
    case CURLE_URL_MALFORMAT: return fl_err_set(err, FL_CONFIG, "its address is none");
    default: return fl_err_set(err, FL_IO, "the request failed: %s", curl_easy_strerror(rc));
    }
}

static void take_header(struct fl_http_call *call)
{
    struct curl_header *h;
    if (call->wants_header && curl_easy_header((CURL *)call->easy, call->wants_header, 0,
                                               CURLH_HEADER, -1, &h) == CURLHE_OK)
        fl_buf_puts(&call->header, h->value);
}

static void finish(struct fl_http_call *call, CURLcode rc)
{
    struct fl_op *op = call->op;
    long status = 0;
    curl_off_t after = 0;
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (call->is_connect_only && rc == CURLE_OK) {
        curl_easy_getinfo((CURL *)call->easy, CURLINFO_ACTIVESOCKET, &fd);
        call->socket = fd;
        call->is_connected = true;
        fl_loop_post_cancel(call->client->loop, &call->post);
        fl_op_finish(op, FL_OK);
        return;
    }
    curl_easy_getinfo((CURL *)call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo((CURL *)call->easy, CURLINFO_RETRY_AFTER, &after);
    take_header(call);
    drop(call);
    call->status = (int)status;
    call->retry_after_ms = after > 0 && after < 86400 ? (int64_t)after * 1000 : 0;
    enum fl_code code = FL_OK;
    if ((call->answer.is_failed && !call->is_over) || call->header.is_failed)
        code = fl_err_code(&op->err, FL_NOMEM);
    else if (rc != CURLE_OK)
        code = explain(call, rc, &op->err);
    fl_op_finish(op, code);
}

static void collect(struct fl_http_client *c)
{
    CURLMsg *msg;
    int left;
    while (!c->is_closing && (msg = curl_multi_info_read(c->multi, &left))) {
        struct fl_http_call *call = NULL;
        CURLcode rc = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish(call, rc);
    }
}

/* ---------------------------------------------------------------- libuv */
static void on_handle_closed(uv_handle_t *handle)
{
    struct watched *w = handle->data;
    struct fl_http_client *c = w->client;
    fl_free(w);
    c->handles--;
    release(c);
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* Behind an error, which libuv has stopped the watch for. What came before it is still to be read,
 * and the error at its end; but if curl leaves it as it is, its deadline has to do. */
static void watch_on(struct watched *w)
{
    int unread = 0;
    if (uv_is_closing((uv_handle_t *)&w->poll) || uv_is_active((uv_handle_t *)&w->poll))
        return;
    if (ioctl(w->fd, FIONREAD, &unread) == 0 && unread != w->unread)
        uv_poll_start(&w->poll, w->events, on_ready);
    w->unread = unread;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watched *w = poll->data; /* until this turn ends, even if curl takes it away in here */
    struct fl_http_client *c = w->client;
    int running;
    int what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
               (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    /* At an error nothing: then curl looks itself. Told of one, it would not read the answer that
     * came before it. */
    curl_multi_socket_action(c->multi, w->fd, what, &running);
    if (status < 0)
        watch_on(w);
    collect(c);
}

static void on_unwatched(struct fl_post *post)
{
    struct fl_http_call *call = FL_CONTAINER(post, struct fl_http_call, post);
    struct fl_op *op = call->op;
    long asked = 0;
    curl_easy_getinfo((CURL *)call->easy, CURLINFO_REQUEST_SIZE, &asked);
    bool may_be_taken = call->smtp ? call->sent == call->body.n : asked > 0;
    break_off(call);
    fl_op_finish(op, fl_err_set(&op->err, may_be_taken ? FL_AMBIGUOUS : FL_UNAVAILABLE,
                                "there is no room to wait for it"));
}

/* The socket of this call cannot be watched. Only the call ends, from the loop. */
static void give_up(CURL *easy)
{
    struct fl_http_call *call = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
    if (!call || fl_list_is_linked(&call->post.link))
        return;
    call->post = (struct fl_post){ .run = on_unwatched };
    fl_loop_post(call->client->loop, &call->post);
}

static struct watched *new_watched(struct fl_http_client *c, curl_socket_t fd)
{
    struct watched *w = fl_calloc(1, sizeof *w);
    if (!w || uv_poll_init_socket(&c->loop->uv, &w->poll, fd) != 0) {
        fl_free(w);
        return NULL;
    }
    w->poll.data = w;
    w->client = c;
    w->fd = fd;
    w->unread = -1;
    c->handles++;
    curl_multi_assign(c->multi, fd, w);
    return w;
}

/* Never anything but 0: curl would give up all transfers that there are. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct fl_http_client *c = ctx;
    struct watched *w = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(c->multi, fd, NULL);
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_handle_closed);
        }
        return 0;
    }
    if (!w)
        w = new_watched(c, fd);
    if (w)
        w->events =
            (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (!w || uv_poll_start(&w->poll, w->events, on_ready) != 0)
        give_up(easy);
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct fl_http_client *c = timer->data;
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

static int on_timeout(CURLM *multi, long ms, void *ctx)
{
    struct fl_http_client *c = ctx;
    FL_UNUSED(multi);
    if (ms < 0)
        uv_timer_stop(&c->timer);
    else
        uv_timer_start(&c->timer, on_timer, ms ? (uint64_t)ms : 1, 0);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct fl_http_client *c = handle->data;
    c->handles--;
    release(c);
}

enum fl_code fl_http_client_new(struct fl_loop *loop, const struct fl_http_client_config *config,
                                struct fl_http_client **ret, struct fl_err *err)
{
    struct fl_http_client *c = fl_calloc(1, sizeof *c);
    if (!c)
        return fl_err_code(err, FL_NOMEM);
    c->loop = loop;
    c->may_be_local = config->may_be_local;
    c->ca_file = config->ca_file ? fl_strdup(config->ca_file) : NULL;
    fl_list_init(&c->calls);
    c->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!c->multi || (config->ca_file && !c->ca_file)) {
        if (c->multi)
            curl_multi_cleanup(c->multi);
        fl_free(c->ca_file);
        fl_free(c);
        return fl_err_code(err, FL_NOMEM);
    }
    uv_timer_init(&loop->uv, &c->timer);
    c->timer.data = c;
    c->handles = 1;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, SOCKETS);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, IDLE_MOST);
    *ret = c;
    return FL_OK;
}

void fl_http_client_free(struct fl_http_client **client)
{
    struct fl_http_client *c = *client;
    if (!c)
        return;
    *client = NULL;
    while (!fl_list_is_empty(&c->calls)) {
        struct fl_http_call *call = FL_CONTAINER(c->calls.next, struct fl_http_call, link);
        struct fl_op *op = call->op;
        break_off(call);
        fl_op_finish(op, FL_CANCELLED);
    }
    curl_multi_cleanup(c->multi);
    c->is_closing = true;
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

/* ---------------------------------------------------------------- a call */
static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct fl_http_call *call = ctx;
    size_t n = size * count;
    if (call->answer.n + n > (call->max_bytes ? call->max_bytes : ANSWER_MAX)) {
        call->is_over = true;
        return 0;
    }
    fl_buf_put(&call->answer, bytes, n);
    return call->answer.is_failed ? 0 : n;
}

static size_t on_read(char *to, size_t size, size_t count, void *ctx)
{
    struct fl_http_call *call = ctx;
    size_t n = call->body.n - call->sent;
    n = n < size * count ? n : size * count;
    memcpy(to, call->body.p + call->sent, n);
    call->sent += n;
    return n;
}

/* curl sends a request again when a connection that it had kept breaks before the answer: only
 * while nothing of it can have arrived. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    const struct fl_http_call *call = ctx;
    bool is_start = origin == SEEK_SET && offset == 0 && call->sent == 0;
    return is_start ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static bool set_up(struct fl_http_client *c, struct fl_http_call *call)
{
    int64_t timeout = call->timeout_ms ? call->timeout_ms : TIMEOUT_MS;
    CURL *easy = call->easy;
    bool is_fine = true;
#define SET(option, value) is_fine = curl_easy_setopt(easy, option, value) == CURLE_OK && is_fine
    SET(CURLOPT_FRESH_CONNECT, call->is_connect_only ? 1L : 0L);
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PROTOCOLS_STR, c->may_be_local ? "http,https" : "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout);
    SET(CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS ? (long)timeout : CONNECT_MS);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, call);
    SET(CURLOPT_HTTPHEADER, (struct curl_slist *)call->list);
    SET(CURLOPT_USERAGENT, "flopinio/" FL_VERSION);
    if (c->may_be_local)
        SET(CURLOPT_NOPROXY, "*");
    if (c->ca_file)
        SET(CURLOPT_CAINFO, c->ca_file);
    if (call->imap)
        return fl_imap_set_up(call) && is_fine;
    if (call->smtp) {
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, call);
        return fl_smtp_set_up(call) && is_fine;
    }
    SET(CURLOPT_CUSTOMREQUEST, call->method);
    if (call->is_connect_only) {
        SET(CURLOPT_CONNECT_ONLY, 1L);
        SET(CURLOPT_SSL_ENABLE_ALPN, 0L);
    }
    if (call->body.p) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, call);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, call);
    }
#undef SET
    return is_fine;
}

static void on_cancel(struct fl_post *post)
{
    struct fl_http_call *call = FL_CONTAINER(post, struct fl_http_call, post);
    struct fl_op *op = call->op;
    break_off(call);
    fl_op_finish(op, FL_CANCELLED);
}

static void cancel(struct fl_op *op)
{
    struct fl_http_call *call = op->provider;
    if (call->is_cancelled || fl_list_is_linked(&call->post.link))
        return; /* it ends already */
    call->is_cancelled = true;
    call->post = (struct fl_post){ .run = on_cancel };
    fl_loop_post(call->client->loop, &call->post);
}

enum fl_code fl_http_call_start(struct fl_op *op, struct fl_http_client *client,
                                struct fl_http_call *call)
{
    enum fl_code code =
        call->smtp || call->imap
            ? FL_OK /* by fl_smtp_check_url, fl_imap_check_url, before more was put behind it */
            : fl_http_client_check_url(fl_str_of(call->url), client->may_be_local, &op->err);
    if (code)
        return code;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    bool is_fine = list != NULL;
    for (const char *const *h = call->headers; is_fine && h && *h; h++) {
        struct curl_slist *more = curl_slist_append(list, *h);
        is_fine = more != NULL;
        list = more ? more : list;
    }
    call->client = client;
    call->op = op;
    call->list = list;
    call->is_over = call->is_refused = call->is_cancelled = call->is_connected = false;
    call->status = 0;
    call->sent = 0;
    call->post = (struct fl_post){ 0 };
    call->easy = curl_easy_init();
    if (is_fine && call->easy && set_up(client, call) &&
        curl_multi_add_handle(client->multi, call->easy) == CURLM_OK) {
        fl_list_push_back(&client->calls, &call->link);
        fl_op_start(op, cancel, call);
        return FL_OK;
    }
    if (call->easy)
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(list);
    if (call->smtp)
        fl_smtp_fini(call->smtp);
    call->easy = call->list = NULL;
    return fl_err_code(&op->err, FL_NOMEM);
}

/* ---------------------------------------------------------------- bytes of a connection */
enum fl_code fl_http_call_send(struct fl_http_call *call, struct fl_str bytes, size_t *ret_n)
{
    *ret_n = 0;
    CURLcode rc = curl_easy_send((CURL *)call->easy, bytes.p, bytes.n, ret_n);
    return rc == CURLE_OK || rc == CURLE_AGAIN ? FL_OK : FL_CLOSED;
}

enum fl_code fl_http_call_receive(struct fl_http_call *call, char *to, size_t size, size_t *ret_n)
{
    *ret_n = 0;
    CURLcode rc = curl_easy_recv((CURL *)call->easy, to, size, ret_n);
    if (rc == CURLE_AGAIN)
        return FL_OK;
    return rc == CURLE_OK && *ret_n ? FL_OK : FL_CLOSED;
}

void fl_http_call_close(struct fl_http_call *call)
{
    if (call->is_connected)
        drop(call);
    call->is_connected = false;
}

void fl_http_call_fini(struct fl_http_call *call)
{
    fl_buf_fini(&call->answer);
    fl_buf_fini(&call->header);
}
