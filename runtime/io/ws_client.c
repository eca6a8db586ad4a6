/* The blocking WebSocket client. */
#include "runtime/io/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/io/ws_frame.h"

enum {
    HEAD_MAX = 16 * 1024,
    SEND_MS = 10000, /* the peer takes no byte for so long: over */
    CODE_NONE = 1005
};

struct fl_ws_client {
    int fd;
    bool is_over;
    struct fl_buf in;      /* read and not used */
    struct fl_buf message; /* of the fragments so far, or the one handed out */
    bool is_in_message;
};

/* ---- bytes ---- */
static bool wait_for(int fd, short what, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - fl_mono_ms();
        struct pollfd p = { .fd = fd, .events = what };
        int n = poll(&p, 1, left > 0 ? (int)(left > 60000 ? 60000 : left) : 0);
        if (n > 0)
            return true;
        if ((n < 0 && errno != EINTR) || (n == 0 && left <= 0))
            return false;
    }
}

static enum fl_code over(struct fl_ws_client *c, struct fl_err *err)
{
    c->is_over = true;
    return fl_err_set(err, FL_CLOSED, "the connection was closed");
}

static enum fl_code send_all(struct fl_ws_client *c, const char *p, size_t n, struct fl_err *err)
{
    while (n) {
        ssize_t sent = c->is_over ? -1 : send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        } else if (!c->is_over && sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_for(c->fd, POLLOUT, fl_mono_ms() + SEND_MS))
                return over(c, err);
        } else {
            return over(c, err);
        }
    }
    return FL_OK;
}

/* Reads what is there, waiting for at least one byte. */
static enum fl_code fill(struct fl_ws_client *c, int64_t until_ms, struct fl_err *err)
{
    enum { PIECE = 65536 };
    if (c->is_over)
        return over(c, err);
    if (!wait_for(c->fd, POLLIN, until_ms))
        return fl_err_set(err, FL_TIMEOUT, "no answer came in time");
    if (!fl_buf_reserve(&c->in, PIECE)) {
        fl_buf_reset(&c->in);
        c->is_over = true;
        return fl_err_code(err, FL_NOMEM);
    }
    ssize_t n = recv(c->fd, c->in.p + c->in.n, PIECE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return FL_OK;
    if (n <= 0)
        return over(c, err);
    c->in.n += (size_t)n;
    return FL_OK;
}

/* ---- frames that we send: whole, masked (RFC 6455 5.3) ---- */
static enum fl_code send_frame(struct fl_ws_client *c, enum fl_ws_opcode opcode,
                               struct fl_str payload, struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_ws_frame_put(&out, opcode, payload);
    enum fl_code code = fl_buf_code(&out, err);
    if (code == FL_OK)
        code = send_all(c, out.p, out.n, err);
    fl_buf_fini(&out);
    return code;
}

/* ---- frames that come ---- */
static enum fl_code broke(struct fl_ws_client *c, const char *how, struct fl_err *err)
{
    c->is_over = true;
    return fl_err_set(err, FL_IO, "the runtime sent what is no WebSocket message: %s", how);
}

/* *ret_is_whole: c->message is a whole text. */
static enum fl_code use_frame(struct fl_ws_client *c, const struct fl_ws_frame *f,
                              bool *ret_is_whole, struct fl_err *err)
{
    switch (f->opcode) {
    case FL_WS_PING: return send_frame(c, FL_WS_PONG, f->payload, err);
    case FL_WS_PONG: return FL_OK;
    case FL_WS_CLOSE: {
        const uint8_t *p = (const uint8_t *)f->payload.p;
        unsigned number = f->payload.n >= 2 ? (unsigned)(p[0] << 8 | p[1]) : CODE_NONE;
        struct fl_err ignored;
        (void)!send_frame(c, FL_WS_CLOSE, f->payload, &ignored);
        c->is_over = true;
        return fl_err_set(err, FL_CLOSED, "the runtime closed the connection (%u)", number);
    }
    case FL_WS_TEXT:
    case FL_WS_CONTINUATION:
        if ((f->opcode == FL_WS_CONTINUATION) != c->is_in_message)
            return broke(c, "its fragments are out of order", err);
        fl_buf_str(&c->message, f->payload);
        c->is_in_message = !f->is_final;
        *ret_is_whole = f->is_final;
        if (c->message.is_failed) {
            c->is_over = true;
            return fl_err_code(err, FL_NOMEM);
        }
        if (f->is_final && c->message.n && !fl_utf8_is_valid(fl_buf_view(&c->message)))
            return broke(c, "it is not UTF-8", err);
        return FL_OK;
    default: return broke(c, "it is no text", err);
    }
}

enum fl_code fl_ws_client_receive(struct fl_ws_client *c, int timeout_ms, struct fl_str *ret,
                                  struct fl_err *err)
{
    int64_t until_ms = fl_mono_ms() + timeout_ms;
    enum fl_code code = FL_OK;
    bool is_whole = false;
    if (!c->is_in_message)
        fl_buf_reset(&c->message);
    while (code == FL_OK && !is_whole) {
        struct fl_ws_frame f;
        const char *how = NULL;
        if (fl_ws_frame_take(fl_buf_view(&c->in), FL_WS_CLIENT_MESSAGE_MAX - c->message.n, &f,
                             &how)) {
            code = use_frame(c, &f, &is_whole, err);
            fl_buf_drop(&c->in, f.size);
        } else {
            code = how ? broke(c, how, err) : fill(c, until_ms, err);
        }
    }
    if (code == FL_OK)
        *ret = c->message.n ? fl_buf_view(&c->message) : FL_STR("");
    return code;
}

enum fl_code fl_ws_client_send(struct fl_ws_client *c, struct fl_str text, struct fl_err *err)
{
    return send_frame(c, FL_WS_TEXT, text, err);
}

int fl_ws_client_fd(const struct fl_ws_client *c)
{
    return c->fd;
}

/* ---- the handshake ---- */
static enum fl_code connect_to(struct fl_ws_client *c, const char *address, uint16_t port,
                               int64_t until_ms, struct fl_err *err)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    bool is_v6 = !is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    bool is_near = is_v4   ? ntohl(v4.sin_addr.s_addr) >> 24 == 127
                   : is_v6 ? IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)
                           : false;
    int on = 1, why = 0;
    socklen_t n = sizeof why;
    if (!is_near)
        return fl_err_set(err, FL_CONFIG, "'%.60s' is no numeric address of this machine", address);
    c->fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return fl_err_set(err, FL_IO, "could not open a socket: %s", strerror(errno));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const struct sockaddr *to = is_v4 ? (const void *)&v4 : (const void *)&v6;
    if (connect(c->fd, to, is_v4 ? sizeof v4 : sizeof v6) != 0) {
        why = errno;
        if (why == EINPROGRESS && wait_for(c->fd, POLLOUT, until_ms) &&
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why == 0)
            return FL_OK;
        return fl_err_set(err, FL_UNAVAILABLE, "could not connect to %s port %u: %s", address, port,
                          strerror(why == EINPROGRESS ? ETIMEDOUT : why));
    }
    return FL_OK;
}

