/* Credentials of agents: issued once, kept as a digest, revoked at once. */
#include "flopinio/base/clock.h"
#include "runtime/console/agents.h"
#include "runtime/crypto/secret.h"
#include "runtime/crypto/token.h"

#define HOLD_MIN_MS    INT64_C(100)
#define HOLD_MAX_MS    INT64_C(86400000)     /* 24 h */
#define EXPIRES_MAX_MS INT64_C(315360000000) /* 10 years */

/* How long the client of this kind waits for an answer (measured): X(name, held ms) */
#define CLIENTS(X)                                                                                 \
    X("claude-code", 3600000)                                                                      \
    X("cursor", 50000)                                                                             \
    X("codex", 50000)                                                                              \
    X("vscode", 50000)                                                                             \
    X("sdk", 50000)

static const struct {
    const char *name;
    int64_t hold_ms;
} clients[] = {
#define X(name, hold_ms) { name, hold_ms },
    CLIENTS(X)
#undef X
};

struct credential_request {
    struct fl_str name;
    const char *client, *tools;
    int64_t hold_ms, expires_ms; /* expires 0: never */
    struct fl_uuid agent, id;    /* id zero: all of the agent's */
    struct fl_query *q_agents, *q_revoked;
    int revoked;
    char token[FL_TOKEN_BYTES];
};

static struct credential_request *new_request(struct fl_api *a)
{
    struct credential_request *r = FL_ARENA_NEW(a->arena, struct credential_request);
    if (!r)
        fl_api_error(a, FL_NOMEM, "out of memory");
    a->user = r;
    return r;
}

static void read_agents(struct fl_api *a)
{
    struct credential_request *r = a->user;
    r->q_agents = fl_store_agents(&a->tx);
}

static void on_credentials(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0],
                "id:u - name:t client:t hold:d tools:c expires_at:m is_usable:b created_at:m");
    fl_api_ok(a, &out);
}

static void on_agent_found(struct fl_api *a)
{
    int row = fl_agent_row(a->q[0], a->params[1]);
    if (row < 0) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
        return;
    }
    struct fl_uuid id = fl_cell_uuid(a->q[0], row, 0);
    a->q[0] = fl_store_credentials(fl_api_tx(a), &id);
    fl_api_submit(a, false, on_credentials);
}

static void start_credentials(struct fl_api *a)
{
    a->q[0] = fl_store_agents(fl_api_tx(a));
    fl_api_submit(a, false, on_agent_found);
}

static bool read_client(struct fl_api *a, struct credential_request *r)
{
    struct fl_str text;
    if (!fl_api_text(a, "client", false, &text))
        return false;
    if (!text.p)
        text = FL_STR("sdk");
    for (size_t i = 0; i < FL_COUNTOF(clients); i++) {
        if (!fl_str_is(text, clients[i].name))
            continue;
        r->client = clients[i].name;
        r->hold_ms = clients[i].hold_ms;
        return true;
    }
    fl_api_error(a, FL_BAD_PARAMS, "'client' must be claude-code, cursor, codex, vscode or sdk");
    return false;
}

/* "hold" and "expires", when they are there, within their limits. */
static bool read_times(struct fl_api *a, struct credential_request *r)
{
    int64_t hold_ms;
    bool says_hold = json_object_get(a->body, "hold"),
         says_expiry = json_object_get(a->body, "expires");
    if (!fl_api_duration(a, "hold", &hold_ms) || !fl_api_duration(a, "expires", &r->expires_ms))
        return false;
    if (says_hold)
        r->hold_ms = hold_ms;
    if (r->hold_ms < HOLD_MIN_MS || r->hold_ms > HOLD_MAX_MS) {
        fl_api_error(a, FL_BAD_PARAMS, "'hold' must be from 100ms to 24h");
        return false;
    }
    if (says_expiry && (r->expires_ms < 1000 || r->expires_ms > EXPIRES_MAX_MS)) {
        fl_api_error(a, FL_BAD_PARAMS, "'expires' must be from 1s to 3650d; without it never");
        return false;
    }
    return true;
}

static void on_issued(struct fl_api *a)
{
    struct credential_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT];
    fl_buf_printf(&out, "{\"id\":\"%s\",\"credential\":\"%s\"}", fl_uuid_format(&r->id, id),
                  r->token);
    fl_cleanse(r->token, sizeof r->token);
    fl_api_created(a, &out);
}

