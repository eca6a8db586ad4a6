/* Snapshots of organizations: the cache, loading, listeners. What is read out of a snapshot is in
 * org_view.c, the rows behind it are turned into one in org_read.c. */
#include "runtime/approval/org.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/org_priv.h"
#include "runtime/store/channel.h"
#include "runtime/store/grant.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/tool.h"
#include "runtime/store/vote.h"

#define BEHIND_MAX 3 /* loads that change overtook, before waiters get what there is */

struct fl_org_entry *fl_org_entry_find(const struct fl_orgs *orgs, const struct fl_uuid *id)
{
    FL_LIST_FOREACH (link, &orgs->buckets[id->b[15] % FL_ORG_BUCKETS]) {
        struct fl_org_entry *e = FL_CONTAINER(link, struct fl_org_entry, link);
        if (fl_uuid_cmp(&e->id, id) == 0)
            return e;
    }
    return NULL;
}

static struct fl_org_entry *find_or_make(struct fl_orgs *orgs, const struct fl_uuid *id)
{
    struct fl_org_entry *e = fl_org_entry_find(orgs, id);
    if (e || !(e = fl_calloc(1, sizeof *e)))
        return e;
    e->orgs = orgs;
    e->id = *id;
    fl_list_init(&e->waiting);
    fl_list_init(&e->instances);
    fl_list_push_back(&orgs->buckets[id->b[15] % FL_ORG_BUCKETS], &e->link);
    return e;
}

enum fl_code fl_orgs_new(struct fl_core *core, struct fl_orgs **ret, struct fl_err *err)
{
    struct fl_orgs *orgs = fl_calloc(1, sizeof *orgs);
    if (!orgs)
        return fl_err_code(err, FL_NOMEM);
    orgs->core = core;
    for (int i = 0; i < FL_ORG_BUCKETS; i++)
        fl_list_init(&orgs->buckets[i]);
    fl_list_init(&orgs->listeners);
    *ret = orgs;
    return FL_OK;
}

void fl_orgs_free(struct fl_orgs **orgs_ptr)
{
    struct fl_orgs *orgs = *orgs_ptr;
    if (!orgs)
        return;
    for (int i = 0; i < FL_ORG_BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (link, &orgs->buckets[i]) {
            struct fl_org_entry *e = FL_CONTAINER(link, struct fl_org_entry, link);
            FL_ASSERT(!e->is_loading && fl_list_is_empty(&e->waiting));
            fl_org_instances_free(e);
            fl_org_unref(&e->org);
            fl_list_remove(&e->link);
            fl_free(e);
        }
    }
    fl_free(orgs);
    *orgs_ptr = NULL;
}

struct fl_org *fl_org_peek(struct fl_orgs *orgs, const struct fl_uuid *id)
{
    struct fl_org_entry *e = fl_org_entry_find(orgs, id);
    if (!e || !e->org || e->is_stale)
        return NULL;
    e->uses++;
    return fl_org_ref(e->org);
}

void fl_org_unref(struct fl_org **org_ptr)
{
    struct fl_org *org = *org_ptr;
    *org_ptr = NULL;
    if (!org)
        return;
    FL_ASSERT(org->refs > 0);
    if (--org->refs)
        return;
    for (size_t i = 0; i < org->tool_count; i++)
        fl_schema_free(&org->tools[i].schema);
    fl_policy_unref(&org->policy);
    struct fl_arena *arena = org->arena; /* the organization lives in it */
    fl_arena_free(&arena);
}

/* ---- loading ---- */
static void finish_waiting(struct fl_org_entry *e, enum fl_code code, const struct fl_err *err)
{
    struct fl_list waiting;
    fl_list_init(&waiting);
    fl_list_splice(&waiting, &e->waiting);
    struct fl_org *org = code ? NULL : fl_org_ref(e->org); /* callbacks may replace e->org */
    while (!fl_list_is_empty(&waiting)) {
        struct fl_org_load *load = FL_CONTAINER(waiting.next, struct fl_org_load, link);
        struct fl_op *op = load->op;
        fl_list_remove(&load->link);
        if (code)
            op->err = *err;
        else
            *load->ret = fl_org_ref(org);
        fl_op_finish(op, code);
    }
    fl_org_unref(&org);
}

static void tell(struct fl_orgs *orgs, struct fl_org *org, bool tools_changed)
{
    FL_LIST_FOREACH_SAFE (link, &orgs->listeners) {
        struct fl_orgs_listener *l = FL_CONTAINER(link, struct fl_orgs_listener, link);
        l->on_change(l, org, tools_changed);
    }
}

static void load(struct fl_org_entry *e);

static void on_loaded(struct fl_op *op)
{
    struct fl_org_entry *e = FL_CONTAINER(op, struct fl_org_entry, op);
    struct fl_org *org = NULL;
    struct fl_err err = op->err;
    enum fl_code code = op->code;
    e->is_loading = false;
    if (code == FL_OK)
        code = fl_org_read(e, &org, &err);
    else if (code == FL_AMBIGUOUS)
        code = FL_UNAVAILABLE;
    fl_tx_fini(&e->tx);
    fl_arena_free(&e->arena);
    if (code) {
        if (code != FL_NOT_FOUND)
            FL_LOG(WARN, "organization_load_failed", FL_KU("org", &e->id),
                   FL_KS("reason", err.text));
        finish_waiting(e, code, &err);
        return;
    }
    struct fl_org *old = e->org;
    bool tools_changed = old && old->list_version != org->list_version;
    bool is_behind = org->revision < e->wanted;
    e->org = org;
    e->is_stale = is_behind;
    e->behind = is_behind ? e->behind + 1 : 0;
    /* Whoever waits may have come behind the change (a request that reads from it who may do what),
     * but not for ever while it keeps changing. */
    if (!is_behind || e->behind > BEHIND_MAX)
        finish_waiting(e, FL_OK, NULL);
    tell(e->orgs, e->org, tools_changed);
    fl_org_unref(&old);
    if (is_behind && !e->is_loading)
        load(e);
}

