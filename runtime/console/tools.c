/* Servers and the tools that they offer: adding, pinning, quarantining. */
#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/approval/registry.h"
#include "runtime/console/api.h"
#include "runtime/console/valid.h"
#include "runtime/store/tool.h"

#define NOTHING ((struct fl_str){ NULL, 0 })

/* Seals an event of this request, for statements that carry their audit row. */
static bool seal(struct fl_api *a, struct fl_audit_event *e)
{
    struct fl_err err;
    if (fl_audit_seal(e, a->arena, &err) == FL_OK)
        return true;
    fl_api_error(a, err.code, "%s", err.text);
    return false;
}

/* ---------------------------------------------------------------- servers */
/* The configuration may hold what only those who manage it should read. */
static bool may_see_config(const struct fl_api *a)
{
    return a->who == FL_WHO_OPERATOR || fl_role_may(a->role, FL_ACTION_MANAGE_TOOLS);
}

static const char *server_spec(const struct fl_api *a)
{
    return may_see_config(a)
               ? "- name:t kind:t plugin:t config:j environment:t account:t is_enabled:b note:t"
               : "- name:t kind:t plugin:t - environment:t account:t is_enabled:b";
}

/* What a plugin says when it does not open may quote its configuration. */
static void put_hidden_note(struct fl_buf *out, const struct fl_api *a, int row)
{
    bool has_note = fl_cell(a->q[0], row, 8).n > 0;
    if (out->n)
        out->n--; /* its brace */
    fl_buf_puts(out, ",\"note\":");
    fl_buf_json_str(out, fl_str_of(has_note ? "could not be asked, or did not open: an owner or "
                                              "administrator sees why"
                                            : ""));
    fl_buf_putc(out, '}');
}

/* Columns of fl_store_servers: server_id, name, kind, plugin, config, ... A configuration of
 * before, or one whose folder leads elsewhere by now. Into the row's object. */
static void put_closed(struct fl_buf *out, struct fl_api *a, int row)
{
    struct fl_err err;
    enum fl_code code = fl_org_config_check(a->core, a->arena, fl_cell(a->q[0], row, 4), &err);
    if (out->n)
        out->n--; /* its brace */
    fl_buf_puts(out, ",\"closed\":");
    if (code == FL_CONFIG)
        fl_buf_json_str(out, fl_str_of(err.text));
    else
        fl_buf_puts(out, "null");
    fl_buf_putc(out, '}');
}

/* Paths are looked up where they are: for whoever is on this host. */
static void on_servers(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < fl_rows(a->q[0]); i++) {
        fl_buf_puts(&out, i ? "," : "");
        fl_api_row(&out, a->q[0], i, server_spec(a));
        if (!may_see_config(a))
            put_hidden_note(&out, a, i);
        else if (a->is_control)
            put_closed(&out, a, i);
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static void start_servers(struct fl_api *a)
{
    a->q[0] = fl_store_servers(fl_api_tx(a));
    fl_api_submit(a, false, on_servers);
}

struct server_request {
    struct fl_str name, plugin, config, environment, account;
    int is_enabled; /* -1: not said */
    struct fl_uuid id;
    bool is_new;
    struct fl_refresh refresh;
};

static bool read_config(struct fl_api *a, struct fl_str *ret)
{
    const json_t *config = a->body ? json_object_get(a->body, "config") : NULL;
    *ret = NOTHING;
    if (!config)
        return true;
    if (!json_is_object(config)) {
        fl_api_error(a, FL_BAD_PARAMS, "'config' must be an object");
        return false;
    }
    *ret = fl_json_text(a->arena, config);
    if (!ret->p)
        fl_api_error(a, FL_NOMEM, "out of memory");
    return ret->p != NULL;
}

/* The answer to a create, a change and a refresh: what the server offers now. */
static void on_refreshed(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct server_request *s = a->user;
    const struct fl_refresh *r = &s->refresh;
    struct fl_buf out = FL_BUF_INIT;
    if (!fl_api_flow_done(a))
        return;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, s->name);
    fl_buf_printf(&out, ",\"new\":%u,\"changed\":%u,\"gone\":%u,\"same\":%u,\"note\":", r->fresh,
                  r->changed, r->gone, r->same);
    fl_buf_json_str(&out, fl_str_of(r->note));
    fl_buf_putc(&out, '}');
    if (s->is_new)
        fl_api_created(a, &out);
    else
        fl_api_ok(a, &out);
}

