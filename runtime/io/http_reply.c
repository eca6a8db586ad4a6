/* Writes responses. A head is put together in one buffer of the server and leaves with the body
 * in one write. */
#include <stdio.h>
#include <time.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "runtime/io/http_priv.h"

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < FL_COUNTOF(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return ""; /* may be empty: RFC 9112 4 */
}

/* RFC 9110 5.6.7, once a second. */
static const char *date_text(struct fl_http_server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t now_s = fl_real_ms() / 1000;
    if (now_s != server->date_s) {
        time_t at = (time_t)now_s;
        struct tm tm;
        gmtime_r(&at, &tm);
        snprintf(server->date, sizeof server->date, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                 days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
                 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
        server->date_s = now_s;
    }
    return server->date;
}

static bool is_ours(struct fl_str name, int status)
{
    static const char *const ours[] = { "Content-Length", "Transfer-Encoding", "Connection", "Date",
                                        "Trailer" };
    for (size_t i = 0; i < FL_COUNTOF(ours); i++) {
        if (fl_str_eq_nocase(name, fl_str_of(ours[i])))
            return true;
    }
    return status != 426 && fl_str_eq_nocase(name, FL_STR("Upgrade"));
}

static bool is_header_valid(const struct fl_http_header *header, int status)
{
    if (header->name.n == 0 || is_ours(header->name, status))
        return false;
    for (size_t i = 0; i < header->name.n; i++) {
        if (!fl_http_is_tchar(header->name.p[i]))
            return false;
    }
    for (size_t i = 0; i < header->value.n; i++) {
        if (!fl_http_is_field_char(header->value.p[i]))
            return false;
    }
    return true;
}

static bool are_headers_valid(const struct fl_http_header *headers, size_t count, int status)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_header_valid(&headers[i], status)) {
            FL_LOG(ERROR, "http_response_header_refused", FL_KV("name", headers[i].name));
            return false;
        }
    }
    return true;
}

static void begin_head(struct fl_http_server *server, int status,
                       const struct fl_http_header *headers, size_t count)
{
    struct fl_buf *reply = &server->reply;
    fl_buf_reset(reply);
    fl_buf_puts(reply, "HTTP/1.1 ");
    fl_buf_u64(reply, (uint64_t)status);
    fl_buf_putc(reply, ' ');
    fl_buf_puts(reply, reason_phrase(status));
    fl_buf_puts(reply, "\r\nDate: ");
    fl_buf_puts(reply, date_text(server));
    fl_buf_put(reply, "\r\n", 2);
    for (size_t i = 0; i < count; i++) {
        fl_buf_str(reply, headers[i].name);
        fl_buf_put(reply, ": ", 2);
        fl_buf_str(reply, headers[i].value);
        fl_buf_put(reply, "\r\n", 2);
    }
}

static void end_head(struct fl_http_server *server, bool keeps_alive)
{
    if (!keeps_alive)
        fl_buf_puts(&server->reply, "Connection: close\r\n");
    fl_buf_put(&server->reply, "\r\n", 2);
}

static void put_length(struct fl_http_server *server, size_t n)
{
    fl_buf_puts(&server->reply, "Content-Length: ");
    fl_buf_u64(&server->reply, n);
    fl_buf_put(&server->reply, "\r\n", 2);
}

static void finish(struct exchange *ex)
{
    ex->state = FL_HTTP_S_FINISHED;
    fl_http_conn_wake(ex->conn);
}

static enum fl_code cannot_answer(const struct exchange *ex)
{
    if (ex->is_gone || ex->conn->stream->is_broken)
        return FL_CLOSED;
    return ex->state >= FL_HTTP_S_STREAMING ? FL_CONFLICT : FL_OK;
}

static bool has_no_body(const struct exchange *ex, int status)
{
    return ex->pub.method == FL_HTTP_HEAD || status == 204 || status == 304;
}

/* The head is in the server's buffer; sends it with what follows at once. */
static enum fl_code send_head(struct exchange *ex, struct fl_str follows)
{
    struct fl_buf *reply = &ex->conn->server->reply;
    if (reply->is_failed) {
        fl_buf_fini(reply);
        ex->is_aborted = true;
        finish(ex);
        return FL_NOMEM;
    }
    struct fl_str parts[] = { fl_buf_view(reply), follows };
    fl_stream_write(ex->conn->stream, parts, 2);
    fl_buf_reset(reply);
    return FL_OK;
}