static void load(struct fl_org_entry *e)
{
    struct fl_tx *tx = &e->tx;
    e->arena = fl_arena_new(0);
    e->wanted = 0;
    struct fl_err err;
    if (!e->arena) {
        fl_err_code(&err, FL_NOMEM);
        finish_waiting(e, FL_NOMEM, &err);
        return;
    }
    fl_tx_init(tx, e->orgs->core->pg, e->arena, &e->id);
    tx->is_read_only = true;
    e->q_org = fl_store_organization_get(tx);
    e->q_policy = fl_store_policy_get(tx, 0);
    e->q_servers = fl_store_servers(tx);
    e->q_tools = fl_store_tools(tx, NULL);
    e->q_people = fl_store_people(tx);
    e->q_groups = fl_store_groups(tx);
    e->q_agents = fl_store_agents(tx);
    e->q_stops = fl_store_stops(tx);
    e->q_channels = fl_store_channels(tx);
    e->q_grants = fl_store_grants(tx);
    e->op = (struct fl_op){ .done = on_loaded };
    enum fl_code code = fl_tx_submit(&e->op, tx);
    if (code == FL_OK) {
        e->is_loading = true;
        return;
    }
    err = e->op.err;
    fl_tx_fini(tx);
    fl_arena_free(&e->arena);
    finish_waiting(e, code, &err);
}

static void on_load_start(struct fl_post *post)
{
    struct fl_org_entry *e = FL_CONTAINER(post, struct fl_org_entry, post);
    if (e->is_loading || fl_list_is_empty(&e->waiting))
        return;
    if (e->org && !e->is_stale)
        finish_waiting(e, FL_OK, NULL);
    else
        load(e);
}

static void cancel_load(struct fl_op *op)
{
    struct fl_org_load *load = op->provider;
    /* The load itself goes on for the cache; only this one does not wait any more. */
    fl_list_remove(&load->link);
    fl_op_finish(op, FL_CANCELLED);
}

enum fl_code fl_org_load_start(struct fl_op *op, struct fl_org_load *load, struct fl_orgs *orgs,
                               const struct fl_uuid *id, struct fl_org **ret)
{
    struct fl_org_entry *e = find_or_make(orgs, id);
    if (!e)
        return fl_err_code(&op->err, FL_NOMEM);
    e->uses++;
    fl_op_start(op, cancel_load, load);
    load->op = op;
    load->ret = ret;
    fl_list_push_back(&e->waiting, &load->link);
    e->post.run = on_load_start;
    fl_loop_post(orgs->core->loop, &e->post);
    return FL_OK;
}

void fl_orgs_changed(struct fl_orgs *orgs, const struct fl_uuid *id, uint64_t revision)
{
    struct fl_org_entry *e = fl_org_entry_find(orgs, id);
    if (!e || !e->uses || (e->org && revision && revision <= e->org->revision))
        return;
    e->is_stale = true;
    if (e->is_loading) { /* what is being read may be older than this change */
        uint64_t wanted = revision ? revision : UINT64_MAX;
        e->wanted = wanted > e->wanted ? wanted : e->wanted;
        return;
    }
    load(e); /* listeners (open connections) must hear of it even when nobody calls */
}

void fl_orgs_want(struct fl_orgs *orgs, const struct fl_uuid *id)
{
    struct fl_org_entry *e = find_or_make(orgs, id);
    if (!e)
        return;
    e->uses++;
    if (!e->org && !e->is_loading)
        load(e);
}

bool fl_orgs_is_used(const struct fl_orgs *orgs, const struct fl_uuid *id)
{
    const struct fl_org_entry *e = fl_org_entry_find(orgs, id);
    return e && e->uses;
}

void fl_orgs_forget(struct fl_orgs *orgs, const struct fl_uuid *id)
{
    struct fl_org_entry *e = fl_org_entry_find(orgs, id);
    if (!e || !e->org || e->uses != 1 || e->is_loading || !fl_list_is_empty(&e->waiting) ||
        e->org->refs != 1 || e->bytes_in_flight)
        return;
    e->uses = 0;
    fl_org_instances_stop(e);
    fl_org_unref(&e->org);
}

bool fl_orgs_take(struct fl_orgs *orgs, const struct fl_uuid *organization, size_t bytes)
{
    struct fl_org_entry *e = find_or_make(orgs, organization);
    if (!e || e->bytes_in_flight + bytes > orgs->core->limits.in_flight_bytes)
        return false;
    e->bytes_in_flight += bytes;
    return true;
}

void fl_orgs_give_back(struct fl_orgs *orgs, const struct fl_uuid *organization, size_t bytes)
{
    struct fl_org_entry *e = fl_org_entry_find(orgs, organization);
    FL_ASSERT(e && e->bytes_in_flight >= bytes);
    e->bytes_in_flight -= bytes;
}

void fl_orgs_listen(struct fl_orgs *orgs, struct fl_orgs_listener *listener)
{
    fl_list_push_back(&orgs->listeners, &listener->link);
}
