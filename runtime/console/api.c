/* The frame of the API: routes, who asks, answers. */
#include "runtime/console/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "runtime/approval/hub.h"
#include "runtime/io/child.h"
#include "runtime/io/http_site.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"

#define PREFIX  "/api/v1"
#define SIGN_IN "sign in with a personal token, or with name and passphrase"

struct fl_api_server {
    struct fl_core *core;
    struct fl_people *people;
    struct fl_api_config config;
    struct fl_list requests;
};

static const struct fl_api_route *const tables[] = {
    fl_api_me,        fl_api_tokens,    fl_api_orgs,        fl_api_groups, fl_api_people,
    fl_api_offboard,  fl_api_agents,    fl_api_credentials, fl_api_tools,  fl_api_policy,
    fl_api_approvals, fl_api_decisions, fl_api_grants,      fl_api_stops,  fl_api_audit,
    fl_api_incident,  fl_api_apply,     fl_api_export,      fl_api_links,  fl_api_channels,
    fl_api_alerts,    fl_api_quiet,     fl_api_away,        fl_api_slack,  fl_api_canaries
};

enum fl_code fl_api_new(struct fl_core *core, struct fl_people *people,
                        const struct fl_api_config *config, struct fl_api_server **ret,
                        struct fl_err *err)
{
    struct fl_api_server *s = fl_calloc(1, sizeof *s);
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    s->core = core;
    s->people = people;
    s->config = *config;
    fl_list_init(&s->requests);
    *ret = s;
    return FL_OK;
}

void fl_api_set_operator(struct fl_api_server *server, bool always, bool never)
{
    server->config.operator_always = always;
    server->config.operator_never = never;
}

bool fl_api_is_idle(const struct fl_api_server *s)
{
    return fl_list_is_empty(&s->requests);
}

void fl_api_free(struct fl_api_server **server)
{
    if (*server)
        FL_ASSERT(fl_list_is_empty(&(*server)->requests));
    fl_free(*server);
    *server = NULL;
}

/* ---------------------------------------------------------------- life of a request */
static void release(void *owner)
{
    struct fl_api *a = owner;
    if (a->tx_is_open) {
        fl_tx_abandon(&a->tx);
        fl_tx_fini(&a->tx);
    }
    fl_person_auth_fini(&a->auth);
    fl_org_unref(&a->org);
    json_decref(a->body);
    fl_arena_free(&a->arena);
    fl_free(a);
}

static void maybe_free(struct fl_api *a)
{
    if (a->op.is_pending || !a->is_answered || a->is_freed)
        return;
    a->is_freed = true;
    fl_list_remove(&a->link);
    fl_loop_retire(a->core->loop, &a->retired, release, a);
}

static void answer(struct fl_api *a, int status, struct fl_str body)
{
    static const struct fl_http_header headers[] = {
        { { "Content-Type", 12 }, { "application/json", 16 } },
        { { "Cache-Control", 13 }, { "no-store", 8 } },
        { { "WWW-Authenticate", 16 }, { "Bearer", 6 } } /* RFC 9110 11.6.1 */
    };
    if (a->is_answered)
        return;
    a->is_answered = true;
    if (a->ex) {
        a->ex->user = NULL;
        if (fl_http_is_started(a->ex))
            fl_http_abort(a->ex);
        else
            fl_http_respond(a->ex, status, headers, status == 401 ? 3 : 2, body);
    }
    a->ex = NULL;
    maybe_free(a);
}

void fl_api_answer(struct fl_api *a, int status, struct fl_buf *json)
{
    if (json->is_failed)
        answer(a, 503, FL_STR("{\"error\":{\"code\":\"NOMEM\",\"text\":\"out of memory\"}}"));
    else
        answer(a, status, fl_buf_view(json));
    fl_buf_fini(json);
}

void fl_api_ok(struct fl_api *a, struct fl_buf *json)
{
    fl_api_answer(a, 200, json);
}