static void refresh(struct fl_api *a)
{
    struct server_request *s = a->user;
    bool is_person = a->who == FL_WHO_PERSON;
    s->refresh =
        (struct fl_refresh){ .core = a->core,
                             .organization = a->organization_id,
                             .server = s->id,
                             .actor = is_person ? FL_ACTOR_PERSON : FL_ACTOR_OPERATOR,
                             .actor_id = is_person ? a->auth.id : (struct fl_uuid){ { 0 } } };
    a->op = (struct fl_op){ .done = on_refreshed };
    if (fl_refresh_start(&a->op, &s->refresh) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

static void on_server_written(struct fl_api *a)
{
    struct server_request *s = a->user;
    if (fl_rows(a->q[0]) != 1) {
        if (s->is_new)
            fl_api_error(a, FL_CONFLICT, "there is a server of that name already");
        else
            fl_api_error(a, FL_NOT_FOUND, "there is no such server");
        return;
    }
    s->id = fl_cell_uuid(a->q[0], 0, 0);
    if (s->is_enabled == 0) {
        fl_api_empty(a);
        return;
    }
    refresh(a);
}

static bool new_request(struct fl_api *a)
{
    struct server_request *s = FL_ARENA_NEW(a->arena, struct server_request);
    if (!s) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return false;
    }
    s->is_enabled = -1;
    a->user = s;
    return true;
}

static void event(struct fl_api *a, struct fl_audit_event *e, enum fl_audit_kind kind,
                  struct fl_str name)
{
    fl_api_event(a, e, kind, "server", NULL);
    fl_audit_text(e, "server", name);
}

/* A configuration says which folders of the host a plugin may touch. */
static bool is_on_host(struct fl_api *a)
{
    if (!a->is_control)
        fl_api_refuse(a, "servers are added and configured on the host only (control socket)");
    return a->is_control;
}

static bool may_reach(struct fl_api *a, struct fl_str config)
{
    struct fl_err err;
    enum fl_code code = config.p ? fl_org_config_check(a->core, a->arena, config, &err) : FL_OK;
    if (code)
        fl_api_error(a, code == FL_CONFIG ? FL_BAD_PARAMS : code, "%s", err.text);
    return code == FL_OK;
}

static void start_server_create(struct fl_api *a)
{
    struct fl_audit_event e;
    if (!is_on_host(a) || !new_request(a))
        return;
    struct server_request *s = a->user;
    s->is_new = true;
    if (!fl_api_text(a, "name", true, &s->name) || !fl_api_text(a, "plugin", true, &s->plugin) ||
        !fl_api_text(a, "environment", false, &s->environment) ||
        !fl_api_text(a, "account", false, &s->account) || !read_config(a, &s->config) ||
        !may_reach(a, s->config))
        return;
    if (!fl_is_server_name(s->name)) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "a server's name has 1 to 32 of a-z, 0-9 and hyphens, and starts with no "
                     "hyphen");
        return;
    }
    struct fl_uuid id = fl_uuid_new();
    event(a, &e, FL_AUDIT_SERVER_CREATED, s->name);
    fl_audit_text(&e, "plugin", s->plugin);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_server_create(fl_api_tx(a), &id, s->name, s->plugin, s->config,
                                     s->environment, s->account, &e.row);
    fl_api_submit(a, true, on_server_written);
}

