/* What servers and pins come to. */
#include <stdlib.h>

#include "flopinio/base/json.h"
#include "runtime/approval/registry.h"
#include "runtime/console/apply.h"
#include "runtime/console/valid.h"

/* ---------------------------------------------------------------- servers */
/* Columns of fl_store_servers: server_id, name, kind, plugin, config, environment, account,
 * is_enabled, note. */
static int server_row(const struct fl_query *servers, struct fl_str name)
{
    for (int i = 0; i < fl_rows(servers); i++) {
        if (fl_str_eq(fl_cell(servers, i, 1), name))
            return i;
    }
    return -1;
}

/* A configuration says which folders of the host a plugin may touch. */
static bool is_on_host(struct fl_api *a, struct fl_str name)
{
    return a->is_control ||
           fl_apply_refuse(a, FL_FORBIDDEN, "server", name,
                           "servers are added and configured on the host only (control socket)");
}

static bool may_reach(struct fl_api *a, const struct fl_apply_server *s)
{
    struct fl_err err;
    enum fl_code code =
        s->config.p ? fl_org_config_check(a->core, a->arena, s->config, &err) : FL_OK;
    return code == FL_OK || fl_apply_refuse(a, code == FL_CONFIG ? FL_BAD_PARAMS : code, "server",
                                            s->name, "%s", err.text);
}

static bool plan_new_server(struct fl_api *a, struct fl_apply_server *s)
{
    struct fl_buf detail = FL_BUF_INIT;
    if (!is_on_host(a, s->name) || !may_reach(a, s))
        return false;
    if (!s->plugin.n)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "server", s->name, "it needs a 'plugin'");
    s->is_new = true;
    s->id = fl_uuid_new();
    s->becomes = s->config.p ? s->config : FL_STR("{}");
    fl_buf_printf(&detail, "plugin %.*s", FL_STR_ARG(s->plugin));
    fl_apply_note(a, "server", s->name, "created", &detail);
    return true;
}

/* What it has from before the document may be closed by now; that holds nothing else up. */
static bool note_closed(struct fl_api *a, const struct fl_apply_server *s)
{
    struct fl_apply *ap = a->user;
    struct fl_err err;
    if (fl_org_config_check(a->core, a->arena, s->becomes, &err) != FL_CONFIG)
        return true;
    struct fl_apply_trouble *t = FL_ARENA_NEW(a->arena, struct fl_apply_trouble);
    const char *text =
        fl_arena_printf(a->arena, "server '%.*s' cannot start: %s", FL_STR_ARG(s->name), err.text);
    if (!t || !text)
        return fl_apply_no_memory(a);
    *t = (struct fl_apply_trouble){ ap->troubles, text };
    ap->troubles = t;
    return true;
}

static bool plan_server(struct fl_api *a, struct fl_apply_server *s)
{
    const struct fl_apply *ap = a->user;
    const struct fl_query *q = ap->q_servers;
    struct fl_buf detail = FL_BUF_INIT;
    int row = server_row(q, s->name);
    if (row < 0)
        return plan_new_server(a, s);
    s->id = fl_cell_uuid(q, row, 0);
    if (s->plugin.p && !fl_str_eq(s->plugin, fl_cell(q, row, 3)))
        return fl_apply_refuse(a, FL_CONFLICT, "server", s->name,
                               "it runs the plugin %.*s; remove it before it runs another",
                               FL_STR_ARG(fl_cell(q, row, 3)));
    if (s->config.p && fl_json_is_same(s->config, fl_cell(q, row, 4)))
        s->config.p = NULL;
    if (s->environment.p && fl_str_eq(s->environment, fl_cell(q, row, 5)))
        s->environment.p = NULL;
    if (s->account.p && fl_str_eq(s->account, fl_cell(q, row, 6)))
        s->account.p = NULL;
    if (s->is_enabled == (int)fl_cell_bool(q, row, 7))
        s->is_enabled = -1;
    if (s->config.p && (!is_on_host(a, s->name) || !may_reach(a, s)))
        return false;
    s->becomes = s->config.p ? s->config : fl_arena_str(a->arena, fl_cell(q, row, 4));
    bool will_be_used = s->is_enabled >= 0 ? s->is_enabled : fl_cell_bool(q, row, 7);
    if (!s->config.p && will_be_used && !note_closed(a, s))
        return false;
    if (s->config.p)
        fl_apply_detail(&detail, "config", fl_cell(q, row, 4), s->config);
    if (s->environment.p)
        fl_apply_detail(&detail, "environment", fl_cell(q, row, 5), s->environment);
    if (s->account.p)
        fl_apply_detail(&detail, "account", fl_cell(q, row, 6), s->account);
    if (s->is_enabled >= 0)
        fl_apply_detail(&detail, "is_enabled", s->is_enabled ? FL_STR("false") : FL_STR("true"),
                        s->is_enabled ? FL_STR("true") : FL_STR("false"));
    s->is_changed = s->config.p || s->environment.p || s->account.p || s->is_enabled >= 0;
    if (s->is_changed)
        fl_apply_note(a, "server", s->name, "changed", &detail);
    return true;
}