/* A request whose body is not read to its end cannot be followed by another. */
static void decide_keeping(struct exchange *ex)
{
    if (!ex->is_body_whole || ex->conn->server->is_draining || ex->conn->stream->is_at_eof)
        ex->head.keeps_alive = false;
}

enum fl_code fl_http_respond(struct fl_http_exchange *pub, int status,
                             const struct fl_http_header *headers, size_t count, struct fl_str body)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    struct fl_http_server *server = ex->conn->server;
    enum fl_code code = cannot_answer(ex);
    FL_ASSERT(status >= 200 && status <= 599);
    if (code != FL_OK)
        return code;
    if (!are_headers_valid(headers, count, status)) {
        code = fl_http_respond_error(pub, 500, "internal error", NULL, 0);
        return code == FL_OK ? FL_INTERNAL : code;
    }
    decide_keeping(ex);
    begin_head(server, status, headers, count);
    if (status != 204 && status != 304)
        put_length(server, body.n);
    end_head(server, ex->head.keeps_alive);
    code = send_head(ex, has_no_body(ex, status) ? (struct fl_str){ 0 } : body);
    if (code == FL_OK)
        finish(ex);
    return code;
}

/* The body of an error: the endpoint's, or one sentence. */
static const char *render(struct fl_http_server *server, const struct exchange *ex, int status,
                          const char *text, struct fl_buf *body)
{
    const char *type = "text/plain; charset=utf-8";
    if (server->config.callbacks->render_error) {
        server->config.callbacks->render_error(server->config.user, ex ? &ex->pub : NULL, status,
                                               text, body, &type);
        if (body->n && !body->is_failed)
            return type;
        fl_buf_fini(body);
        type = "text/plain; charset=utf-8";
    }
    fl_buf_printf(body, "%s.\n", text);
    if (body->n && body->p[0] >= 'a' && body->p[0] <= 'z')
        body->p[0] = (char)(body->p[0] - 'a' + 'A');
    return type;
}

enum fl_code fl_http_respond_error(struct fl_http_exchange *pub, int status, const char *text,
                                   const struct fl_http_header *headers, size_t count)
{
    enum { HEADERS_MAX = 16 };
    struct exchange *ex = fl_http_exchange_of(pub);
    struct fl_http_header all[HEADERS_MAX];
    struct fl_buf body = FL_BUF_INIT;
    enum fl_code code = cannot_answer(ex);
    FL_ASSERT(count < HEADERS_MAX);
    if (code != FL_OK)
        return code;
    for (size_t i = 0; i < count; i++)
        all[i] = headers[i];
    const char *type = render(ex->conn->server, ex, status, text, &body);
    all[count] = (struct fl_http_header){ FL_STR("Content-Type"), fl_str_of(type) };
    code = fl_http_respond(pub, status, all, count + 1,
                           body.is_failed ? (struct fl_str){ 0 } : fl_buf_view(&body));
    fl_buf_fini(&body);
    return code;
}

void fl_http_reply_error(struct fl_http_conn *conn, int status, const char *text)
{
    struct fl_http_server *server = conn->server;
    struct exchange *ex = conn->ex;
    server->counts.bad_requests++;
    if (!ex || ex->state < FL_HTTP_S_STREAMING) {
        const struct fl_http_header allow = { FL_STR("Allow"),
                                              FL_STR("GET, HEAD, POST, PUT, PATCH, DELETE, "
                                                     "OPTIONS") };
        struct fl_buf body = FL_BUF_INIT;
        bool has_view = ex && ex->pub.headers;
        const char *type = render(server, has_view ? ex : NULL, status, text, &body);
        begin_head(server, status, &allow, status == 405);
        fl_buf_printf(&server->reply, "Content-Type: %s\r\n", type);
        put_length(server, body.is_failed ? 0 : body.n);
        end_head(server, false);
        struct fl_str parts[] = { fl_buf_view(&server->reply),
                                  body.is_failed ? (struct fl_str){ 0 } : fl_buf_view(&body) };
        if (has_view && ex->pub.method == FL_HTTP_HEAD)
            parts[1].n = 0;
        if (!server->reply.is_failed)
            fl_stream_write(conn->stream, parts, 2);
        fl_buf_fini(&body);
        if (server->reply.is_failed)
            fl_buf_fini(&server->reply);
    }
    if (ex) {
        ex->head.keeps_alive = false;
        finish(ex);
    } else {
        conn->is_closing = true;
        fl_stream_close(conn->stream);
    }
}