static void start_server_update(struct fl_api *a)
{
    struct fl_audit_event e;
    bool is_enabled;
    if (!new_request(a))
        return;
    struct server_request *s = a->user;
    s->name = a->params[1];
    if (!fl_api_text(a, "environment", false, &s->environment) ||
        !fl_api_text(a, "account", false, &s->account) || !read_config(a, &s->config) ||
        !fl_api_flag(a, "is_enabled", &is_enabled))
        return;
    if (json_is_boolean(json_object_get(a->body, "is_enabled")))
        s->is_enabled = is_enabled;
    if (s->config.p && (!is_on_host(a) || !may_reach(a, s->config)))
        return;
    event(a, &e, FL_AUDIT_SERVER_CHANGED, s->name);
    if (s->environment.p)
        fl_audit_text(&e, "environment", s->environment);
    if (s->account.p)
        fl_audit_text(&e, "account", s->account);
    if (s->is_enabled >= 0)
        fl_audit_bool(&e, "is_enabled", s->is_enabled != 0);
    fl_audit_bool(&e, "config_changed", s->config.p != NULL);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_server_update(fl_api_tx(a), s->name, s->config, s->environment, s->account,
                                     s->is_enabled, &e.row);
    fl_api_pass_gate(a);
    fl_api_submit(a, true, on_server_written);
}

static void on_server_removed(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        fl_api_error(a, FL_NOT_FOUND, "there is no such server");
}

static void start_server_remove(struct fl_api *a)
{
    struct fl_audit_event e;
    event(a, &e, FL_AUDIT_SERVER_REMOVED, a->params[1]);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_server_remove(fl_api_tx(a), a->params[1], &e.row);
    fl_api_pass_gate(a);
    fl_api_submit(a, true, on_server_removed);
}

static void start_server_refresh(struct fl_api *a)
{
    const struct fl_org_server *server = fl_org_server(a->org, a->params[1]);
    if (!server) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such server");
        return;
    }
    if (!new_request(a))
        return;
    struct server_request *s = a->user;
    s->name = a->params[1];
    s->id = server->id;
    refresh(a);
}

/* ---------------------------------------------------------------- tools */
static void put_text(struct fl_buf *out, const char *key, struct fl_str value)
{
    fl_buf_json_key(out, key);
    if (value.p)
        fl_buf_json_str(out, value);
    else
        fl_buf_puts(out, "null");
    fl_buf_putc(out, ',');
}

static void put_digest(struct fl_buf *out, struct fl_api *a, const char *key, int row, int col)
{
    char hex[2 * FL_SHA256_BYTES + 1];
    struct fl_str bytes = fl_cell_bytes(a->q[0], a->arena, row, col);
    fl_buf_json_key(out, key);
    if (bytes.n == FL_SHA256_BYTES)
        fl_buf_printf(out, "\"sha256:%s\",", fl_hex(bytes.p, bytes.n, hex));
    else
        fl_buf_puts(out, "null,");
}

static const char *state_of(const struct fl_api *a, int row)
{
    const struct fl_org_tool *t = fl_org_tool(a->org, fl_cell(a->q[0], row, 2));
    return fl_tool_state_text(t ? t->state : FL_TOOL_GONE);
}

static struct fl_str server_name(const struct fl_api *a, int row)
{
    struct fl_uuid id = fl_cell_uuid(a->q[0], row, 0);
    for (size_t i = 0; i < a->org->server_count; i++) {
        if (fl_uuid_cmp(&a->org->servers[i].id, &id) == 0)
            return a->org->servers[i].name;
    }
    return NOTHING;
}

