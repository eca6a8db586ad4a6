/* libcurl, blocking. */
#include "runtime/io/http_fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "flopinio/base/mem.h"

#define CONNECT_MS 5000
#define BODY_MAX   (64u << 20)

struct fl_fetcher {
    CURL *curl;
    struct fl_fetcher_config config;
    char *unix_socket, *ca_file; /* owned */
};

/* One request's, for curl's callbacks. */
struct transfer {
    struct fl_fetcher *fetcher;
    const struct fl_fetch *request;
    struct fl_buf *body;
    size_t body_max, body_from;
    bool is_over, sink_failed;
};

enum fl_code fl_fetcher_new(const struct fl_fetcher_config *config, struct fl_fetcher **ret,
                            struct fl_err *err)
{
    struct fl_fetcher *f = fl_calloc(1, sizeof *f);
    if (!f)
        return fl_err_code(err, FL_NOMEM);
    f->config = *config;
    f->unix_socket = config->unix_socket ? fl_strdup(config->unix_socket) : NULL;
    f->ca_file = config->ca_file ? fl_strdup(config->ca_file) : NULL;
    f->curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (!f->curl || (config->unix_socket && !f->unix_socket) || (config->ca_file && !f->ca_file)) {
        fl_fetcher_free(&f);
        return fl_err_code(err, FL_NOMEM);
    }
    *ret = f;
    return FL_OK;
}

void fl_fetcher_free(struct fl_fetcher **fetcher)
{
    struct fl_fetcher *f = *fetcher;
    if (!f)
        return;
    if (f->curl)
        curl_easy_cleanup(f->curl);
    fl_free(f->unix_socket);
    fl_free(f->ca_file);
    fl_free(f);
    *fetcher = NULL;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(t->fetcher->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->request->sink && status == 200) {
        t->sink_failed = !t->request->sink(t->request->ctx, (struct fl_str){ bytes, n });
        return t->sink_failed ? 0 : n;
    }
    if (t->body->n - t->body_from + n > t->body_max) {
        t->is_over = true;
        return 0;
    }
    fl_buf_put(t->body, bytes, n);
    return t->body->is_failed ? 0 : n;
}

/* In clear only where nobody on a network can read it. */
static bool may_be_clear(const char *url)
{
    static const char *const hosts[] = { "http://127.0.0.1", "http://localhost", "http://[::1]" };
    for (size_t i = 0; i < FL_COUNTOF(hosts); i++) {
        size_t n = strlen(hosts[i]);
        if (strncasecmp(url, hosts[i], n) != 0)
            continue;
        n += url[n] == ':' ? 1 + strspn(url + n + 1, "0123456789") : 0;
        if (!url[n] || url[n] == '/' || url[n] == '?') /* not "localhost:80@example.com" */
            return true;
    }
    return false;
}

static enum fl_code check_url(const struct fl_fetcher *f, const char *url, struct fl_err *err)
{
    bool is_clear = strncasecmp(url, "http://", 7) == 0;
    if (!is_clear && strncasecmp(url, "https://", 8) != 0)
        return fl_err_set(err, FL_CONFIG, "'%.200s' is no http or https address", url);
    if (is_clear && !f->unix_socket && !may_be_clear(url))
        return fl_err_set(err, FL_CONFIG,
                          "'%.200s' would send your secret in clear over a network; use https",
                          url);
    return FL_OK;
}

/* Why the unix socket cannot be reached: curl says "couldn't connect" whatever it is. */
static enum fl_code explain_socket(const char *path, struct fl_err *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof at.sun_path)
        return fl_err_set(err, FL_CONFIG, "the path of the socket %.200s is too long", path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int why = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (why == EACCES || why == EPERM)
        return fl_err_set(err, FL_FORBIDDEN, "the socket %.200s is another user's", path);
    if (why == ENOENT || why == ENOTDIR)
        return fl_err_set(err, FL_UNAVAILABLE, "there is no socket %.200s", path);
    return fl_err_set(err, FL_UNAVAILABLE, "nobody answers on the socket %.200s", path);
}