void fl_api_created(struct fl_api *a, struct fl_buf *json)
{
    fl_api_answer(a, 201, json);
}

void fl_api_empty(struct fl_api *a)
{
    answer(a, 200, FL_STR("{}"));
}

void fl_api_error(struct fl_api *a, enum fl_code code, const char *fmt, ...)
{
    struct fl_buf out = FL_BUF_INIT, text = FL_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    fl_buf_puts(&out, "{\"error\":{\"code\":");
    fl_buf_json_str(&out, fl_str_of(fl_code_name(code)));
    fl_buf_puts(&out, ",\"text\":");
    fl_buf_json_str(&out, text.is_failed ? FL_STR("out of memory") : fl_buf_view(&text));
    fl_buf_puts(&out, "}}");
    fl_buf_fini(&text);
    fl_api_answer(a, fl_code_http(code), &out);
}

/* ---------------------------------------------------------------- long answers */
void fl_api_stream(struct fl_api *a, const char *type, struct fl_str piece,
                   void (*next)(struct fl_api *a))
{
    const struct fl_http_header headers[] = { { FL_STR("Content-Type"), fl_str_of(type) },
                                              { FL_STR("Cache-Control"), FL_STR("no-store") } };
    enum fl_code code = FL_OK;
    if (!fl_http_is_started(a->ex))
        code = fl_http_start(a->ex, 200, headers, FL_COUNTOF(headers));
    if (code == FL_OK && piece.n)
        code = fl_http_write(a->ex, piece);
    if (code)
        fl_api_error(a, code, "the answer could not be sent");
    else if (fl_http_queued(a->ex))
        a->drained = next;
    else
        next(a);
}

void fl_api_stream_end(struct fl_api *a)
{
    struct fl_http_exchange *ex = a->ex;
    a->is_answered = true;
    a->ex = NULL;
    ex->user = NULL;
    fl_http_end(ex);
    maybe_free(a);
}

static void on_drained(struct fl_http_exchange *ex)
{
    struct fl_api *a = ex->user;
    void (*next)(struct fl_api * a) = a ? a->drained : NULL;
    if (!next)
        return;
    a->drained = NULL;
    next(a);
}

/* ---------------------------------------------------------------- transactions */
struct fl_tx *fl_api_tx(struct fl_api *a)
{
    if (a->tx_is_open)
        fl_tx_fini(&a->tx);
    fl_tx_init(&a->tx, a->core->pg, a->arena, a->has_organization ? &a->organization_id : NULL);
    a->tx_is_open = true;
    return &a->tx;
}

struct fl_tx *fl_api_change_tx(struct fl_api *a)
{
    fl_store_organization_lock(fl_api_tx(a));
    return &a->tx;
}

void fl_api_pass_gate(struct fl_api *a)
{
    fl_store_organization_lock(&a->tx);
    fl_store_stop_gate(&a->tx);
}

struct fl_tx *fl_api_revoke_tx(struct fl_api *a)
{
    fl_api_tx(a);
    fl_api_pass_gate(a);
    return &a->tx;
}

struct fl_tx *fl_api_own_tx(struct fl_api *a)
{
    fl_store_person_lock(fl_api_tx(a),
                         a->auth.person); /* two at a time would wait for each other */
    fl_api_hold(a);
    return &a->tx;
}

void fl_api_hold(struct fl_api *a)
{
    const struct fl_evidence evidence = fl_api_evidence(a);
    char roles[FL_ROLES_BYTES];
    bool is_by_role = a->route->need == FL_NEED_ROLE;
    if (a->who != FL_WHO_PERSON)
        return;
    if (is_by_role)
        fl_role_list(a->route->action, roles);
    fl_store_must_hold(&a->tx, &a->auth.id, &evidence, is_by_role ? roles : NULL);
}

