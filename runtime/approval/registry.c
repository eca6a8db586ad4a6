/* Asking one server, and the queue of servers to ask. */
#include "runtime/approval/registry.h"

#include <stdio.h>

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "mcp/names.h"
#include "mcp/outcome.h"
#include "runtime/approval/hub.h"
#include "runtime/store/organization.h"
#include "runtime/store/tool.h"

#define ASKED_AT_ONCE 2 /* plugin processes that only say what they offer */
/* With more than so many to ask (a start with thousands of organizations) one is asked at a time,
 * and the calls of the others have the machine three times as long as it took. */
#define MANY          64
#define RESTS         3
#define BUCKETS       256 /* by the last byte of the server's id */

FL_STEP_DECLARE(found);
FL_STEP_DECLARE(described);
FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(compared);
FL_STEP_DECLARE(recorded);

static struct fl_refresh *refresh_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_refresh, flow);
}

static const struct fl_org_server *server_of(const struct fl_refresh *r)
{
    for (size_t i = 0; i < r->org->server_count; i++) {
        if (fl_uuid_cmp(&r->org->servers[i].id, &r->server) == 0)
            return &r->org->servers[i];
    }
    return NULL;
}

/* ---------------------------------------------------------------- asking */
FL_STEP(load)
{
    struct fl_refresh *r = refresh_of(f);
    r->was_known = fl_orgs_is_used(r->core->orgs, &r->organization);
    r->org = fl_org_peek(r->core->orgs, &r->organization);
    if (r->org)
        return &S_found;
    return fl_await(f, &S_found,
                    fl_org_load_start(&f->op, &r->load, r->core->orgs, &r->organization, &r->org));
}

static void on_described(struct fl_op *op)
{
    struct fl_refresh *r = FL_CONTAINER(op, struct fl_refresh, describe.op);
    if (op->code)
        snprintf(r->note, sizeof r->note, "%s", op->err.text);
    fl_op_finish(&r->flow.op, FL_OK);
}

static enum fl_code describe(struct fl_refresh *r, const struct fl_org_server *server,
                             struct fl_err *err)
{
    struct fl_host_config config;
    enum fl_code code =
        fl_org_host_config(r->core, &r->organization, r->arena, server, &config, err);
    if (code)
        return code;
    r->describe = (struct fl_host_describe){ .op = { .done = on_described } };
    code = fl_host_describe_start(&r->describe, r->core->host, &config);
    if (code)
        *err = r->describe.op.err;
    json_decref(config.configuration);
    return code;
}

FL_STEP(found)
{
    struct fl_refresh *r = refresh_of(f);
    struct fl_err err;
    if (!r->org)
        return fl_fail(f);
    r->row = server_of(r);
    if (!r->row)
        return fl_fail_with(f, FL_NOT_FOUND, "there is no such server");
    enum fl_code code = describe(r, r->row, &err);
    if (code == FL_NOMEM)
        return fl_fail_with(f, code, "%s", err.text);
    if (code) {
        snprintf(r->note, sizeof r->note, "%s", err.text);
        return &S_described;
    }
    fl_op_start(&f->op, NULL, r);
    return fl_await(f, &S_described, FL_OK);
}

/* ---------------------------------------------------------------- recording */
FL_STEP(described)
{
    struct fl_refresh *r = refresh_of(f);
    if (r->note[0])
        FL_LOG(WARN, "server_not_described", FL_KV("org", r->org->name),
               FL_KV("server", r->row->name), FL_KS("reason", r->note));
    else if (r->describe.not_open[0])
        FL_LOG(WARN, "server_does_not_open", FL_KV("org", r->org->name),
               FL_KV("server", r->row->name), FL_KS("reason", r->describe.not_open));
    return &S_open;
}

FL_STEP(open)
{
    struct fl_refresh *r = refresh_of(f);
    fl_tx_init(&r->tx, r->core->pg, r->arena, &r->organization);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &r->tx));
}

FL_STEP(opened)
{
    struct fl_refresh *r = refresh_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_store_server_lock(&r->tx, &r->server);
    r->q_tools = fl_store_tools(&r->tx, &r->server);
    return fl_await(f, &S_compared, fl_tx_round(&f->op, &r->tx));
}

static void event(struct fl_refresh *r, enum fl_audit_kind kind, struct fl_str published,
                  const uint8_t *digest)
{
    struct fl_audit_event e;
    fl_audit_init(&e, &r->organization, kind, r->actor, &r->actor_id, "tool", NULL);
    fl_audit_text(&e, "tool", published);
    fl_audit_text(&e, "server", r->row->name);
    if (digest)
        fl_audit_hex(&e, "digest", digest, FL_DEFINITION_DIGEST_BYTES);
    fl_audit_append(&e, &r->tx);
    r->is_written = true;
}