/* Columns as fl_store_tools has them. */
static void put_tool(struct fl_buf *out, struct fl_api *a, int row, bool with_definitions)
{
    const struct fl_query *q = a->q[0];
    struct fl_err err;
    char text[FL_TIME_BYTES];
    json_t *d = fl_json_parse(fl_cell(q, row, 3), &err);
    const json_t *hints = json_object_get(d, "annotations");
    fl_buf_putc(out, '{');
    put_text(out, "name", fl_cell(q, row, 2));
    put_text(out, "server", server_name(a, row));
    put_text(out, "state", fl_str_of(state_of(a, row)));
    put_text(out, "effects", fl_cell(q, row, 7));
    put_text(out, "title", fl_json_get_str(d, "title"));
    put_text(out, "description", fl_json_get_str(d, "description"));
    fl_buf_printf(out, "\"claims_read\":%s,\"destroys\":%s,",
                  json_is_true(json_object_get(hints, "readOnlyHint")) ? "true" : "false",
                  json_is_false(json_object_get(hints, "destructiveHint")) ? "false" : "true");
    put_digest(out, a, "digest", row, 4);
    put_digest(out, a, "accepted_digest", row, 6);
    fl_buf_json_key(out, "secrets");
    fl_buf_str(out, fl_cell(q, row, 8));
    if (with_definitions) {
        fl_buf_puts(out, ",\"definition\":");
        fl_buf_str(out, fl_cell(q, row, 3));
        fl_buf_puts(out, ",\"accepted_definition\":");
        fl_buf_str(out, fl_cell_is_null(q, row, 5) ? FL_STR("null") : fl_cell(q, row, 5));
    }
    fl_buf_puts(out, ",\"changed_at\":");
    fl_buf_json_str(out, fl_str_of(fl_time_format_s(fl_cell_int(q, row, 11), text)));
    fl_buf_putc(out, '}');
    json_decref(d);
}

static void on_tools(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str state = fl_api_query(a, "state"), server = fl_api_query(a, "server");
    bool is_next = false;
    fl_buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < fl_rows(a->q[0]); i++) {
        if ((state.n && !fl_str_is(state, state_of(a, i))) ||
            (server.n && !fl_str_eq(server, server_name(a, i))))
            continue;
        if (is_next)
            fl_buf_putc(&out, ',');
        put_tool(&out, a, i, false);
        is_next = true;
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static bool has_server(const struct fl_org *org, struct fl_str name)
{
    for (size_t i = 0; i < org->server_count; i++) {
        if (fl_str_eq(org->servers[i].name, name))
            return true;
    }
    return false;
}

static void start_tools(struct fl_api *a)
{
    struct fl_str server = fl_api_query(a, "server");
    if (server.n && !has_server(a->org, server)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such server");
        return;
    }
    a->q[0] = fl_store_tools(fl_api_tx(a), NULL);
    fl_api_submit(a, false, on_tools);
}

static void on_tool(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such tool");
        return;
    }
    put_tool(&out, a, 0, true);
    fl_api_ok(a, &out);
}

static void start_tool(struct fl_api *a)
{
    a->q[0] = fl_store_tool(fl_api_tx(a), a->params[1]);
    fl_api_submit(a, false, on_tool);
}

/* ---------------------------------------------------------------- pins */
struct pin {
    struct fl_str digest, secrets;
    const char *effects;
};

/* "sha256:" and 64 hex digits, or the digits alone. */
static bool read_digest(struct fl_api *a, struct fl_str *ret)
{
    struct fl_str text;
    char *bytes = fl_arena_alloc(a->arena, FL_SHA256_BYTES);
    if (!fl_api_text(a, "digest", true, &text))
        return false;
    if (fl_str_has_prefix(text, FL_STR("sha256:")))
        text = (struct fl_str){ text.p + 7, text.n - 7 };
    if (bytes && fl_unhex(text, bytes, FL_SHA256_BYTES)) {
        *ret = (struct fl_str){ bytes, FL_SHA256_BYTES };
        return true;
    }
    fl_api_error(a, FL_BAD_PARAMS, "'digest' must be sha256: and 64 hexadecimal digits");
    return false;
}

static bool read_secrets(struct fl_api *a, struct fl_str *ret)
{
    const json_t *list = json_object_get(a->body, "secrets");
    *ret = NOTHING;
    if (!list || json_is_null(list))
        return true;
    if (!fl_are_pointers(list)) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "'secrets' must be a list of at most 64 JSON pointers like \"/token\"");
        return false;
    }
    *ret = fl_json_text(a->arena, list);
    if (!ret->p)
        fl_api_error(a, FL_NOMEM, "out of memory");
    return ret->p != NULL;
}

static bool read_effects(struct fl_api *a, const char **ret)
{
    struct fl_str text;
    if (!fl_api_text(a, "effects", true, &text))
        return false;
    *ret = fl_str_is(text, "read") ? "read" : fl_str_is(text, "write") ? "write" : NULL;
    if (!*ret)
        fl_api_error(a, FL_BAD_PARAMS, "'effects' must be read or write");
    return *ret != NULL;
}