bool fl_api_flow_may(struct fl_api *a)
{
    if (a->op.code != FL_FORBIDDEN)
        return fl_api_flow_done(a);
    fl_api_refuse(a, a->op.err.text);
    return false;
}

bool fl_api_flow_done(struct fl_api *a)
{
    enum fl_code code = a->op.code;
    if (fl_store_held(&a->tx, code, &a->op.err) != code) {
        fl_api_refuse(a, a->op.err.text);
        return false;
    }
    if (!a->ex) {
        a->is_answered = true;
        maybe_free(a);
        return false;
    }
    if (code == FL_OK)
        return true;
    fl_api_error(a, code == FL_AMBIGUOUS ? FL_UNAVAILABLE : code, "%s", a->op.err.text);
    return false;
}

static void on_tx_done(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (fl_api_flow_done(a))
        a->done(a);
}

void fl_api_changed(struct fl_api *a)
{
    fl_hub_organization_changed(a->core->hub, &a->organization_id);
    /* The next request must see it: here the snapshot is older than the change. */
    fl_orgs_changed(a->core->orgs, &a->organization_id, 0);
}

static void on_change_done(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (op->code == FL_OK)
        fl_api_changed(a);
    on_tx_done(op);
}

void fl_api_submit(struct fl_api *a, bool is_change, void (*done)(struct fl_api *a))
{
    bool touches = is_change && a->has_organization;
    if (a->is_nomem) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (touches) {
        fl_store_organization_touch(&a->tx);
        fl_api_hold(a); /* who takes it away has the organization first, or nothing else */
    } else if (!is_change) {
        a->tx.is_read_only = true;
    }
    a->done = done;
    a->op = (struct fl_op){ .done = touches ? on_change_done : on_tx_done };
    if (fl_tx_submit(&a->op, &a->tx) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

void fl_api_event(struct fl_api *a, struct fl_audit_event *event, enum fl_audit_kind kind,
                  const char *subject, const struct fl_uuid *subject_id)
{
    bool is_person = a->who == FL_WHO_PERSON;
    fl_audit_init(event, a->has_organization ? &a->organization_id : &fl_audit_installation, kind,
                  is_person ? FL_ACTOR_PERSON : FL_ACTOR_OPERATOR, is_person ? &a->auth.id : NULL,
                  subject, subject_id);
    fl_audit_text(event, "by", fl_api_by(a));
    fl_audit_z(event, "via", a->is_control ? "control" : "api");
}

struct fl_evidence fl_api_evidence(const struct fl_api *a)
{
    return (struct fl_evidence){ .token = a->auth.token_id,
                                 .passphrase_hash = a->auth.passphrase_hash };
}

struct fl_str fl_api_by(const struct fl_api *a)
{
    return a->who == FL_WHO_PERSON ? a->auth.person : FL_STR("operator");
}

/* ---------------------------------------------------------------- routing */
/* Matches "/orgs/{org}/agents" against the path, segment by segment. */
static bool matches(struct fl_api *a, const char *pattern, struct fl_str path)
{
    size_t at = 0;
    struct fl_err err;
    a->param_count = 0;
    while (*pattern) {
        size_t n = strcspn(pattern + 1, "/");
        size_t end = at + 1;
        if (at >= path.n || path.p[at] != '/')
            return false;
        while (end < path.n && path.p[end] != '/')
            end++;
        struct fl_str segment = { path.p + at + 1, end - at - 1 };
        if (pattern[1] == '{') {
            struct fl_str *param = &a->params[a->param_count];
            FL_ASSERT(a->param_count < FL_API_PARAMS);
            if (!segment.n ||
                fl_http_decode(a->arena, segment, FL_HTTP_REFUSE_SLASH, param, &err) != FL_OK)
                return false;
            a->param_count++;
        } else if (!fl_str_eq(segment, (struct fl_str){ pattern + 1, n })) {
            return false;
        }
        pattern += n + 1;
        at = end;
    }
    return at == path.n;
}

static const struct fl_api_route *route_of(struct fl_api *a, enum fl_http_method method,
                                           struct fl_str path, bool *ret_other_method)
{
    *ret_other_method = false;
    for (size_t t = 0; t < FL_COUNTOF(tables); t++) {
        for (const struct fl_api_route *r = tables[t]; r->pattern; r++) {
            if (!matches(a, r->pattern, path))
                continue;
            if (r->method == method)
                return r;
            *ret_other_method = true;
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- who asks, and may they */
static bool needs_org(const struct fl_api_route *route)
{
    return strncmp(route->pattern, "/orgs/{org}", 11) == 0;
}

static unsigned scope_of(const struct fl_api *a)
{
    const struct fl_api_route *r = a->route;
    if (r->need == FL_NEED_DECIDER)
        return FL_SCOPE_DECIDE;
    if (r->need == FL_NEED_ROLE &&
        (r->action == FL_ACTION_STOP || r->action == FL_ACTION_SETTLE_UNKNOWN ||
         r->action == FL_ACTION_REVOKE_GRANTS))
        return FL_SCOPE_DECIDE | FL_SCOPE_ADMIN;
    return r->method == FL_HTTP_GET ? FL_SCOPE_ALL : FL_SCOPE_ADMIN;
}

static void on_refusal_noted(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (fl_api_flow_done(a))
        fl_api_error(a, FL_FORBIDDEN, "%s", a->refusal);
}

void fl_api_refuse(struct fl_api *a, const char *text)
{
    struct fl_audit_event e;
    bool is_open = a->tx_is_open && a->tx.conn;
    struct fl_tx *tx = is_open ? &a->tx : fl_api_tx(a);
    FL_LOG(INFO, "api_refused", FL_KV("by", fl_api_by(a)), FL_KS("route", a->route->pattern),
           FL_KS("reason", text));
    a->refusal = fl_arena_strdup(a->arena, text);
    if (!a->refusal)
        a->refusal = "not allowed";
    fl_api_event(a, &e, FL_AUDIT_AUTHZ_FAILED, "organization",
                 a->has_organization ? &a->organization_id : NULL);
    fl_audit_z(&e, "method", fl_http_method_name(a->route->method));
    fl_audit_z(&e, "route", a->route->pattern);
    if (a->param_count > 1)
        fl_audit_text(&e, "what", a->params[1]);
    fl_audit_z(&e, "why", a->refusal);
    fl_audit_append(&e, tx);
    a->op = (struct fl_op){ .done = on_refusal_noted };
    if ((is_open ? fl_tx_commit(&a->op, tx) : fl_tx_submit(&a->op, tx)) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* Who may decide is read in the deciding transaction, which records its refusals; who may settle or
 * cancel is asked here first. */
static bool needs_role_to_decide(const struct fl_api_route *r)
{
    return r->need == FL_NEED_DECIDER &&
           (r->action == FL_ACTION_SETTLE_UNKNOWN || r->action == FL_ACTION_CANCEL_OWN_APPROVALS);
}

static void permit(struct fl_api *a)
{
    const struct fl_api_route *r = a->route;
    struct fl_err err;
    if (a->org && a->who == FL_WHO_PERSON) {
        const struct fl_org_person *p = fl_org_person(a->org, &a->auth.id);
        a->role = p && p->is_active ? p->role : FL_ROLE_NONE;
        if (a->role == FL_ROLE_NONE) {
            /* The same answer as for one that does not exist. */
            fl_api_error(a, FL_NOT_FOUND, "there is no such organization");
            return;
        }
    }
    if (a->who == FL_WHO_PERSON && !(a->auth.scopes & scope_of(a))) {
        fl_api_refuse(a, "the token's scope does not reach this");
        return;
    }
    if (r->need == FL_NEED_OPERATOR && a->who != FL_WHO_OPERATOR)
        fl_api_refuse(a, "only the operator may do this, on the control socket of the host");
    else if (r->need == FL_NEED_DECIDER && a->who != FL_WHO_PERSON)
        fl_api_refuse(a, "only a person can decide: sign in with your passphrase");
    else if ((r->need == FL_NEED_ROLE || needs_role_to_decide(r)) && a->who == FL_WHO_PERSON &&
             fl_role_require(a->role, r->action, &err) != FL_OK)
        fl_api_refuse(a, err.text);
    else if (r->method == FL_HTTP_GET ? fl_api_parameters(a, r->members)
                                      : fl_api_members(a, r->members))
        r->start(a);
}

/* The operator may change an organization only until there is somebody who has authority in it. */
static void on_counted(struct fl_api *a)
{
    if (fl_cell_int(a->q[0], 0, 0) > 0)
        fl_api_refuse(a, "an administrator is there: sign in as one of them (operator_authority)");
    else
        permit(a);
}

bool fl_api_is_person(struct fl_api *a)
{
    if (a->who != FL_WHO_PERSON)
        fl_api_refuse(a, "the operator is no person: sign in as one");
    return a->who == FL_WHO_PERSON;
}

bool fl_api_by_passphrase(struct fl_api *a)
{
    if (!fl_api_is_person(a))
        return false;
    if (a->auth.token.p)
        fl_api_refuse(a, "sign in with your passphrase: no token can do this");
    return !a->auth.token.p;
}

struct fl_notify *fl_api_notify(const struct fl_api *a)
{
    return a->server->config.notify;
}

bool fl_api_operator_always(const struct fl_api *a)
{
    return a->server->config.operator_always;
}

/* Stopping takes none: who has the data directory can end the whole runtime, and a stop only takes
 * away, in the audit's sight. Resuming does. */
static bool needs_authority(const struct fl_api *a)
{
    const struct fl_api_route *r = a->route;
    bool is_stop = r->need == FL_NEED_ROLE && r->action == FL_ACTION_STOP;
    return a->who == FL_WHO_OPERATOR && r->method != FL_HTTP_GET && a->has_organization &&
           r->need != FL_NEED_OPERATOR && !is_stop && !fl_api_operator_always(a);
}

static void check_operator(struct fl_api *a)
{
    if (!needs_authority(a)) {
        permit(a);
        return;
    }
    if (a->server->config.operator_never) {
        fl_api_refuse(a, "sign in: the operator may not change anything here (operator_authority)");
        return;
    }
    a->q[0] = fl_store_administrators(fl_api_tx(a), &a->organization_id);
    fl_api_submit(a, false, on_counted);
}

static void on_org_loaded(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (fl_api_flow_done(a))
        check_operator(a);
}

static void on_org_found(struct fl_api *a)
{
    uint64_t revision = 0;
    if (fl_rows(a->q_org) == 1) {
        a->organization_id = fl_cell_uuid(a->q_org, 0, 0);
        a->organization = fl_arena_str(a->arena, fl_cell(a->q_org, 0, 1));
        a->has_organization = true;
        revision = (uint64_t)fl_cell_int(a->q_org, 0, 4);
    }
    if (!a->has_organization) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such organization");
        return;
    }
    /* Fresh, not what a second ago was: who may do this is read from it. */
    fl_orgs_changed(a->core->orgs, &a->organization_id, revision);
    a->op = (struct fl_op){ .done = on_org_loaded };
    if (fl_org_load_start(&a->op, &a->org_load, a->core->orgs, &a->organization_id, &a->org) !=
        FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* Only now that it is known who asks: false, and answered, if it is not what it must be. */
static bool read_body(struct fl_api *a)
{
    struct fl_err err;
    fl_http_known(a->ex);
    if (!a->text.n)
        return true;
    a->body = fl_scan(a->text, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK
                  ? fl_json_parse(a->text, &err)
                  : NULL;
    if (json_is_object(a->body))
        return true;
    bool is_nomem = !a->body && err.code == FL_NOMEM;
    fl_api_error(a, is_nomem ? FL_NOMEM : FL_BAD_JSON, "%s%s",
                 is_nomem ? "" : "the body must be a JSON object: ",
                 a->body ? "it is something else" : err.text);
    return false;
}

static void find_org(struct fl_api *a)
{
    if (!read_body(a))
        return;
    if (!needs_org(a->route)) {
        check_operator(a);
        return;
    }
    if (a->auth.q_org) { /* beside the token */
        a->q_org = a->auth.q_org;
        on_org_found(a);
        return;
    }
    a->q_org = fl_store_organization_named(fl_api_tx(a), a->params[0]);
    fl_api_submit(a, false, on_org_found);
}

static void on_authenticated(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (!fl_api_flow_done(a))
        return;
    a->who = FL_WHO_PERSON;
    find_org(a);
}

/* "Basic base64(name:passphrase)" (RFC 7617), with the authenticator's code in a header of ours. */
static bool read_basic(struct fl_api *a, struct fl_str encoded)
{
    struct fl_buf plain = FL_BUF_INIT;
    bool is_fine = fl_b64_decode(&plain, encoded) && plain.p;
    char *colon = is_fine ? memchr(plain.p, ':', plain.n) : NULL;
    if (colon) {
        size_t n = (size_t)(colon - plain.p);
        a->auth.name = fl_arena_str(a->arena, (struct fl_str){ plain.p, n });
        a->auth.passphrase = fl_arena_str(a->arena, (struct fl_str){ colon + 1, plain.n - n - 1 });
        a->auth.totp = fl_http_header_get(a->ex, "flopinio-code");
    }
    if (plain.p)
        fl_cleanse(plain.p, plain.n);
    fl_buf_fini(&plain);
    return colon && a->auth.name.p && a->auth.passphrase.p;
}

static void authenticate(struct fl_api *a)
{
    struct fl_str value = fl_http_header_get(a->ex, "authorization");
    bool is_bearer =
        value.n > 7 && fl_str_eq_nocase((struct fl_str){ value.p, 7 }, FL_STR("bearer "));
    bool is_basic =
        value.n > 6 && fl_str_eq_nocase((struct fl_str){ value.p, 6 }, FL_STR("basic "));
    if (!value.p && a->is_control) {
        a->who = FL_WHO_OPERATOR;
        find_org(a);
        return;
    }
    a->auth.people = a->people;
    if (needs_org(a->route))
        a->auth.organization = a->params[0];
    a->auth.from = a->is_control ? "control socket" : fl_arena_strdup(a->arena, a->ex->client);
    if (!a->auth.from) {
        fl_api_error(a, FL_NOMEM, "%s", fl_code_text(FL_NOMEM));
        return;
    }
    uint64_t failures = fl_mem_failures();
    if (is_bearer)
        a->auth.token = fl_str_trim((struct fl_str){ value.p + 7, value.n - 7 });
    else if (!is_basic ||
             !read_basic(a, fl_str_trim((struct fl_str){ value.p + 6, value.n - 6 }))) {
        bool is_nomem = fl_mem_failures() != failures;
        fl_api_error(a, is_nomem ? FL_NOMEM : FL_UNAUTHENTICATED, "%s",
                     is_nomem ? "out of memory" : SIGN_IN);
        return;
    }
    a->op = (struct fl_op){ .done = on_authenticated };
    if (fl_person_auth_start(&a->op, &a->auth) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- the front's callbacks */
static void respond_error(struct fl_http_exchange *ex, enum fl_code code, const char *text)
{
    static const struct fl_http_header headers[] = {
        { { "Content-Type", 12 }, { "application/json", 16 } },
        { { "WWW-Authenticate", 16 }, { "Bearer", 6 } }
    };
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"error\":{\"code\":");
    fl_buf_json_str(&out, fl_str_of(fl_code_name(code)));
    fl_buf_puts(&out, ",\"text\":");
    fl_buf_json_str(&out, fl_str_of(text));
    fl_buf_puts(&out, "}}");
    fl_http_respond(ex, fl_code_http(code), headers, code == FL_UNAUTHENTICATED ? 2 : 1,
                    fl_buf_view(&out));
    fl_buf_fini(&out);
}

static void handle(struct fl_http_exchange *ex, struct fl_str body, bool is_control)
{
    struct fl_api_server *server = fl_site_user(ex);
    struct fl_str path = { ex->path.p + strlen(PREFIX), ex->path.n - strlen(PREFIX) };
    bool is_other_method;
    struct fl_api *a = fl_calloc(1, sizeof *a);
    if (a && !(a->arena = fl_arena_new(4096))) {
        fl_free(a);
        a = NULL;
    }
    if (!a) {
        respond_error(ex, FL_NOMEM, "out of memory");
        return;
    }
    a->server = server;
    a->core = server->core;
    a->people = server->people;
    a->ex = ex;
    a->is_control = is_control;
    ex->user = a;
    fl_list_push_back(&server->requests, &a->link);
    uint64_t failures = fl_mem_failures();
    a->query = fl_arena_str(a->arena, ex->query);
    a->route = route_of(a, ex->method, path, &is_other_method);
    for (size_t i = 0; a->route && i < a->param_count; i++) /* borrowed from the exchange so far */
        a->params[i] = fl_arena_str(a->arena, a->params[i]);
    if (fl_mem_failures() != failures) { /* what could not be copied is not what was not said */
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (!a->route) {
        fl_api_error(a, is_other_method ? FL_METHOD_NOT_ALLOWED : FL_NOT_FOUND,
                     is_other_method ? "this address does not take that method"
                                     : "there is nothing at this address");
        return;
    }
    a->text = body;
    authenticate(a);
}

/* Whoever does not even say who they are has no body read. */
static void on_head(struct fl_http_exchange *ex)
{
    if (!fl_http_header_get(ex, "authorization").n)
        respond_error(ex, FL_UNAUTHENTICATED, SIGN_IN);
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    handle(ex, body, false);
}

static void on_gone(struct fl_http_exchange *ex)
{
    struct fl_api *a = ex->user;
    if (!a)
        return;
    a->ex = NULL;
    ex->user = NULL;
    if (!a->op.is_pending) {
        a->is_answered = true;
        maybe_free(a);
    }
}

const struct fl_http_callbacks fl_api_http = { .is_for_anybody = true,
                                               .on_head = on_head,
                                               .on_request = on_request,
                                               .on_gone = on_gone,
                                               .on_drained = on_drained };

static void on_control_head(struct fl_http_exchange *ex)
{
    const struct fl_http_peer *peer = ex->peer;
    /* The socket's mode says it already; this says it again. */
    if (!peer->is_unix || (peer->uid != 0 && peer->uid != geteuid()))
        respond_error(ex, FL_FORBIDDEN, "this socket is the operator's");
    /* A plugin may be of the same user; its sandbox keeps it from connecting, and this is for when
     * that fails. None is root's. No number: it is from outside our container, and no child of
     * ours. Asked with each request: whoever connected and ended may have left it the socket. */
    else if (peer->uid != 0 && peer->pid != 0 && fl_child_may_be_stray(peer->pid))
        respond_error(ex, FL_FORBIDDEN, "this socket is the operator's, and no plugin's");
}

static void on_control_request(struct fl_http_exchange *ex, struct fl_str body)
{
    handle(ex, body, true);
}

const struct fl_http_callbacks fl_api_control_http = { .on_head = on_control_head,
                                                       .on_request = on_control_request,
                                                       .on_gone = on_gone,
                                                       .on_drained = on_drained };