enum fl_code fl_http_start(struct fl_http_exchange *pub, int status,
                           const struct fl_http_header *headers, size_t count)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    struct fl_http_server *server = ex->conn->server;
    enum fl_code code = cannot_answer(ex);
    FL_ASSERT(status >= 200 && status <= 599);
    if (code != FL_OK)
        return code;
    if (!are_headers_valid(headers, count, status)) {
        code = fl_http_respond_error(pub, 500, "internal error", NULL, 0);
        return code == FL_OK ? FL_INTERNAL : code;
    }
    decide_keeping(ex);
    ex->is_bodyless = has_no_body(ex, status);
    ex->is_chunked = !pub->is_http10 && !ex->is_bodyless;
    begin_head(server, status, headers, count);
    if (!pub->is_http10 && status != 204 && status != 304)
        fl_buf_puts(&server->reply, "Transfer-Encoding: chunked\r\n");
    end_head(server, ex->head.keeps_alive);
    code = send_head(ex, (struct fl_str){ 0 });
    if (code == FL_OK)
        ex->state = FL_HTTP_S_STREAMING;
    return code;
}

static enum fl_code cannot_write(const struct exchange *ex)
{
    if (ex->is_gone || ex->conn->stream->is_broken)
        return FL_CLOSED;
    return ex->state == FL_HTTP_S_STREAMING ? FL_OK : FL_CONFLICT;
}

enum fl_code fl_http_write(struct fl_http_exchange *pub, struct fl_str bytes)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    struct fl_stream *stream = ex->conn->stream;
    enum fl_code code = cannot_write(ex);
    if (code != FL_OK)
        return code;
    if (fl_stream_queued(stream) > ex->conn->server->config.limits.write_queue_bytes)
        return FL_TOO_MANY;
    if (bytes.n == 0 || ex->is_bodyless)
        return FL_OK;
    if (ex->is_chunked) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", bytes.n);
        struct fl_str parts[] = { { size, (size_t)n }, bytes, FL_STR("\r\n") };
        fl_stream_write(stream, parts, 3);
    } else {
        fl_stream_write(stream, &bytes, 1);
    }
    return FL_OK;
}

size_t fl_http_queued(const struct fl_http_exchange *pub)
{
    return fl_stream_queued(fl_http_exchange_of(pub)->conn->stream);
}

enum fl_code fl_http_end(struct fl_http_exchange *pub)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    enum fl_code code = cannot_write(ex);
    if (code != FL_OK)
        return code;
    if (ex->is_chunked)
        fl_stream_write(ex->conn->stream, &FL_STR("0\r\n\r\n"), 1);
    finish(ex);
    return FL_OK;
}

void fl_http_abort(struct fl_http_exchange *pub)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    if (ex->state >= FL_HTTP_S_FINISHED)
        return;
    ex->is_aborted = true;
    finish(ex);
}

bool fl_http_is_started(const struct fl_http_exchange *pub)
{
    return fl_http_exchange_of(pub)->state >= FL_HTTP_S_STREAMING;
}

/* ---- reading headers ---- */
bool fl_http_header_next(const struct fl_http_exchange *ex, const char *name, size_t *pos,
                         struct fl_str *ret_value)
{
    struct fl_str want = fl_str_of(name);
    for (; *pos < ex->header_count; ++*pos) {
        if (fl_str_eq_nocase(ex->headers[*pos].name, want)) {
            *ret_value = ex->headers[(*pos)++].value;
            return true;
        }
    }
    return false;
}

struct fl_str fl_http_header_get(const struct fl_http_exchange *ex, const char *name)
{
    struct fl_str value = { 0 };
    size_t pos = 0;
    (void)fl_http_header_next(ex, name, &pos, &value);
    return value;
}

size_t fl_http_header_count(const struct fl_http_exchange *ex, const char *name)
{
    size_t count = 0, pos = 0;
    struct fl_str value;
    while (fl_http_header_next(ex, name, &pos, &value))
        count++;
    return count;
}

bool fl_http_header_has_token(const struct fl_http_exchange *ex, const char *name,
                              const char *token)
{
    size_t pos = 0;
    struct fl_str value;
    while (fl_http_header_next(ex, name, &pos, &value)) {
        if (fl_http_list_has(value, token))
            return true;
    }
    return false;
}
