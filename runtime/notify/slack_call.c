/* Calls of Slack's Web API, and of response_urls. Tokens stand in a header that is nowhere logged.
 * Slack says what went wrong in the body, with status 200; only 429 means something by itself. */
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/slack_priv.h"

#define HOOKS_URL "https://hooks.slack.com/"

static bool is_one_of(struct fl_str word, const char *const *words)
{
    for (; *words; words++) {
        if (fl_str_is(word, *words))
            return true;
    }
    return false;
}

static enum fl_code refused(struct fl_slack_call *c, const json_t *answer, struct fl_err *err)
{
    static const char *const token[] = { "invalid_auth",
                                         "not_authed",
                                         "account_inactive",
                                         "token_revoked",
                                         "token_expired",
                                         "missing_scope",
                                         "team_disabled",
                                         "no_permission",
                                         "not_allowed_token_type",
                                         "access_denied",
                                         NULL };
    static const char *const gone[] = {
        "channel_not_found",   "message_not_found", "user_not_found",
        "cant_update_message", "is_archived",       "user_disabled",
        "edit_window_closed",  "not_found",         NULL
    };
    /* Ours is too long, which takes nothing away from what stands there. */
    static const char *const size[] = { "msg_blocks_too_long", "msg_too_long", NULL };
    static const char *const passing[] = { "internal_error", "fatal_error", "request_timeout",
                                           "service_unavailable", NULL };
    struct fl_str why = fl_json_get_str(answer, "error");
    why.n = why.n > 100 ? fl_utf8_cut(why, 100) : why.n;
    if (c->http.status == 429 || fl_str_is(why, "ratelimited") || fl_str_is(why, "rate_limited")) {
        c->retry_ms = c->http.retry_after_ms > 0 ? c->http.retry_after_ms : 1000;
        return fl_err_set(err, FL_TOO_MANY, "slack asks to wait for %lld s",
                          (long long)(c->retry_ms / 1000));
    }
    if (!why.n || is_one_of(why, passing))
        return fl_err_set(err, FL_AMBIGUOUS, "slack answered %d: %.*s", c->http.status,
                          FL_STR_ARG(why));
    if (is_one_of(why, token))
        return fl_err_set(err, FL_UNAUTHENTICATED, "slack does not take the token: %.*s",
                          FL_STR_ARG(why));
    return fl_err_set(err,
                      is_one_of(why, gone)   ? FL_NOT_FOUND
                      : is_one_of(why, size) ? FL_CONFLICT
                                             : FL_FORBIDDEN,
                      "slack refused it: %.*s", FL_STR_ARG(why));
}

static void on_called(struct fl_op *http_op)
{
    struct fl_slack_call *c = FL_CONTAINER(http_op, struct fl_slack_call, http_op);
    struct fl_op *op = c->op;
    struct fl_err parse;
    enum fl_code code = http_op->code;
    op->err = http_op->err;
    if (code == FL_OK && !(c->is_plain && c->http.status == 200)) {
        json_t *answer = fl_json_parse(fl_buf_view(&c->http.answer), &parse);
        if (json_is_true(json_object_get(answer, "ok")) && c->http.status == 200)
            c->answer = json_incref(answer);
        else
            code = refused(c, answer, &op->err);
        json_decref(answer);
    }
    fl_op_finish(op, code);
}

bool fl_slack_is_granted(struct fl_str granted, const char *scope)
{
    for (size_t from = 0; from < granted.n;) {
        size_t to = from;
        while (to < granted.n && granted.p[to] != ',')
            to++;
        if (fl_str_is(fl_str_trim((struct fl_str){ granted.p + from, to - from }), scope))
            return true;
        from = to + 1;
    }
    return false;
}

static void cancel_call(struct fl_op *op)
{
    struct fl_slack_call *c = op->provider;
    fl_op_cancel(&c->http_op);
}

static enum fl_code start(struct fl_op *op, struct fl_slack_call *c, const struct fl_channel *ch)
{
    if (c->url.is_failed || c->body.is_failed || c->bearer.is_failed) {
        fl_slack_call_fini(c);
        return fl_err_code(&op->err, FL_NOMEM);
    }
    c->headers[0] = c->body.n && c->body.p[0] != '{'
                        ? "Content-Type: application/x-www-form-urlencoded"
                        : "Content-Type: application/json; charset=utf-8";
    c->headers[1] = c->bearer.p;
    c->op = op;
    c->http =
        (struct fl_http_call){ .method = "POST",
                               .url = c->url.p,
                               .headers = c->headers,
                               .body = fl_buf_view(&c->body),
                               .timeout_ms = c->timeout_ms ? c->timeout_ms : FL_SLACK_TIMEOUT_MS,
                               .max_bytes = (size_t)4 << 20,
                               .wants_header = FL_SLACK_SCOPES_HEADER };
    c->http_op = (struct fl_op){ .done = on_called };
    enum fl_code code = fl_http_call_start(&c->http_op, ch->http, &c->http);
    if (code) {
        op->err = c->http_op.err;
        fl_slack_call_fini(c);
        return code;
    }
    fl_op_start(op, cancel_call, c);
    return FL_OK;
}

static struct fl_str base_url(const struct fl_channel *ch)
{
    struct fl_str base = fl_channel_config(ch, "base_url");
    base = base.n ? base : FL_STR(FL_SLACK_BASE_URL);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    return base;
}

enum fl_code fl_slack_call_start(struct fl_op *op, struct fl_slack_call *c,
                                 const struct fl_channel *ch, const char *secret,
                                 const char *method, struct fl_buf *body)
{
    c->body = *body;
    *body = (struct fl_buf){ 0 };
    fl_buf_str(&c->url, base_url(ch));
    fl_buf_printf(&c->url, "/%s", method);
    if (secret) {
        fl_buf_puts(&c->bearer, "Authorization: Bearer ");
        fl_buf_str(&c->bearer, fl_channel_secret(ch, secret));
    }
    return start(op, c, ch);
}

/* "https://host:port/" of another Slack, where one is set. */
static bool is_of_slack(const struct fl_channel *ch, struct fl_str url)
{
    struct fl_str base = fl_channel_config(ch, "base_url");
    size_t slashes = 0, n = 0;
    if (!base.n)
        return fl_str_has_prefix(url, FL_STR(HOOKS_URL));
    while (n < base.n && (slashes += base.p[n] == '/') < 3)
        n++;
    return url.n > n && url.p[n] == '/' && fl_str_has_prefix(url, (struct fl_str){ base.p, n });
}

enum fl_code fl_slack_respond_start(struct fl_op *op, struct fl_slack_call *c,
                                    const struct fl_channel *ch, struct fl_str url,
                                    struct fl_buf *body)
{
    c->body = *body;
    *body = (struct fl_buf){ 0 };
    if (!is_of_slack(ch, url)) {
        fl_slack_call_fini(c);
        return fl_err_set(&op->err, FL_FORBIDDEN, "the response_url is none of Slack's");
    }
    c->is_plain = true;
    fl_buf_str(&c->url, url);
    return start(op, c, ch);
}

void fl_slack_call_fini(struct fl_slack_call *c)
{
    fl_http_call_fini(&c->http);
    if (c->bearer.p)
        fl_cleanse(c->bearer.p, c->bearer.n);
    fl_buf_fini(&c->url);
    fl_buf_fini(&c->body);
    fl_buf_fini(&c->bearer);
    json_decref(c->answer);
    *c = (struct fl_slack_call){ 0 };
}