static void decide_issue(struct fl_api *a)
{
    struct credential_request *r = a->user;
    struct fl_audit_event e;
    struct fl_err err;
    uint8_t digest[FL_SHA256_BYTES];
    int row;
    if (!fl_agent_find(a, r->q_agents, &r->agent, &row))
        return;
    if (fl_token_new(FL_TOKEN_AGENT, r->token, digest, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    int64_t expires_at = r->expires_ms ? fl_real_ms() + r->expires_ms : 0;
    r->id = fl_uuid_new();
    fl_store_credential_create(&a->tx, &r->id, &r->agent, r->name, fl_bytes(digest, sizeof digest),
                               r->client, r->hold_ms, r->tools, expires_at);
    fl_api_event(a, &e, FL_AUDIT_CREDENTIAL_CREATED, "credential", &r->id);
    fl_audit_text(&e, "agent", a->params[1]);
    fl_audit_text(&e, "name", r->name);
    fl_audit_z(&e, "client", r->client);
    fl_audit_z(&e, "tools", r->tools);
    if (expires_at)
        fl_audit_time(&e, "expires_at", expires_at, a->arena);
    fl_audit_append(&e, &a->tx);
    fl_change_commit(a, on_issued);
}

static void start_issue(struct fl_api *a)
{
    struct credential_request *r;
    if (!(r = new_request(a)) || !fl_api_title(a, "name", &r->name) || !read_client(a, r) ||
        !read_times(a, r) || !fl_api_list(a, "tools", &r->tools))
        return;
    if (!r->tools)
        r->tools = "*";
    if (!*r->tools) {
        fl_api_error(a, FL_BAD_PARAMS, "'tools' must name at least one tool or pattern");
        return;
    }
    fl_change_start(a, read_agents, decide_issue);
}

static void on_gone(struct fl_api *a)
{
    const struct credential_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out, "{\"revoked\":%d}", r->revoked);
    fl_api_ok(a, &out);
}

static void on_revoked(struct fl_api *a)
{
    struct credential_request *r = a->user;
    r->revoked = fl_rows(r->q_revoked);
    if (!r->revoked && !fl_uuid_is_zero(&r->id)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such credential in use");
        return;
    }
    fl_agent_append_revoked(a, r->q_revoked, a->params[1]);
    fl_change_commit(a, on_gone);
}

static void decide_revoke(struct fl_api *a)
{
    struct credential_request *r = a->user;
    int row = fl_agent_row(r->q_agents, a->params[1]);
    if (row < 0) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
        return;
    }
    r->agent = fl_cell_uuid(r->q_agents, row, 0);
    r->q_revoked = fl_store_credential_revoke(&a->tx, &r->id, &r->agent);
    fl_change_round(a, on_revoked);
}

static void start_revoke(struct fl_api *a)
{
    if (new_request(a))
        fl_change_start(a, read_agents, decide_revoke);
}

static void start_revoke_one(struct fl_api *a)
{
    struct credential_request *r = new_request(a);
    if (!r)
        return;
    if (!fl_uuid_parse(a->params[2], &r->id) || fl_uuid_is_zero(&r->id))
        fl_api_error(a, FL_NOT_FOUND, "there is no such credential in use");
    else
        fl_change_start(a, read_agents, decide_revoke);
}

const struct fl_api_route fl_api_credentials[] = {
    { FL_HTTP_GET, "/orgs/{org}/agents/{agent}/credentials", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY,
      start_credentials },
    { FL_HTTP_POST, "/orgs/{org}/agents/{agent}/credentials", FL_NEED_ROLE, FL_ACTION_MANAGE_AGENTS,
      start_issue, "name client hold tools expires" },
    { FL_HTTP_DELETE, "/orgs/{org}/agents/{agent}/credentials", FL_NEED_ROLE,
      FL_ACTION_MANAGE_AGENTS, start_revoke },
    { FL_HTTP_DELETE, "/orgs/{org}/agents/{agent}/credentials/{id}", FL_NEED_ROLE,
      FL_ACTION_MANAGE_AGENTS, start_revoke_one },
    { .pattern = NULL }
};