enum fl_code fl_registry_publish(struct fl_arena *arena, struct fl_str server,
                                 struct fl_str config_json, const char *name, struct fl_str *ret,
                                 struct fl_err *err)
{
    char text[FL_MCP_TOOL_NAME_MAX + 1];
    uint8_t sha[FL_SHA256_BYTES];
    struct fl_str prefix = { NULL, 0 };
    json_t *config = fl_json_parse(config_json, err);
    if (!config)
        return err->code;
    struct fl_str own = fl_json_get_str(config, "tool_prefix");
    if (own.p)
        prefix = fl_arena_str(arena, own);
    json_decref(config);
    char *whole = prefix.p ? fl_arena_printf(arena, "%.*s%s", FL_STR_ARG(prefix), name)
                           : fl_arena_printf(arena, "%.*s__%s", FL_STR_ARG(server), name);
    if (!whole)
        return fl_err_code(err, FL_NOMEM);
    if (prefix.p) {
        if (!fl_mcp_tool_name_is_valid(fl_str_of(whole)))
            return fl_err_set(err, FL_CONFIG, "with its tool_prefix the tool %s has no valid name",
                              name);
        *ret = fl_str_of(whole);
    } else {
        fl_sha256(fl_str_of(whole), sha);
        enum fl_code code = fl_mcp_publish_name(server, fl_str_of(name), sha, text, err);
        if (code)
            return code;
        *ret = fl_arena_str(arena, fl_str_of(text));
    }
    if (fl_str_is(*ret, FL_MCP_STATUS_TOOL) || fl_str_is(*ret, FL_MCP_WAIT_TOOL))
        return fl_err_set(err, FL_CONFIG, "the name %s is the runtime's own",
                          fl_arena_strndup(arena, ret->p, ret->n));
    return FL_OK;
}

struct known {
    struct fl_str name, published, digest;
    bool is_gone, is_offered;
};

static enum fl_code record_offer(struct fl_refresh *r, struct known *known, size_t count,
                                 const struct fl_definition *d, struct fl_err *err)
{
    struct fl_str digest = { (const char *)d->digest, sizeof d->digest }, published = { 0 };
    struct known *was = NULL;
    for (size_t i = 0; i < count && !was; i++) {
        if (fl_str_is(known[i].name, d->name))
            was = &known[i];
    }
    enum fl_code code =
        fl_registry_publish(r->arena, r->row->name, r->row->config, d->name, &published, err);
    if (code)
        return code;
    if (was)
        was->is_offered = true;
    if (was && !was->is_gone && fl_str_eq(was->digest, digest) &&
        fl_str_eq(was->published, published)) {
        r->same++;
        return FL_OK;
    }
    fl_store_tool_seen(&r->tx, &r->server, fl_str_of(d->name), published, d->json, digest);
    bool is_other = was && !fl_str_eq(was->digest, digest);
    if (is_other)
        r->changed++;
    else
        r->fresh++;
    event(r, is_other ? FL_AUDIT_TOOL_CHANGED : FL_AUDIT_TOOL_SEEN, published, d->digest);
    return FL_OK;
}

static enum fl_code record(struct fl_refresh *r, struct known *known, size_t count,
                           struct fl_err *err)
{
    const struct fl_description *description = r->describe.description;
    for (size_t i = 0; i < description->tool_count; i++) {
        enum fl_code code = record_offer(r, known, count, &description->tools[i], err);
        if (code)
            return code;
    }
    for (size_t i = 0; i < count; i++) {
        if (known[i].is_offered || known[i].is_gone)
            continue;
        fl_store_tool_gone(&r->tx, &r->server, known[i].name);
        event(r, FL_AUDIT_TOOL_GONE, known[i].published, NULL);
        r->gone++;
    }
    return FL_OK;
}

/* Reads the round's rows before the next round is begun. */
static struct known *copy_known(struct fl_refresh *r, size_t *ret_count)
{
    int rows = fl_rows(r->q_tools);
    struct known *known = fl_arena_array(r->arena, (size_t)rows + 1, sizeof *known);
    for (int i = 0; known && i < rows; i++)
        known[i] = (struct known){ .name = fl_arena_str(r->arena, fl_cell(r->q_tools, i, 1)),
                                   .published = fl_arena_str(r->arena, fl_cell(r->q_tools, i, 2)),
                                   .digest = fl_cell_bytes(r->q_tools, r->arena, i, 4),
                                   .is_gone = fl_cell_bool(r->q_tools, i, 10) };
    *ret_count = (size_t)rows;
    return known;
}

