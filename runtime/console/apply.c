/* Applying a document: the request. */
#include "runtime/console/apply.h"

#include "runtime/store/channel.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/tool.h"

#define TIMEOUT_MS 55000 /* a large organization is written in one transaction */

/* ---------------------------------------------------------------- the answer */
static void put_text(struct fl_buf *out, const char *key, struct fl_str value)
{
    fl_buf_json_key(out, key);
    fl_buf_json_str(out, value);
}

/* Lists of texts: ours, and what the policy loses by it. */
static void put_findings(struct fl_buf *out, const struct fl_api *a)
{
    const struct fl_apply *ap = a->user;
    struct fl_str policy = a->findings.p ? a->findings : FL_STR("[]");
    fl_buf_putc(out, '[');
    for (const struct fl_apply_trouble *t = ap->troubles; t; t = t->next) {
        fl_buf_json_str(out, fl_str_of(t->text));
        fl_buf_puts(out, t->next || policy.n > 2 ? "," : "");
    }
    fl_buf_str(out, (struct fl_str){ policy.p + 1, policy.n - 1 });
}

static void answer(struct fl_api *a)
{
    const struct fl_apply *ap = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"changes\":[");
    for (const struct fl_apply_change *c = ap->first; c; c = c->next) {
        fl_buf_puts(&out, c == ap->first ? "{" : ",{");
        put_text(&out, "what", fl_str_of(c->what));
        fl_buf_putc(&out, ',');
        put_text(&out, "name", c->name);
        fl_buf_putc(&out, ',');
        put_text(&out, "change", fl_str_of(c->change));
        fl_buf_putc(&out, ',');
        put_text(&out, "detail", fl_str_of(c->detail));
        fl_buf_putc(&out, '}');
    }
    fl_buf_printf(&out, "],\"applied\":%s,\"findings\":", ap->is_dry_run ? "false" : "true");
    put_findings(&out, a);
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void on_committed(struct fl_api *a)
{
    fl_apply_tell(a);
    answer(a);
}

/* ---------------------------------------------------------------- under the lock */
static void on_written(struct fl_api *a)
{
    if (fl_apply_follow_up(a))
        fl_change_commit(a, on_committed);
}

static bool plan(struct fl_api *a)
{
    return fl_apply_plan_people(a) && fl_apply_plan_groups(a) && fl_apply_plan_agents(a) &&
           fl_apply_plan_servers(a) && fl_apply_plan_tools(a) && fl_apply_plan_channels(a) &&
           fl_apply_plan_canaries(a) && fl_apply_plan_policy(a);
}

static void decide(struct fl_api *a)
{
    const struct fl_apply *ap = a->user;
    if (!plan(a))
        return;
    if (a->tx.is_nomem)
        fl_api_error(a, FL_NOMEM, "out of memory");
    else if (ap->is_dry_run || !ap->first)
        answer(a); /* which gives the transaction up */
    else if (fl_apply_write(a))
        fl_change_round(a, on_written);
}

/* In front of the organization's lock, in the order in which all others take these. */
static void lock_tools(struct fl_api *a)
{
    const struct fl_apply *ap = a->user;
    if (ap->has_servers || ap->has_tools)
        fl_store_servers_lock(&a->tx);
}

static struct fl_query *theirs(struct fl_api *a, const struct fl_uuid *id)
{
    return fl_uuid_is_zero(id) ? NULL : fl_store_person_organizations(&a->tx, id);
}

