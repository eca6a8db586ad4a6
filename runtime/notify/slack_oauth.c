/* The browser that comes back from Slack. What is wrong with its state (forged, used, too old) is
 * one answer, before anything is asked of Slack; a state is used up by coming here, whatever comes
 * of it. Nothing of the request is logged: it holds the code. */
#include "runtime/notify/slack_oauth.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/digest.h"
#include "runtime/crypto/token.h"
#include "runtime/io/http_site.h"
#include "runtime/notify/notify_priv.h"
#include "runtime/notify/slack_app.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/store/install.h"

#define SAID_MOST 100

FL_STEP_DECLARE(used);
FL_STEP_DECLARE(found);
FL_STEP_DECLARE(exchanged);
FL_STEP_DECLARE(noted);

/* One that came back; in notify->visits until it is answered. */
struct visit {
    struct fl_flow flow;
    struct fl_list link;
    struct fl_notify *notify;
    struct fl_http_exchange *ex; /* NULL: the browser is gone */
    struct fl_arena *arena;
    struct fl_str state, code, error; /* of the query; p NULL: absent */
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_uuid organization, id;
    struct fl_channel channel; /* none yet: where Slack is */
    json_t *secret;            /* of the row */
    struct fl_slack_call call;
    int status;
    const char *said;
    struct fl_retired retired;
};

static struct visit *visit_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct visit, flow);
}

/* ---------------------------------------------------------------- the address */
/* Those for the history last. */
#define X(scope) scope,
static const char *const scopes[] = { FL_SLACK_SCOPES(X) FL_SLACK_HISTORY_SCOPES(X) };

static size_t scope_count(bool has_history)
{
    size_t history = FL_COUNTOF(((const char *const[]){ FL_SLACK_HISTORY_SCOPES(X) }));
    return FL_COUNTOF(scopes) - (has_history ? 0 : history);
}
#undef X

void fl_slack_install_url(struct fl_buf *out, struct fl_str base_url, struct fl_str client_id,
                          struct fl_str redirect_url, struct fl_str state, bool has_history)
{
    struct fl_str base = base_url.n ? base_url : FL_STR(FL_SLACK_BASE_URL);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (base.n >= 4 && memcmp(base.p + base.n - 4, "/api", 4) == 0)
        base.n -= 4;
    fl_buf_str(out, base);
    fl_buf_puts(out, "/oauth/v2/authorize?client_id=");
    fl_http_encode(out, client_id);
    fl_buf_puts(out, "&scope=");
    for (size_t i = 0; i < scope_count(has_history); i++) {
        fl_buf_puts(out, i ? "%2C" : "");
        fl_http_encode(out, fl_str_of(scopes[i]));
    }
    fl_buf_puts(out, "&redirect_uri=");
    fl_http_encode(out, redirect_url);
    fl_buf_puts(out, "&state=");
    fl_http_encode(out, state);
}

/* ---------------------------------------------------------------- the state */
static fl_next say(struct visit *v, int status, const char *text)
{
    v->status = status;
    v->said = text;
    return fl_end(&v->flow);
}

static void begin(struct visit *v, const struct fl_uuid *organization)
{
    fl_tx_fini(&v->tx);
    fl_tx_init(&v->tx, v->notify->core->pg, v->arena, organization);
}

FL_STEP(use)
{
    struct visit *v = visit_of(f);
    uint8_t hash[FL_SHA256_BYTES];
    fl_token_digest(v->state, hash);
    begin(v, NULL);
    v->q = fl_store_install_use(&v->tx, fl_bytes(hash, sizeof hash));
    return fl_await(f, &S_used, fl_tx_submit(&f->op, &v->tx));
}

FL_STEP(used)
{
    struct visit *v = visit_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(v->q) != 1) {
        FL_LOG(WARN, "slack_install_forged", FL_KS("from", v->ex ? v->ex->client : ""));
        return say(v, 400,
                   "This address was used before, is too old, or was not made here. Begin again: "
                   "flopinio channel slack-install");
    }
    v->organization = fl_cell_uuid(v->q, 0, 0);
    v->id = fl_cell_uuid(v->q, 0, 1);
    begin(v, &v->organization);
    v->q = fl_store_install_get(&v->tx, &v->id);
    return fl_await(f, &S_found, fl_tx_submit(&f->op, &v->tx));
}

/* ---------------------------------------------------------------- the code, for a token */
static fl_next end(struct visit *v, struct fl_str secret, struct fl_str outcome,
                   const char *trouble)
{
    begin(v, &v->organization);
    fl_store_install_end(&v->tx, &v->id, secret, outcome, trouble);
    return fl_await(&v->flow, &S_noted, fl_tx_submit(&v->flow.op, &v->tx));
}

static fl_next give_up(struct visit *v, const char *trouble)
{
    const char *text = fl_arena_printf(v->arena, "It was not installed: %s.", trouble);
    v->status = 400;
    v->said = text ? text : "It was not installed.";
    FL_LOG(WARN, "slack_install_failed", FL_KU("org", &v->organization), FL_KS("reason", trouble));
    return end(v, FL_STR(""), (struct fl_str){ NULL, 0 }, trouble);
}