FL_STEP(compared)
{
    struct fl_refresh *r = refresh_of(f);
    struct fl_err err;
    size_t count;
    if (f->op.code)
        return fl_fail(f);
    struct known *known = copy_known(r, &count);
    if (!known)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (!r->note[0]) {
        enum fl_code code = record(r, known, count, &err);
        if (code == FL_NOMEM)
            return fl_fail_with(f, code, "%s", err.text);
        if (code) { /* all or nothing: what was added so far is thrown away with the round */
            snprintf(r->note, sizeof r->note, "%s", err.text);
            r->fresh = r->changed = r->gone = r->same = 0;
            r->is_written = false;
            fl_tx_abandon(&r->tx);
            fl_tx_fini(&r->tx);
            return &S_open;
        }
    }
    const char *note = r->note[0] ? r->note : r->describe.not_open;
    if (!fl_str_is(r->row->note, note)) {
        fl_store_server_note(&r->tx, &r->server, fl_str_of(note));
        r->is_written = true;
    }
    if (!r->is_written) {
        fl_tx_abandon(&r->tx);
        return fl_end(f);
    }
    fl_store_organization_touch(&r->tx);
    return fl_await(f, &S_recorded, fl_tx_commit(&f->op, &r->tx));
}

FL_STEP(recorded)
{
    struct fl_refresh *r = refresh_of(f);
    if (f->op.code == FL_DB_REFUSED && strcmp(r->tx.sqlstate, "23505") == 0 && !r->note[0]) {
        snprintf(r->note, sizeof r->note,
                 "another server publishes a tool under one of its names already");
        r->fresh = r->changed = r->gone = r->same = 0;
        r->is_written = false;
        fl_tx_fini(&r->tx);
        return &S_open;
    }
    if (f->op.code)
        return fl_fail(f);
    FL_LOG(INFO, "server_described", FL_KV("org", r->org->name), FL_KV("server", r->row->name),
           FL_KI("new", r->fresh), FL_KI("changed", r->changed), FL_KI("gone", r->gone));
    fl_org_unref(&r->org);
    if (!r->was_known)
        fl_orgs_forget(r->core->orgs, &r->organization);
    fl_hub_organization_changed(r->core->hub, &r->organization);
    fl_orgs_changed(r->core->orgs, &r->organization, 0);
    return fl_end(f);
}

FL_STEP(refresh_failed)
{
    fl_tx_abandon(&refresh_of(f)->tx);
    return fl_end(f);
}

static void on_refreshed(struct fl_flow *f)
{
    struct fl_refresh *r = refresh_of(f);
    struct fl_op *op = r->op;
    if (f->first.code)
        op->err = f->first;
    if (!r->note[0]) /* what it offers is known all the same */
        snprintf(r->note, sizeof r->note, "%s", r->describe.not_open);
    fl_tx_fini(&r->tx);
    fl_description_free(&r->describe.description);
    fl_org_unref(&r->org);
    if (!r->was_known)
        fl_orgs_forget(r->core->orgs, &r->organization);
    fl_arena_free(&r->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_refresh_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_refresh, post)->flow, &S_load);
}