static void read_all(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    struct fl_tx *tx = &a->tx;
    tx->timeout_ms = TIMEOUT_MS;
    ap->q_groups = fl_store_groups(tx);
    ap->q_agents = fl_store_agents(tx);
    ap->q_servers = fl_store_servers(tx);
    ap->q_policy = fl_store_policy_get(tx, 0);
    ap->q_channels = fl_store_channels(tx);
    ap->q_canaries = ap->has_canaries ? fl_store_canaries(tx, 0) : NULL;
    ap->q_tools = ap->has_tools ? fl_store_tools(tx, NULL) : NULL;
    ap->q_owners = fl_store_owners(tx, &a->organization_id);
    ap->q_admins = fl_store_administrators(tx, &a->organization_id);
    ap->q_mine = a->who == FL_WHO_PERSON ? theirs(a, &a->auth.id) : NULL;
    for (size_t i = 0; i < ap->person_count; i++)
        ap->people[i].q_theirs = theirs(a, &ap->people[i].id);
    for (size_t i = 0; ap->has_people && ap->prunes && i < a->org->person_count; i++)
        ap->q_leaving[i] = theirs(a, &a->org->people[i].id);
}

static void lock(struct fl_api *a)
{
    fl_change_start(a, read_all, decide);
    if (a->change)
        a->change->lock_first = lock_tools;
}

/* ---------------------------------------------------------------- before the lock */
/* Columns of fl_store_person_by_name: id, name, display name, PHC string, ... */
static void on_named(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    for (size_t i = 0; i < ap->person_count; i++) {
        const struct fl_query *q = ap->q_names[i];
        if (fl_rows(q) != 1)
            continue;
        ap->people[i].id = fl_cell_uuid(q, 0, 0);
        ap->people[i].has_secret = !fl_cell_is_null(q, 0, 3);
    }
    for (size_t i = 0; i < ap->admin_count; i++) {
        const struct fl_query *q = ap->q_names[ap->person_count + i];
        ap->admin_has_secret[i] = fl_rows(q) == 1 && !fl_cell_is_null(q, 0, 3);
    }
    lock(a);
}

/* Who of the document exists in the installation; and which administrators can sign in. */
static void start_names(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    size_t most = ap->person_count + a->org->person_count + 1;
    ap->q_names = fl_arena_array(a->arena, most, sizeof(struct fl_query *));
    ap->q_leaving = fl_arena_array(a->arena, most, sizeof(struct fl_query *));
    ap->admins = fl_arena_array(a->arena, most, sizeof *ap->admins);
    ap->admin_has_secret = fl_arena_array(a->arena, most, sizeof *ap->admin_has_secret);
    if (!ap->q_names || !ap->q_leaving || !ap->admins || !ap->admin_has_secret) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    for (size_t i = 0; i < ap->person_count; i++)
        ap->q_names[i] = fl_store_person_by_name(tx, ap->people[i].name);
    for (size_t i = 0; i < a->org->person_count; i++) {
        const struct fl_org_person *p = &a->org->people[i];
        if (!p->is_active || (p->role != FL_ROLE_OWNER && p->role != FL_ROLE_ADMIN))
            continue;
        ap->q_names[ap->person_count + ap->admin_count] = fl_store_person_by_name(tx, p->name);
        ap->admins[ap->admin_count++] = p->name;
    }
    fl_api_submit(a, false, on_named);
}

static bool may(struct fl_api *a, const struct fl_apply *ap)
{
    return (!(ap->has_people || ap->has_groups) || fl_change_may(a, FL_ACTION_MANAGE_PEOPLE)) &&
           (!ap->has_agents || fl_change_may(a, FL_ACTION_MANAGE_AGENTS)) &&
           (!(ap->has_servers || ap->has_tools) || fl_change_may(a, FL_ACTION_MANAGE_TOOLS)) &&
           (!ap->has_channels || fl_change_may(a, FL_ACTION_MANAGE_CHANNELS)) &&
           (!(ap->has_policy || ap->has_canaries) || fl_change_may(a, FL_ACTION_MANAGE_POLICY));
}

static void start(struct fl_api *a)
{
    const struct fl_apply *ap;
    if (!fl_apply_read(a))
        return;
    ap = a->user;
    if (!may(a, ap))
        return;
    if (ap->person_count || a->org->person_count)
        start_names(a);
    else
        lock(a);
}

const struct fl_api_route fl_api_apply[] = {
    { FL_HTTP_POST, "/orgs/{org}/apply", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE, start,
      "people groups agents servers tools channels canaries policy dry_run prune" },
    { .pattern = NULL }
};