/* The value of a header that stands exactly once, trimmed; p NULL otherwise. */
static struct fl_str header_of(struct fl_str head, const char *name)
{
    struct fl_str found = { NULL, 0 }, wanted = fl_str_of(name);
    unsigned count = 0;
    for (size_t at = 0; at < head.n;) {
        const char *end = memchr(head.p + at, '\r', head.n - at);
        size_t n = end ? (size_t)(end - head.p) - at : head.n - at;
        struct fl_str line = { head.p + at, n };
        if (n > wanted.n && line.p[wanted.n] == ':' &&
            fl_str_eq_nocase((struct fl_str){ line.p, wanted.n }, wanted)) {
            found = fl_str_trim((struct fl_str){ line.p + wanted.n + 1, line.n - wanted.n - 1 });
            count++;
        }
        at += n + 2;
    }
    return count == 1 ? found : (struct fl_str){ NULL, 0 };
}

/* RFC 6455 section 4.2.2: SHA-1 of the key and a constant, in base64. */
static bool is_accepted(struct fl_str key, struct fl_str answer)
{
    static const char constant[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE], wanted[2 * EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char text[64];
    snprintf(text, sizeof text, "%.24s%s", key.p, constant);
    if (EVP_Digest(text, strlen(text), digest, &n, EVP_sha1(), NULL) != 1)
        return false;
    EVP_EncodeBlock(wanted, digest, (int)n);
    return fl_str_is(answer, (const char *)wanted);
}

enum fl_code fl_ws_check_head(struct fl_str head, struct fl_str key, const char *protocol,
                              struct fl_err *err)
{
    const char *end = memchr(head.p, '\r', head.n);
    struct fl_str line = { head.p, end ? (size_t)(end - head.p) : head.n };
    if (line.n < 12 || memcmp(line.p, "HTTP/1.1 ", 9) != 0)
        return fl_err_set(err, FL_IO, "what listens there does not speak HTTP");
    struct fl_str status = { line.p + 9, 3 };
    if (fl_str_is(status, "401"))
        return fl_err_set(err, FL_UNAUTHENTICATED, "the peer does not know the credential");
    if (fl_str_is(status, "403"))
        return fl_err_set(err, FL_FORBIDDEN, "the peer refuses this client");
    if (!fl_str_is(status, "101"))
        return fl_err_set(err, FL_IO, "the peer answered %.3s instead of a WebSocket", status.p);
    if (!fl_str_eq_nocase(header_of(head, "Upgrade"), FL_STR("websocket")) ||
        !fl_str_eq_nocase(header_of(head, "Connection"), FL_STR("upgrade")) ||
        !is_accepted(key, header_of(head, "Sec-WebSocket-Accept")))
        return fl_err_set(err, FL_IO, "the peer's WebSocket handshake is not valid");
    if (header_of(head, "Sec-WebSocket-Extensions").p ||
        !fl_str_eq(header_of(head, "Sec-WebSocket-Protocol"), fl_str_of(protocol)))
        return fl_err_set(err, FL_IO, "the peer's WebSocket does not speak what it should");
    return FL_OK;
}

static enum fl_code upgrade(struct fl_ws_client *c, const char *address, uint16_t port,
                            const char *path, const char *bearer, int64_t until_ms,
                            struct fl_err *err)
{
    uint8_t raw[16];
    struct fl_buf key = FL_BUF_INIT, ask = FL_BUF_INIT;
    bool is_v6 = strchr(address, ':') != NULL;
    fl_random(raw, sizeof raw);
    fl_b64(&key, raw, sizeof raw);
    fl_buf_printf(&ask,
                  "GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nAuthorization: Bearer %s\r\n"
                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: mcp\r\n\r\n",
                  path, is_v6 ? "[" : "", address, is_v6 ? "]" : "", port, bearer,
                  key.is_failed ? "" : key.p);
    enum fl_code code = key.is_failed ? fl_err_code(err, FL_NOMEM) : fl_buf_code(&ask, err);
    if (code == FL_OK)
        code = send_all(c, ask.p, ask.n, err);
    const char *end = NULL;
    while (code == FL_OK && !end) {
        code = fill(c, until_ms, err);
        end = c->in.n ? memmem(c->in.p, c->in.n, "\r\n\r\n", 4) : NULL;
        if (code == FL_OK && !end && c->in.n > HEAD_MAX)
            code = fl_err_set(err, FL_IO, "what listens there does not speak HTTP");
    }
    if (code == FL_OK) {
        size_t n = (size_t)(end - c->in.p);
        code = fl_ws_check_head((struct fl_str){ c->in.p, n }, fl_buf_view(&key), "mcp", err);
        fl_buf_drop(&c->in, n + 4);
    }
    OPENSSL_cleanse(ask.p, ask.n);
    fl_buf_fini(&ask);
    fl_buf_fini(&key);
    return code;
}

enum fl_code fl_ws_client_open(const char *address, uint16_t port, const char *path,
                               const char *bearer, int timeout_ms, struct fl_ws_client **ret,
                               struct fl_err *err)
{
    int64_t until_ms = fl_mono_ms() + timeout_ms;
    if (strpbrk(path, "\r\n ") || strpbrk(bearer, "\r\n "))
        return fl_err_set(err, FL_CONFIG, "a path or a credential has no blanks and line ends");
    struct fl_ws_client *c = fl_calloc(1, sizeof *c);
    if (!c)
        return fl_err_code(err, FL_NOMEM);
    c->fd = -1;
    enum fl_code code = connect_to(c, address, port, until_ms, err);
    if (code == FL_OK)
        code = upgrade(c, address, port, path, bearer, until_ms, err);
    if (code) {
        c->is_over = true;
        fl_ws_client_close(&c);
    } else {
        *ret = c;
    }
    return code;
}

void fl_ws_client_close(struct fl_ws_client **client)
{
    struct fl_ws_client *c = *client;
    struct fl_err ignored;
    if (!c)
        return;
    if (!c->is_over)
        (void)!send_frame(c, FL_WS_CLOSE, FL_STR("\x03\xe8"), &ignored);
    if (c->fd >= 0)
        close(c->fd);
    fl_buf_fini(&c->in);
    fl_buf_fini(&c->message);
    fl_free(c);
    *client = NULL;
}
