/* Requests to the review page, and answers. */
#include "runtime/console/review.h"

#include <stdio.h>
#include <strings.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/console/review_priv.h"
#include "runtime/io/http_site.h"
#include "runtime/store/channel.h"

#define PREFIX "/review"
#define FORM   "application/x-www-form-urlencoded"

FL_STEP_DECLARE(found);

static struct fl_review *review_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_review, flow);
}

/* "https://host:port/x" -> "https://host:port" */
static char *origin_of(const char *url)
{
    const char *from = strstr(url, "://");
    from = from ? from + 3 : url;
    size_t n = (size_t)(from - url) + strcspn(from, "/");
    return fl_strndup(url, n);
}

/* What stands in front of our paths outside, behind a proxy; mostly nothing. */
static char *prefix_of(const char *url, const char *origin)
{
    const char *path = url + strlen(origin);
    size_t n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    return fl_strndup(path, n);
}

enum fl_code fl_review_new(struct fl_core *core, struct fl_people *people, const char *public_url,
                           struct fl_review_server **ret, struct fl_err *err)
{
    struct fl_review_server *s = fl_calloc(1, sizeof *s);
    if (s) {
        s->origin = origin_of(public_url);
        s->prefix = s->origin ? prefix_of(public_url, s->origin) : NULL;
    }
    if (!s || !s->prefix) {
        if (s)
            fl_free(s->origin);
        fl_free(s);
        return fl_err_code(err, FL_NOMEM);
    }
    s->core = core;
    s->people = people;
    s->is_https = strncasecmp(s->origin, "https://", 8) == 0;
    fl_list_init(&s->requests);
    *ret = s;
    return FL_OK;
}

bool fl_review_is_idle(const struct fl_review_server *s)
{
    return fl_list_is_empty(&s->requests);
}

void fl_review_free(struct fl_review_server **server)
{
    struct fl_review_server *s = *server;
    if (!s)
        return;
    FL_ASSERT(fl_list_is_empty(&s->requests));
    fl_free(s->origin);
    fl_free(s->prefix);
    fl_free(s);
    *server = NULL;
}

/* ---------------------------------------------------------------- answers */
static struct fl_str policy_of(struct fl_arena *arena)
{
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_buf text = FL_BUF_INIT;
    fl_sha256(fl_str_of(fl_review_style), digest);
    fl_buf_puts(&text, "default-src 'none'; style-src 'sha256-");
    fl_b64(&text, digest, sizeof digest);
    fl_buf_puts(&text, "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
    struct fl_str policy =
        text.is_failed ? (struct fl_str){ NULL, 0 } : fl_arena_str(arena, fl_buf_view(&text));
    fl_buf_fini(&text);
    return policy.p ? policy : FL_STR("default-src 'none'");
}

/* No-referrer would make a form's origin null: the address must not leave, and does not. */
static void respond(struct fl_http_exchange *ex, struct fl_arena *arena, int status,
                    const char *location, const char *cookie, struct fl_str body)
{
    struct fl_http_header h[8];
    size_t n = 0;
    h[n++] = (struct fl_http_header){ FL_STR("Content-Type"), FL_STR("text/html; charset=utf-8") };
    h[n++] = (struct fl_http_header){ FL_STR("Cache-Control"), FL_STR("no-store") };
    h[n++] = (struct fl_http_header){ FL_STR("Content-Security-Policy"), policy_of(arena) };
    h[n++] = (struct fl_http_header){ FL_STR("Referrer-Policy"), FL_STR("same-origin") };
    h[n++] = (struct fl_http_header){ FL_STR("X-Content-Type-Options"), FL_STR("nosniff") };
    h[n++] = (struct fl_http_header){ FL_STR("X-Frame-Options"), FL_STR("DENY") };
    if (location)
        h[n++] = (struct fl_http_header){ FL_STR("Location"), fl_str_of(location) };
    if (cookie)
        h[n++] = (struct fl_http_header){ FL_STR("Set-Cookie"), fl_str_of(cookie) };
    fl_http_respond(ex, status, h, n, body);
}

static void respond_sentence(struct fl_http_exchange *ex, int status, const char *title,
                             const char *text)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_review_page_begin(&out, title);
    fl_buf_printf(&out, "<p>%s</p>\n", text);
    fl_review_page_end(&out);
    respond(ex, ex->arena, status, NULL, NULL,
            out.is_failed ? FL_STR("out of memory") : fl_buf_view(&out));
    fl_buf_fini(&out);
}

fl_next fl_review_answer(struct fl_review *r)
{
    return fl_end(&r->flow);
}

fl_next fl_review_say(struct fl_review *r, int status, const char *title, const char *text)
{
    r->status = status;
    fl_buf_reset(&r->body);
    fl_review_page_begin(&r->body, title);
    fl_buf_printf(&r->body, "<p>%s</p>\n", text);
    fl_review_page_end(&r->body);
    return fl_end(&r->flow);
}