static enum fl_code explain(const struct transfer *t, CURLcode rc, const char *text,
                            struct fl_err *err)
{
    if (t->is_over)
        return fl_err_set(err, FL_TOO_LARGE, "the answer has more than %zu bytes", t->body_max);
    if (t->sink_failed)
        return fl_err_set(err, FL_IO, "could not write what came");
    switch (rc) {
    case CURLE_OUT_OF_MEMORY: return fl_err_code(err, FL_NOMEM);
    case CURLE_COULDNT_CONNECT:
        if (t->fetcher->unix_socket)
            return explain_socket(t->fetcher->unix_socket, err);
        return fl_err_set(err, FL_UNAVAILABLE, "nobody answers at %.200s", t->request->url);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return fl_err_set(err, FL_UNAVAILABLE, "the host of %.200s is not known", t->request->url);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return fl_err_set(err, FL_AMBIGUOUS,
                          "the connection ended before the answer; what was asked may be done");
    case CURLE_OPERATION_TIMEDOUT:
        return fl_err_set(err, FL_TIMEOUT, "no answer within %d s",
                          t->fetcher->config.timeout_ms / 1000);
    case CURLE_URL_MALFORMAT:
        return fl_err_set(err, FL_CONFIG, "'%.200s' is no http or https address", t->request->url);
    case CURLE_SSL_CACERT_BADFILE:
        return fl_err_set(err, FL_CONFIG, "cannot read the certificates in %.200s",
                          t->fetcher->ca_file ? t->fetcher->ca_file : "the system's store");
    case CURLE_PEER_FAILED_VERIFICATION:
        return fl_err_set(err, FL_IO, "the certificate of %.150s is not trusted: %.150s",
                          t->request->url, text);
    default: return fl_err_set(err, FL_IO, "the request failed: %.200s", text);
    }
}

static struct curl_slist *headers_of(const struct fl_fetch *r, bool *is_short)
{
    struct curl_slist *list = NULL;
    *is_short = false;
    for (const char *const *h = r->headers; h && *h; h++) {
        struct curl_slist *more = curl_slist_append(list, *h);
        *is_short |= !more;
        list = more ? more : list;
    }
    return list;
}

static bool set_up(struct fl_fetcher *f, struct transfer *t, struct curl_slist *headers,
                   char error[CURL_ERROR_SIZE])
{
    const struct fl_fetch *r = t->request;
    bool is_get = strcmp(r->method, "GET") == 0;
    long timeout = f->config.timeout_ms;
    bool is_fine = true;
    curl_easy_reset(f->curl); /* keeps the connection */
#define SET(option, value) is_fine = curl_easy_setopt(f->curl, option, value) == CURLE_OK && is_fine
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, error);
    SET(CURLOPT_TIMEOUT_MS, r->sink ? 0L : timeout);
    SET(CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS ? timeout : CONNECT_MS);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_USERAGENT, "flopinio/" FL_VERSION);
    if (f->unix_socket)
        SET(CURLOPT_UNIX_SOCKET_PATH, f->unix_socket);
    if (f->unix_socket || may_be_clear(r->url))
        SET(CURLOPT_NOPROXY, "*");
    if (f->ca_file)
        SET(CURLOPT_CAINFO, f->ca_file);
    if (!is_get)
        SET(CURLOPT_CUSTOMREQUEST, r->method);
    if (r->body.p) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        SET(CURLOPT_POSTFIELDS, r->body.p);
    }
#undef SET
    return is_fine;
}

enum fl_code fl_fetch(struct fl_fetcher *f, const struct fl_fetch *request, int *ret_status,
                      struct fl_buf *ret_body, struct fl_err *err)
{
    char error[CURL_ERROR_SIZE] = "";
    bool is_short;
    long status = 0;
    struct transfer t = { .fetcher = f,
                          .request = request,
                          .body = ret_body,
                          .body_max = f->config.body_max ? f->config.body_max : BODY_MAX,
                          .body_from = ret_body->n };
    enum fl_code code = check_url(f, request->url, err);
    if (code)
        return code;
    struct curl_slist *headers = headers_of(request, &is_short);
    if (is_short || !set_up(f, &t, headers, error)) {
        code = fl_err_code(err, FL_NOMEM);
    } else {
        CURLcode rc = curl_easy_perform(f->curl);
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
        if (rc != CURLE_OK)
            code = explain(&t, rc, error[0] ? error : curl_easy_strerror(rc), err);
    }
    curl_easy_reset(f->curl); /* nothing of this request is left in it */
    curl_slist_free_all(headers);
    if (code == FL_OK)
        *ret_status = (int)status;
    return code;
}