const struct fl_apply_server *fl_apply_server(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->server_count; i++) {
        if (fl_str_eq(ap->servers[i].name, name))
            return &ap->servers[i];
    }
    return NULL;
}

bool fl_apply_removes_server(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->gone_server_count; i++) {
        if (fl_str_eq(ap->gone_servers[i].name, name))
            return true;
    }
    return false;
}

bool fl_apply_plan_servers(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    if (!ap->has_servers)
        return true;
    for (size_t i = 0; i < ap->server_count; i++) {
        if (!plan_server(a, &ap->servers[i]))
            return false;
    }
    int rows = fl_rows(ap->q_servers);
    ap->gone_servers = fl_arena_array(a->arena, (size_t)rows + 1, sizeof *ap->gone_servers);
    if (!ap->gone_servers)
        return fl_apply_no_memory(a);
    for (int i = 0; ap->prunes && i < rows; i++) {
        struct fl_str name = fl_arena_str(a->arena, fl_cell(ap->q_servers, i, 1));
        if (fl_apply_server(ap, name))
            continue;
        ap->gone_servers[ap->gone_server_count++] = (struct fl_apply_gone){ .name = name };
        fl_apply_note(a, "server", name, "removed", NULL);
    }
    return true;
}

/* ---------------------------------------------------------------- pins */
/* Columns of fl_store_tools: server_id, name, published, definition, digest, accepted_definition,
 * accepted_digest, accepted_effects, secrets, is_quarantined, is_gone, changed_at; sorted by
 * published in byte order. */
int fl_apply_tool_row(const struct fl_query *tools, struct fl_str published)
{
    int low = 0, high = fl_rows(tools);
    while (low < high) {
        int mid = low + (high - low) / 2;
        struct fl_str at = fl_cell(tools, mid, 2);
        size_t n = at.n < published.n ? at.n : published.n;
        int cmp = memcmp(at.p, published.p, n);
        if (cmp == 0 && at.n == published.n)
            return mid;
        if (cmp < 0 || (cmp == 0 && at.n < published.n))
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

/* The configuration of the tool's server after this document; p NULL: there will be no such one. */
static struct fl_str server_config(const struct fl_apply *ap, struct fl_str name)
{
    const struct fl_apply_server *s = fl_apply_server(ap, name);
    int row = server_row(ap->q_servers, name);
    if (s)
        return s->becomes;
    return row >= 0 && !fl_apply_removes_server(ap, name) ? fl_cell(ap->q_servers, row, 4)
                                                          : (struct fl_str){ NULL, 0 };
}

static bool is_usable(struct fl_api *a, const struct fl_apply_tool *t, struct fl_str definition)
{
    struct fl_err err;
    enum fl_code code = fl_definition_is_usable(definition, &err);
    return code == FL_OK || fl_apply_refuse(a, code, "tool", t->name, "%s", err.text);
}

static void note_pin(struct fl_api *a, const struct fl_apply_tool *t, const char *change)
{
    char hex[2 * FL_SHA256_BYTES + 1];
    struct fl_buf detail = FL_BUF_INIT;
    fl_buf_printf(&detail, "%s, sha256:%s%s", t->effects, fl_hex(t->digest.p, t->digest.n, hex),
                  t->pin == FL_PIN_COMING ? "; not offered yet" : "");
    fl_apply_note(a, "tool", t->name, change, &detail);
}

/* The server has not been asked yet what it offers. The pin waits for it: should it offer something
 * else, the tool is quarantined as changed. */
static bool plan_coming(struct fl_api *a, struct fl_apply_tool *t, struct fl_str config)
{
    struct fl_err err;
    struct fl_str published;
    if (!t->definition.p)
        return fl_apply_refuse(a, FL_NOT_FOUND, "tool", t->name,
                               "the server does not offer it, and the document does not have its "
                               "'definition'");
    json_t *d = fl_json_parse(t->definition, &err);
    t->own = fl_arena_str(a->arena, fl_json_get_str(d, "name"));
    json_decref(d);
    if (!t->own.n)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "tool", t->name,
                               "its definition must be an object with a 'name'");
    enum fl_code code =
        fl_registry_publish(a->arena, t->server, config, t->own.p, &published, &err);
    if (code)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "tool", t->name, "%s", err.text);
    if (!fl_str_eq(published, t->name))
        return fl_apply_refuse(a, FL_BAD_PARAMS, "tool", t->name,
                               "the server publishes this definition as '%.*s'",
                               FL_STR_ARG(published));
    t->pin = FL_PIN_COMING;
    if (!is_usable(a, t, t->definition))
        return false;
    note_pin(a, t, "created");
    return true;
}