static void put_field(struct fl_buf *out, const char *name, struct fl_str value)
{
    fl_buf_printf(out, "%s%s=", out->n ? "&" : "", name);
    fl_http_encode(out, value);
}

/* Columns of fl_store_install_get: channel, begun_by, secret. */
FL_STEP(found)
{
    struct visit *v = visit_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (f->op.code || fl_rows(v->q) != 1)
        return f->op.code ? fl_fail(f) : fl_fail_with(f, FL_NOT_FOUND, "it was begun anew");
    if (v->error.p)
        return give_up(v, fl_str_is(v->error, "access_denied") ? "it was refused in Slack"
                                                               : "Slack refused it");
    if (!v->code.n)
        return give_up(v, "Slack sent no code");
    struct fl_str sealed = fl_cell_bytes(v->q, v->arena, 0, 2);
    enum fl_code code = fl_channel_unseal(v->notify->core->keys, &v->organization, &v->id, sealed,
                                          &v->secret, &f->op.err);
    if (code)
        return fl_fail_with(f, code, "%s", f->op.err.text);
    v->channel = (struct fl_channel){ .core = v->notify->core,
                                      .http = v->notify->http,
                                      .organization = v->organization,
                                      .config = json_object_get(v->secret, "config") };
    put_field(&body, "client_id", fl_json_get_str(v->secret, "client_id"));
    put_field(&body, "client_secret", fl_json_get_str(v->secret, "client_secret"));
    put_field(&body, "code", v->code);
    put_field(&body, "redirect_uri", fl_json_get_str(v->secret, "redirect_url"));
    return fl_await(
        f, &S_exchanged,
        fl_slack_call_start(&f->op, &v->call, &v->channel, NULL, "oauth.v2.access", &body));
}

/* A short copy; "" where there is none. */
static void put_said(json_t *to, const char *name, struct fl_str text)
{
    text.n = text.n > SAID_MOST ? fl_utf8_cut(text, SAID_MOST) : text.n;
    json_t *value = fl_json_new_str(text.p ? text : FL_STR(""));
    if (value)
        json_object_set_new(to, name, value);
}

/* What is said to whoever began it; nothing of it is secret. A new reference. */
static json_t *outcome_of(const json_t *answer, bool has_history)
{
    const json_t *team = json_object_get(answer, "team");
    const json_t *grid = json_object_get(answer, "enterprise");
    struct fl_str granted = fl_json_get_str(answer, "scope");
    json_t *out = json_object(), *missing = json_array();
    bool is_org = json_is_true(json_object_get(answer, "is_enterprise_install"));
    put_said(out, "team", fl_json_get_str(team, "id"));
    put_said(out, "workspace", fl_json_get_str(is_org ? grid : team, "name"));
    put_said(out, "enterprise", fl_json_get_str(grid, "id"));
    put_said(out, "app", fl_json_get_str(answer, "app_id"));
    put_said(out, "bot_user", fl_json_get_str(answer, "bot_user_id"));
    put_said(out, "installed_by", fl_json_get_str(json_object_get(answer, "authed_user"), "id"));
    json_object_set_new(out, "is_enterprise_install", json_boolean(is_org));
    for (size_t i = 0; i < scope_count(has_history); i++) {
        if (!fl_slack_is_granted(granted, scopes[i]))
            json_array_append_new(missing, json_string(scopes[i]));
    }
    json_object_set_new(out, "missing_scopes", missing);
    return out;
}

/* Why this answer is none that a channel can live with; NULL: it can. */
static const char *why_not(const json_t *answer)
{
    bool is_org = json_is_true(json_object_get(answer, "is_enterprise_install"));
    struct fl_str team = fl_json_get_str(json_object_get(answer, "team"), "id");
    struct fl_str grid = fl_json_get_str(json_object_get(answer, "enterprise"), "id");
    if (!fl_str_is(fl_json_get_str(answer, "token_type"), "bot") ||
        !fl_str_has_prefix(fl_json_get_str(answer, "access_token"), FL_STR("xoxb-")))
        return "Slack gave no token of a bot";
    if (json_object_get(answer, "refresh_token") || json_object_get(answer, "expires_in"))
        return "the app rotates its tokens: switch token rotation off (the manifest has it off)";
    if (!fl_slack_is_id(is_org ? grid : team))
        return "Slack did not say where";
    return NULL;
}