static void refuse_digest(struct fl_api *a)
{
    fl_api_error(
        a, FL_CONFLICT,
        "the tool's definition is not the one with that digest any more; look at it again");
}

static void on_accepted(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        refuse_digest(a);
}

/* What could not work later is refused now. */
static bool is_usable(struct fl_api *a, struct fl_str definition)
{
    struct fl_err err;
    enum fl_code code = fl_definition_is_usable(definition, &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

static void on_tool_to_accept(struct fl_api *a)
{
    const struct pin *pin = a->user;
    struct fl_audit_event e;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such tool");
        return;
    }
    struct fl_str today = fl_cell_bytes(a->q[0], a->arena, 0, 4);
    if (!fl_str_eq(today, pin->digest)) {
        refuse_digest(a);
        return;
    }
    if (!is_usable(a, fl_cell(a->q[0], 0, 3)))
        return;
    fl_api_event(a, &e, FL_AUDIT_TOOL_ACCEPTED, "tool", NULL);
    fl_audit_text(&e, "tool", a->params[1]);
    fl_audit_hex(&e, "digest", pin->digest.p, pin->digest.n);
    fl_audit_z(&e, "effects", pin->effects);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_tool_accept(fl_api_tx(a), a->params[1], pin->digest, pin->effects,
                                   pin->secrets, &e.row);
    fl_api_pass_gate(a);
    fl_api_submit(a, true, on_accepted);
}

static void start_accept(struct fl_api *a)
{
    struct pin *pin = FL_ARENA_NEW(a->arena, struct pin);
    if (!pin) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    a->user = pin;
    if (!read_digest(a, &pin->digest) || !read_effects(a, &pin->effects) ||
        !read_secrets(a, &pin->secrets))
        return;
    a->q[0] = fl_store_tool(fl_api_tx(a), a->params[1]);
    fl_api_submit(a, false, on_tool_to_accept);
}

static void on_quarantined(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        fl_api_error(a, FL_NOT_FOUND, "there is no such tool");
}

static void start_quarantine(struct fl_api *a)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, FL_AUDIT_TOOL_QUARANTINED, "tool", NULL);
    fl_audit_text(&e, "tool", a->params[1]);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_tool_quarantine(fl_api_tx(a), a->params[1], &e.row);
    fl_api_pass_gate(a);
    fl_api_submit(a, true, on_quarantined);
}

const struct fl_api_route fl_api_tools[] = {
    { FL_HTTP_GET, "/orgs/{org}/servers", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_servers },
    { FL_HTTP_POST, "/orgs/{org}/servers", FL_NEED_ROLE, FL_ACTION_MANAGE_TOOLS,
      start_server_create, "name plugin config environment account" },
    { FL_HTTP_PATCH, "/orgs/{org}/servers/{server}", FL_NEED_ROLE, FL_ACTION_MANAGE_TOOLS,
      start_server_update, "config environment account is_enabled" },
    { FL_HTTP_DELETE, "/orgs/{org}/servers/{server}", FL_NEED_ROLE, FL_ACTION_MANAGE_TOOLS,
      start_server_remove },
    { FL_HTTP_POST, "/orgs/{org}/servers/{server}/refresh", FL_NEED_ROLE, FL_ACTION_MANAGE_TOOLS,
      start_server_refresh },
    { FL_HTTP_GET, "/orgs/{org}/tools", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_tools,
      "state server" },
    { FL_HTTP_GET, "/orgs/{org}/tools/{tool}", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_tool },
    { FL_HTTP_POST, "/orgs/{org}/tools/{tool}/accept", FL_NEED_ROLE, FL_ACTION_MANAGE_TOOLS,
      start_accept, "digest effects secrets" },
    { FL_HTTP_POST, "/orgs/{org}/tools/{tool}/quarantine", FL_NEED_ROLE, FL_ACTION_MANAGE_TOOLS,
      start_quarantine },
    { .pattern = NULL }
};