struct fl_tx *fl_review_tx(struct fl_review *r)
{
    fl_tx_fini(&r->tx);
    fl_tx_init(&r->tx, r->server->core->pg, r->arena, &r->organization_id);
    return &r->tx;
}

const char *fl_review_path(struct fl_review *r, bool with_card)
{
    char card[FL_UUID_TEXT];
    return fl_arena_printf(r->arena, "%s" PREFIX "/%.*s/%.*s%s%s", r->server->prefix,
                           FL_STR_ARG(r->organization), FL_STR_ARG(r->channel),
                           with_card ? "/" : "", with_card ? fl_uuid_format(&r->card, card) : "");
}

/* ---------------------------------------------------------------- the flow */
FL_STEP(find)
{
    struct fl_review *r = review_of(f);
    r->q = fl_store_channel_by_name(&r->tx, r->organization, r->channel);
    return fl_await(f, &S_found, fl_tx_submit(&f->op, &r->tx));
}

/* Columns of fl_store_channel_by_name: organization_id, channel_id, kind, is_enabled. */
FL_STEP(found)
{
    struct fl_review *r = review_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(r->q) != 1 || !fl_str_is(fl_cell(r->q, 0, 2), "mail") || !fl_cell_bool(r->q, 0, 3))
        return fl_review_say(r, 404, "Not known", "This link is not known here (any more).");
    r->organization_id = fl_cell_uuid(r->q, 0, 0);
    r->channel_id = fl_cell_uuid(r->q, 0, 1);
    return r->has_card ? fl_review_card_begin(r) : fl_review_link_begin(r);
}

FL_STEP(failed)
{
    struct fl_review *r = review_of(f);
    FL_LOG(WARN, "review_failed", FL_KS("reason", f->first.text));
    r->location = r->set_cookie = NULL;
    return fl_review_say(r, 503, "Not now",
                         "It is not certain that this was done. Open this page again: it says what "
                         "holds.");
}

static void cleanse(struct fl_str s)
{
    if (s.n)
        fl_cleanse((char *)s.p, s.n);
}

static void release(void *owner)
{
    struct fl_review *r = owner;
    cleanse(r->passphrase);
    cleanse(r->token);
    fl_cleanse(r->session, sizeof r->session);
    fl_buf_fini(&r->body);
    fl_arena_free(&r->arena);
    fl_free(r);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_review *r = review_of(f);
    struct fl_http_exchange *ex = r->ex;
    fl_tx_abandon(&r->tx);
    fl_tx_fini(&r->tx);
    fl_approval_view_fini(&r->view);
    fl_look_fini(&r->look);
    if (r->is_auth_open)
        fl_person_auth_fini(&r->auth);
    r->ex = NULL;
    if (ex) {
        ex->user = NULL;
        respond(ex, r->arena, r->body.is_failed ? 503 : r->status, r->location, r->set_cookie,
                r->body.is_failed ? FL_STR("out of memory") : fl_buf_view(&r->body));
    }
    fl_list_remove(&r->link);
    fl_loop_retire(r->server->core->loop, &r->retired, release, r);
}

/* ---------------------------------------------------------------- what was asked */
static bool is_name(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_fine =
            (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-';
        if (!is_fine)
            return false;
    }
    return s.n > 0 && s.n <= 63;
}

/* "/review/acme/ops-mail", or with a card's id behind it. */
static bool read_path(struct fl_review *r, struct fl_str path)
{
    struct fl_str parts[3] = { { NULL, 0 } };
    size_t at = strlen(PREFIX), count = 0;
    while (at < path.n && count < 3) {
        size_t end = at + 1;
        while (end < path.n && path.p[end] != '/')
            end++;
        parts[count++] = (struct fl_str){ path.p + at + 1, end - at - 1 };
        at = end;
    }
    if (at != path.n || count < 2 || !is_name(parts[0]) || !is_name(parts[1]))
        return false;
    r->organization = fl_arena_str(r->arena, parts[0]);
    r->channel = fl_arena_str(r->arena, parts[1]);
    r->has_card = count == 3;
    return count == 2 || fl_uuid_parse(parts[2], &r->card);
}

static bool read_fields(struct fl_review *r, struct fl_str form)
{
    struct fl_str name, value;
    struct fl_err err;
    size_t pos = 0;
    enum fl_code code;
    while ((code = fl_http_form_next(r->arena, form, &pos, &name, &value, &err)) == FL_OK) {
        unsigned long long page;
        struct fl_str *field = fl_str_is(name, "t")            ? &r->token
                               : fl_str_is(name, "again")      ? &r->again
                               : fl_str_is(name, "verdict")    ? &r->verdict
                               : fl_str_is(name, "reason")     ? &r->reason
                               : fl_str_is(name, "binding")    ? &r->binding
                               : fl_str_is(name, "passphrase") ? &r->passphrase
                               : fl_str_is(name, "code")       ? &r->code
                               : fl_str_is(name, "typed")      ? &r->typed
                                                               : NULL;
        if (field && field->p)
            return false; /* twice */
        if (field)
            *field = value;
        else if (fl_str_is(name, "may_ask_again"))
            r->may_ask_again = true;
        else if (fl_str_is(name, "page") && fl_str_to_u64(value, &page) && page > 0 && page < 10000)
            r->page = (int64_t)page - 1;
    }
    return code == FL_NOT_FOUND;
}