static bool plan_pin(struct fl_api *a, struct fl_apply_tool *t)
{
    const struct fl_apply *ap = a->user;
    const struct fl_query *q = ap->q_tools;
    struct fl_str config = server_config(ap, t->server);
    int row = fl_apply_tool_row(q, t->name);
    if (!config.p)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "tool", t->name, "there is no server '%.*s'",
                               FL_STR_ARG(t->server));
    if (row < 0)
        return plan_coming(a, t, config);
    struct fl_uuid id = fl_cell_uuid(q, row, 0);
    int server = server_row(ap->q_servers, t->server);
    struct fl_uuid asked = { { 0 } };
    if (server >= 0)
        asked = fl_cell_uuid(ap->q_servers, server, 0);
    if (fl_uuid_cmp(&id, &asked) != 0)
        return fl_apply_refuse(a, FL_CONFLICT, "tool", t->name, "it is another server's");
    bool is_gone = fl_cell_bool(q, row, 10);
    bool is_pinned = fl_str_eq(fl_cell_bytes(q, a->arena, row, 6), t->digest);
    bool is_today = fl_str_eq(fl_cell_bytes(q, a->arena, row, 4), t->digest);
    if (t->secrets.p && fl_json_is_same(t->secrets, fl_cell(q, row, 8)))
        t->secrets.p = NULL;
    if (is_pinned && !fl_cell_bool(q, row, 9) && fl_str_is(fl_cell(q, row, 7), t->effects) &&
        !t->secrets.p) {
        t->pin = FL_PIN_SAME;
        return true;
    }
    if (is_today && !is_gone) {
        t->pin = FL_PIN_TODAY;
        t->definition = fl_arena_str(a->arena, fl_cell(q, row, 3));
    } else if (is_pinned || (is_gone && t->definition.p)) {
        t->pin = FL_PIN_KEPT;
        if (is_pinned)
            t->definition = fl_arena_str(a->arena, fl_cell(q, row, 5));
    } else {
        return fl_apply_refuse(a, FL_CONFLICT, "tool", t->name,
                               is_gone ? "the server does not offer it any more, and the document "
                                         "does not have its 'definition'"
                                       : "the server offers another definition today; look at it "
                                         "(tool diff) and accept that one");
    }
    if (!is_usable(a, t, t->definition))
        return false;
    note_pin(a, t, fl_cell_is_null(q, row, 6) ? "created" : "changed");
    return true;
}

static int by_name(const void *x, const void *y)
{
    const struct fl_apply_tool *a = x, *b = y;
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int cmp = memcmp(a->name.p, b->name.p, n);
    return cmp ? cmp : (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

/* A pin that the document does not have: the tool is quarantined. */
static bool plan_other_pins(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    const struct fl_query *q = ap->q_tools;
    ap->gone_pins = fl_arena_array(a->arena, (size_t)fl_rows(q) + 1, sizeof *ap->gone_pins);
    if (!ap->gone_pins)
        return fl_apply_no_memory(a);
    for (int i = 0; i < fl_rows(q); i++) {
        struct fl_apply_tool wanted = { .name = fl_cell(q, i, 2) };
        if (fl_cell_is_null(q, i, 6) || fl_cell_bool(q, i, 9) ||
            bsearch(&wanted, ap->tools, ap->tool_count, sizeof wanted, by_name))
            continue;
        struct fl_str name = fl_arena_str(a->arena, wanted.name);
        ap->gone_pins[ap->gone_pin_count++] = (struct fl_apply_gone){ .name = name };
        fl_apply_note(a, "tool", name, "removed", NULL);
    }
    return true;
}

bool fl_apply_plan_tools(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    if (!ap->has_tools)
        return true;
    qsort(ap->tools, ap->tool_count, sizeof *ap->tools, by_name);
    for (size_t i = 0; i < ap->tool_count; i++) {
        if (!plan_pin(a, &ap->tools[i]))
            return false;
    }
    return !ap->prunes || plan_other_pins(a);
}