FL_STEP(exchanged)
{
    struct visit *v = visit_of(f);
    const json_t *answer = v->call.answer;
    struct fl_str sealed;
    if (f->op.code == FL_CANCELLED)
        return fl_fail(f);
    if (f->op.code) {
        const char *why = fl_arena_strndup(v->arena, f->op.err.text, strlen(f->op.err.text));
        f->op.code = FL_OK;
        return give_up(v, why ? why : "Slack did not answer");
    }
    const char *why = why_not(answer);
    if (why)
        return give_up(v, why);
    bool has_history = !json_is_true(json_object_get(v->secret, "without_history"));
    json_t *outcome = outcome_of(answer, has_history);
    json_object_set(v->secret, "token", json_object_get(answer, "access_token"));
    json_object_del(v->secret, "client_secret");
    struct fl_buf text = FL_BUF_INIT;
    fl_json_put(&text, outcome);
    json_decref(outcome);
    enum fl_code code = fl_buf_code(&text, &f->op.err);
    if (code == FL_OK)
        code = fl_channel_seal(v->notify->core->keys, &v->organization, &v->id, v->secret, v->arena,
                               &sealed, &f->op.err);
    struct fl_str said = fl_arena_str(v->arena, fl_buf_view(&text));
    fl_buf_fini(&text);
    if (code || !said.p)
        return fl_fail_with(f, code ? code : FL_NOMEM, "it could not be kept");
    v->status = 200;
    v->said =
        "Installed. Go back to the command line, which says where, and asks whether the channel "
        "shall use it.";
    return end(v, sealed, said, "");
}

FL_STEP(noted)
{
    return f->op.code ? fl_fail(f) : fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

/* ---------------------------------------------------------------- the request */
static void respond(struct fl_http_exchange *ex, int status, const char *text)
{
    static const struct fl_http_header headers[] = {
        { { "Content-Type", 12 }, { "text/plain; charset=utf-8", 25 } },
        { { "Cache-Control", 13 }, { "no-store", 8 } },
        { { "Referrer-Policy", 15 }, { "no-referrer", 11 } },
        { { "Content-Security-Policy", 23 }, { "default-src 'none'", 18 } },
        { { "X-Content-Type-Options", 22 }, { "nosniff", 7 } }
    };
    fl_http_respond(ex, status, headers, FL_COUNTOF(headers), fl_str_of(text));
}

static void release(void *owner)
{
    struct visit *v = owner;
    fl_arena_free(&v->arena);
    fl_free(v);
}

static void on_ended(struct fl_flow *f)
{
    struct visit *v = visit_of(f);
    struct fl_http_exchange *ex = v->ex;
    v->ex = NULL;
    if (f->first.code)
        FL_LOG(WARN, "slack_install_failed", FL_KS("reason", f->first.text));
    if (ex) {
        ex->user = NULL;
        respond(ex, f->first.code ? 503 : v->status,
                f->first.code ? "That did not work now. Begin again: flopinio channel slack-install"
                              : v->said);
    }
    fl_slack_call_fini(&v->call);
    v->channel.config = NULL; /* the secret's */
    json_decref(v->secret);
    fl_tx_fini(&v->tx);
    fl_list_remove(&v->link);
    fl_loop_retire(v->notify->core->loop, &v->retired, release, v);
}

/* Twice the same name is nobody's browser. */
static bool read_query(struct visit *v, struct fl_str query)
{
    struct fl_str name, value;
    struct fl_err err;
    size_t pos = 0;
    enum fl_code code;
    while ((code = fl_http_form_next(v->arena, query, &pos, &name, &value, &err)) == FL_OK) {
        struct fl_str *to = fl_str_is(name, "state")   ? &v->state
                            : fl_str_is(name, "code")  ? &v->code
                            : fl_str_is(name, "error") ? &v->error
                                                       : NULL;
        if (to && to->p)
            return false;
        if (to)
            *to = value;
    }
    enum fl_token_kind kind;
    return code == FL_NOT_FOUND && fl_token_parse(v->state, &kind) && kind == FL_TOKEN_LINK &&
           v->code.n <= 500;
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct fl_notify *n = fl_site_user(ex);
    struct visit *v = fl_calloc(1, sizeof *v);
    FL_UNUSED(body);
    if (v && !(v->arena = fl_arena_new(0))) {
        fl_free(v);
        v = NULL;
    }
    if (!v || n->is_stopping) {
        if (v)
            release(v);
        fl_http_respond_error(ex, 503, "not now", NULL, 0);
        return;
    }
    if (ex->method != FL_HTTP_GET || !read_query(v, ex->query)) {
        release(v);
        respond(ex, 400,
                "This address was not made here. Begin again: flopinio channel slack-install");
        return;
    }
    v->notify = n;
    v->ex = ex;
    ex->user = v;
    fl_list_push_back(&n->visits, &v->link);
    fl_tx_init(&v->tx, n->core->pg, v->arena, NULL);
    fl_flow_init(&v->flow, &S_failed, on_ended);
    fl_flow_run(&v->flow, &S_use);
}

static void on_gone(struct fl_http_exchange *ex)
{
    struct visit *v = ex->user;
    if (v)
        v->ex = NULL;
    ex->user = NULL;
}

const struct fl_http_callbacks fl_slack_oauth_http = { .body_max = 1024, /* it is never read */
                                                       .on_request = on_request,
                                                       .on_gone = on_gone };