/* Of the cookies the one that can be ours; a second one of that name makes none of them so. */
static void read_cookie(struct fl_review *r, const struct fl_http_exchange *ex)
{
    struct fl_str name =
        r->server->is_https ? FL_STR("__Secure-flopinio-review=") : FL_STR("flopinio-review=");
    struct fl_str header;
    size_t pos = 0, count = 0;
    while (fl_http_header_next(ex, "cookie", &pos, &header)) {
        for (size_t from = 0; from < header.n;) {
            size_t to = from;
            while (to < header.n && header.p[to] != ';')
                to++;
            struct fl_str item = fl_str_trim((struct fl_str){ header.p + from, to - from });
            if (fl_str_has_prefix(item, name) && ++count)
                r->cookie = (struct fl_str){ item.p + name.n, item.n - name.n };
            from = to + 1;
        }
    }
    enum fl_token_kind kind;
    if (count != 1 || !fl_token_parse(r->cookie, &kind) || kind != FL_TOKEN_SESSION)
        r->cookie = (struct fl_str){ NULL, 0 };
    else
        fl_token_digest(r->cookie, r->hash);
}

static bool is_form(const struct fl_http_exchange *ex)
{
    struct fl_str type = fl_http_header_get(ex, "content-type");
    size_t n = 0;
    while (n < type.n && type.p[n] != ';')
        n++;
    return fl_str_eq_nocase(fl_str_trim((struct fl_str){ type.p, n }), FL_STR(FORM));
}

/* A form must come from a page of ours: browsers say so themselves. */
static bool is_ours(const struct fl_review_server *s, const struct fl_http_exchange *ex)
{
    return fl_http_header_count(ex, "origin") == 1 &&
           fl_str_eq_nocase(fl_http_header_get(ex, "origin"), fl_str_of(s->origin));
}

static bool read_request(struct fl_review *r, struct fl_http_exchange *ex, struct fl_str body)
{
    r->is_post = ex->method == FL_HTTP_POST;
    r->is_head = ex->method == FL_HTTP_HEAD;
    r->from = fl_arena_str(r->arena, fl_str_of(ex->client));
    struct fl_str form = r->is_post ? body : ex->query;
    if (!read_path(r, ex->path) || !read_fields(r, form) || !r->from.p)
        return false;
    if (r->has_card)
        read_cookie(r, ex);
    return true;
}

static struct fl_review *new_request(struct fl_review_server *s, size_t bytes)
{
    struct fl_review *r = fl_calloc(1, sizeof *r);
    if (r && !(r->arena = fl_arena_new(bytes + 4096))) {
        fl_free(r);
        return NULL;
    }
    if (r)
        r->server = s;
    return r;
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct fl_review_server *s = fl_site_user(ex);
    bool is_post = ex->method == FL_HTTP_POST;
    if (!is_post && ex->method != FL_HTTP_GET && ex->method != FL_HTTP_HEAD) {
        respond_sentence(ex, 405, "Not here", "This page is read, and its forms are sent.");
        return;
    }
    if (is_post && (!is_form(ex) || !is_ours(s, ex))) {
        respond_sentence(ex, 403, "Not from this page",
                         "This came from another page, or it does not say from where; nothing was "
                         "decided.");
        return;
    }
    struct fl_review *r = new_request(s, body.n + ex->query.n);
    if (!r) {
        respond_sentence(ex, 503, "Not now", "There is no memory left. Try again.");
        return;
    }
    if (!read_request(r, ex, body)) {
        release(r);
        respond_sentence(ex, 404, "Not known", "There is nothing at this address.");
        return;
    }
    r->ex = ex;
    ex->user = r;
    fl_list_push_back(&s->requests, &r->link);
    fl_tx_init(&r->tx, s->core->pg, r->arena, NULL);
    r->tx.is_read_only = true;
    fl_flow_init(&r->flow, &S_failed, on_ended);
    fl_flow_run(&r->flow, &S_find);
}

static void on_gone(struct fl_http_exchange *ex)
{
    struct fl_review *r = ex->user;
    if (r)
        r->ex = NULL;
    ex->user = NULL;
}

const struct fl_http_callbacks fl_review_http = { .body_max = FL_REVIEW_BODY_MAX,
                                                  .is_for_anybody = true,
                                                  .on_request = on_request,
                                                  .on_gone = on_gone };