enum fl_code fl_refresh_start(struct fl_op *op, struct fl_refresh *r)
{
    r->arena = fl_arena_new(4096);
    if (!r->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    r->fresh = r->changed = r->gone = r->same = 0;
    r->note[0] = 0;
    r->is_written = false;
    r->describe = (struct fl_host_describe){ 0 };
    fl_tx_init(&r->tx, r->core->pg, r->arena, &r->organization);
    fl_flow_init(&r->flow, &S_refresh_failed, on_refreshed);
    fl_op_start(op, NULL, r);
    r->op = op;
    r->post.run = on_refresh_start;
    fl_loop_post(r->core->loop, &r->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- the queue */
struct asked {
    struct fl_list link;
    struct fl_list twin; /* in its bucket, as long as it waits */
    struct fl_uuid organization, server;
    int64_t began_ms;
    struct fl_registry *registry;
    struct fl_op op;
    struct fl_refresh refresh;
    struct fl_retired retired;
};

struct fl_registry {
    struct fl_core *core;
    struct fl_list waiting, running; /* struct asked */
    struct fl_list buckets[BUCKETS]; /* those that wait, by server */
    size_t waiting_count;
    unsigned running_count;
    struct fl_timer rest;
    struct fl_op op; /* listing */
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    bool is_listing, is_stopped;
};

static void begin_next(struct fl_registry *g);

static void free_asked(void *owner)
{
    fl_free(owner);
}

static void on_asked(struct fl_op *op)
{
    struct asked *a = FL_CONTAINER(op, struct asked, op);
    struct fl_registry *g = a->registry;
    if (op->code)
        FL_LOG(WARN, "server_not_asked", FL_KU("server", &a->server),
               FL_KS("reason", op->err.text));
    fl_list_remove(&a->link);
    g->running_count--;
    if (g->waiting_count > MANY && !g->is_stopped)
        fl_loop_timer(g->core->loop, &g->rest, (fl_mono_ms() - a->began_ms) * RESTS);
    fl_loop_retire(g->core->loop, &a->retired, free_asked, a);
    begin_next(g);
}

static void on_rested(struct fl_timer *timer)
{
    begin_next(FL_CONTAINER(timer, struct fl_registry, rest));
}

static bool may_begin(const struct fl_registry *g)
{
    unsigned most = g->waiting_count > MANY ? 1 : ASKED_AT_ONCE;
    return !g->is_stopped && g->running_count < most && !fl_timer_is_armed(&g->rest);
}

static void leave_queue(struct fl_registry *g, struct asked *a)
{
    fl_list_remove(&a->link);
    fl_list_remove(&a->twin);
    g->waiting_count--;
}

static void begin_next(struct fl_registry *g)
{
    while (may_begin(g) && !fl_list_is_empty(&g->waiting)) {
        struct asked *a = FL_CONTAINER(g->waiting.next, struct asked, link);
        leave_queue(g, a);
        a->began_ms = fl_mono_ms();
        a->op = (struct fl_op){ .done = on_asked };
        a->refresh = (struct fl_refresh){ .core = g->core,
                                          .organization = a->organization,
                                          .server = a->server,
                                          .actor = FL_ACTOR_SYSTEM,
                                          .actor_id = g->core->worker };
        if (fl_refresh_start(&a->op, &a->refresh) != FL_OK) {
            fl_free(a);
            continue;
        }
        fl_list_push_back(&g->running, &a->link);
        g->running_count++;
    }
}

static bool is_waiting(const struct fl_registry *g, const struct fl_uuid *server)
{
    FL_LIST_FOREACH (link, &g->buckets[server->b[15]]) {
        if (fl_uuid_cmp(&FL_CONTAINER(link, struct asked, twin)->server, server) == 0)
            return true;
    }
    return false;
}

void fl_registry_ask(struct fl_registry *g, const struct fl_uuid *organization,
                     const struct fl_uuid *server)
{
    if (g->is_stopped || is_waiting(g, server))
        return;
    struct asked *a = fl_calloc(1, sizeof *a);
    if (!a)
        return; /* asked again by the next reason to */
    a->registry = g;
    a->organization = *organization;
    a->server = *server;
    fl_list_push_back(&g->waiting, &a->link);
    fl_list_push_back(&g->buckets[server->b[15]], &a->twin);
    g->waiting_count++;
    begin_next(g);
}

static void on_listed(struct fl_op *op)
{
    struct fl_registry *g = FL_CONTAINER(op, struct fl_registry, op);
    for (int i = 0; op->code == FL_OK && i < fl_rows(g->q); i++) {
        struct fl_uuid organization = fl_cell_uuid(g->q, i, 0), server = fl_cell_uuid(g->q, i, 1);
        fl_registry_ask(g, &organization, &server);
    }
    g->is_listing = false;
    fl_tx_fini(&g->tx);
    fl_arena_free(&g->arena);
}

void fl_registry_ask_all(struct fl_registry *g)
{
    if (g->is_listing || g->is_stopped || !(g->arena = fl_arena_new(1024)))
        return;
    fl_tx_init(&g->tx, g->core->pg, g->arena, NULL);
    g->tx.is_read_only = true;
    g->q = fl_store_sweep_servers(&g->tx);
    g->op = (struct fl_op){ .done = on_listed };
    g->is_listing = fl_tx_submit(&g->op, &g->tx) == FL_OK;
    if (!g->is_listing) {
        fl_tx_fini(&g->tx);
        fl_arena_free(&g->arena);
    }
}

enum fl_code fl_registry_new(struct fl_core *core, struct fl_registry **ret, struct fl_err *err)
{
    struct fl_registry *g = fl_calloc(1, sizeof *g);
    if (!g)
        return fl_err_code(err, FL_NOMEM);
    g->core = core;
    fl_list_init(&g->waiting);
    fl_list_init(&g->running);
    for (int i = 0; i < BUCKETS; i++)
        fl_list_init(&g->buckets[i]);
    fl_timer_init(&g->rest, on_rested);
    *ret = g;
    return FL_OK;
}

void fl_registry_stop(struct fl_registry *g)
{
    g->is_stopped = true;
    fl_loop_timer_cancel(g->core->loop, &g->rest);
    while (!fl_list_is_empty(&g->waiting)) {
        struct asked *a = FL_CONTAINER(g->waiting.next, struct asked, link);
        leave_queue(g, a);
        fl_free(a);
    }
}

bool fl_registry_is_idle(const struct fl_registry *g)
{
    return g->running_count == 0 && !g->is_listing;
}

void fl_registry_free(struct fl_registry **registry)
{
    struct fl_registry *g = *registry;
    if (!g)
        return;
    fl_registry_stop(g);
    FL_ASSERT(fl_registry_is_idle(g));
    fl_free(g);
    *registry = NULL;
}
