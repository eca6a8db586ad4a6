/* The round of channels: find those that nobody else looks after, take their leases, open them; end
 * those that were changed, removed or lost. */
#include "runtime/notify/notify.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/hub.h"
#include "runtime/notify/notify_priv.h"
#include "runtime/store/channel.h"
#include "runtime/store/organization.h"
#include "runtime/store/outbox.h"

#define ROUND_MS     1000
#define LEASE_MS     15000
#define KEPT_MS      14000 /* of it, for whoever has it; then it is given up */
#define RENEW_MS     4000
#define LISTEN_AGAIN 1000
#define OWNERS_MAX   512

FL_STEP_DECLARE(told);
FL_STEP_DECLARE(leased);
FL_STEP_DECLARE(open_next);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(rest);
FL_STEP_DECLARE(ask);

static struct fl_notify *notify_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_notify, flow);
}

static void begin(struct fl_notify *n, const struct fl_uuid *organization)
{
    fl_tx_fini(&n->tx);
    fl_tx_init(&n->tx, n->core->pg, n->arena, organization);
}

/* ---------------------------------------------------------------- one channel */
static void listen_now(struct fl_notify_listener *l)
{
    if (!l->start || l->owner->is_ending || l->op.is_pending)
        return;
    if (l->start(&l->op, &l->owner->channel) != FL_OK)
        fl_loop_timer(l->owner->notify->core->loop, &l->again, LISTEN_AGAIN);
}

static void on_listened(struct fl_op *op)
{
    struct fl_notify_listener *l = FL_CONTAINER(op, struct fl_notify_listener, op);
    if (!l->owner->is_ending)
        fl_loop_timer(l->owner->notify->core->loop, &l->again, LISTEN_AGAIN);
}

static void listen_again(struct fl_timer *timer)
{
    listen_now(FL_CONTAINER(timer, struct fl_notify_listener, again));
}

struct fl_notify_owner *fl_notify_owner_find(struct fl_notify *n, const struct fl_uuid *id)
{
    FL_LIST_FOREACH (link, &n->owners) {
        struct fl_notify_owner *o = FL_CONTAINER(link, struct fl_notify_owner, link);
        if (fl_uuid_cmp(&o->id, id) == 0)
            return o;
    }
    return NULL;
}

static void end_owner(struct fl_notify_owner *o)
{
    o->is_ending = true;
    o->channel.has_stopped = true;
    fl_loop_timer_cancel(o->notify->core->loop, &o->late);
    for (size_t i = 0; i < FL_COUNTOF(o->listeners); i++)
        fl_loop_timer_cancel(o->notify->core->loop, &o->listeners[i].again);
    if (o->sender.is_running)
        fl_sender_stop(&o->sender);
    if (o->alerts.is_running)
        fl_alerts_stop(&o->alerts);
    for (size_t i = 0; i < FL_COUNTOF(o->listeners); i++)
        fl_op_cancel(&o->listeners[i].op);
}

static bool is_ended(const struct fl_notify_owner *o)
{
    return o->is_ending && !o->sender.is_running && !o->alerts.is_running &&
           !o->listeners[0].op.is_pending && !o->listeners[1].op.is_pending;
}

static void drop_ended(struct fl_notify *n)
{
    FL_LIST_FOREACH_SAFE (link, &n->owners) {
        struct fl_notify_owner *o = FL_CONTAINER(link, struct fl_notify_owner, link);
        if (!is_ended(o))
            continue;
        if (o->is_open)
            fl_channel_fini(&o->channel);
        fl_list_remove(&o->link);
        fl_free(o);
    }
}

/* Another worker looks after it as soon as the lease has lapsed, whether this one reaches the
 * database or not. */
static void on_late(struct fl_timer *timer)
{
    struct fl_notify_owner *o = FL_CONTAINER(timer, struct fl_notify_owner, late);
    if (!o->is_ending)
        end_owner(o);
}

/* What was late while the machine was suspended: timers stood still. */
static void end_late(struct fl_notify *n)
{
    FL_LIST_FOREACH (link, &n->owners) {
        struct fl_notify_owner *o = FL_CONTAINER(link, struct fl_notify_owner, link);
        if (o->is_open && !o->is_ending && fl_boot_ms() - o->renewed_ms > KEPT_MS)
            end_owner(o);
    }
}

/* ---------------------------------------------------------------- the round */
FL_STEP(ask)
{
    struct fl_notify *n = notify_of(f);
    end_late(n);
    drop_ended(n);
    if (n->is_stopping)
        return fl_end(f);
    fl_tx_fini(&n->tx);
    fl_arena_free(&n->arena);
    n->arena = fl_arena_new(4096);
    if (!n->arena)
        return &S_rest;
    begin(n, NULL);
    n->tx.is_read_only = true;
    n->q = fl_store_sweep_channels(&n->tx, &n->core->worker);
    n->q_unreached = n->round++ % 5 == 0 ? fl_store_sweep_unreached(&n->tx) : NULL;
    return fl_await(f, &S_told, fl_tx_submit(&f->op, &n->tx));
}

static struct fl_notify_owner *add(struct fl_notify *n, const struct fl_uuid *organization,
                                   const struct fl_uuid *id, int64_t revision)
{
    struct fl_notify_owner *o = fl_calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->notify = n;
    o->organization = *organization;
    o->id = *id;
    o->revision = revision;
    for (size_t i = 0; i < FL_COUNTOF(o->listeners); i++) {
        o->listeners[i].owner = o;
        o->listeners[i].op.done = on_listened;
        fl_timer_init(&o->listeners[i].again, listen_again);
    }
    fl_timer_init(&o->late, on_late);
    fl_list_push_back(&n->owners, &o->link);
    return o;
}

/* Columns of fl_store_sweep_channels: organization_id, channel_id, revision. */
static void compare(struct fl_notify *n)
{
    FL_LIST_FOREACH (link, &n->owners) {
        FL_CONTAINER(link, struct fl_notify_owner, link)->is_wanted = false;
    }
    for (int i = 0; i < fl_rows(n->q) && i < OWNERS_MAX; i++) {
        struct fl_uuid organization = fl_cell_uuid(n->q, i, 0), id = fl_cell_uuid(n->q, i, 1);
        int64_t revision = fl_cell_int(n->q, i, 2);
        struct fl_notify_owner *o = fl_notify_owner_find(n, &id);
        if (!o && !n->core->is_draining)
            o = add(n, &organization, &id, revision);
        if (o)
            o->is_wanted = o->revision == revision; /* else it is opened anew once it has ended */
    }
    FL_LIST_FOREACH (link, &n->owners) {
        struct fl_notify_owner *o = FL_CONTAINER(link, struct fl_notify_owner, link);
        if (!o->is_ending && !o->is_wanted)
            end_owner(o);
    }
}

FL_STEP(told)
{
    struct fl_notify *n = notify_of(f);
    if (f->op.code)
        return &S_rest;
    if (n->q_unreached)
        n->figures.unreached = fl_cell_int(n->q_unreached, 0, 0);
    compare(n);
    size_t count = 0;
    FL_LIST_FOREACH (link, &n->owners) {
        count++;
    }
    n->leased = fl_arena_array(n->arena, count + 1, sizeof *n->leased);
    n->q_leases = fl_arena_array(n->arena, count + 1, sizeof *n->q_leases);
    n->lease_count = n->opening = 0;
    if (!n->leased || !n->q_leases)
        return &S_rest;
    begin(n, NULL);
    n->tx.is_alone = true;
    FL_LIST_FOREACH (link, &n->owners) {
        struct fl_notify_owner *o = FL_CONTAINER(link, struct fl_notify_owner, link);
        char text[FL_UUID_TEXT];
        if (o->is_ending || (o->is_open && fl_boot_ms() - o->renewed_ms < RENEW_MS))
            continue;
        char *name = fl_arena_printf(n->arena, FL_CHANNEL_LEASE "%s", fl_uuid_format(&o->id, text));
        n->leased[n->lease_count] = o;
        n->q_leases[n->lease_count++] =
            fl_store_lease(&n->tx, name ? name : "", &n->core->worker, LEASE_MS, false);
    }
    n->asked_ms = fl_boot_ms();
    return n->lease_count ? fl_await(f, &S_leased, fl_tx_submit(&f->op, &n->tx)) : &S_rest;
}

/* The lease began behind the question. */
static void keep(struct fl_notify_owner *o)
{
    int64_t left_ms = KEPT_MS - (fl_boot_ms() - o->notify->asked_ms);
    o->renewed_ms = o->notify->asked_ms;
    fl_loop_timer(o->notify->core->loop, &o->late, left_ms > 0 ? left_ms : 0);
}

FL_STEP(leased)
{
    struct fl_notify *n = notify_of(f);
    for (size_t i = 0; i < n->lease_count; i++) {
        struct fl_notify_owner *o = n->leased[i];
        if (o->is_ending)
            continue;
        if (f->op.code == FL_OK && fl_rows(n->q_leases[i]) == 1)
            keep(o);
        else if (f->op.code == FL_OK || !o->is_open)
            end_owner(o); /* somebody else was first */
    }
    return f->op.code ? &S_rest : &S_open_next;
}

/* ---------------------------------------------------------------- opening */
FL_STEP(open_next)
{
    struct fl_notify *n = notify_of(f);
    while (n->opening < n->lease_count &&
           (n->leased[n->opening]->is_open || n->leased[n->opening]->is_ending))
        n->opening++;
    if (n->opening == n->lease_count || n->is_stopping)
        return &S_rest;
    struct fl_notify_owner *o = n->leased[n->opening];
    begin(n, &o->organization);
    n->tx.is_read_only = true;
    n->q_channel = fl_store_channel_get(&n->tx, &o->id);
    n->q_org = fl_store_organization_get(&n->tx);
    return fl_await(f, &S_opened, fl_tx_submit(&f->op, &n->tx));
}

FL_STEP(opened)
{
    struct fl_notify *n = notify_of(f);
    struct fl_notify_owner *o = n->leased[n->opening++];
    struct fl_err err = f->op.err;
    enum fl_code code = f->op.code;
    if (o->is_ending)
        return &S_open_next;
    o->channel = (struct fl_channel){ .core = n->core,
                                      .http = n->http,
                                      .organization = o->organization,
                                      .id = o->id,
                                      .public_url = fl_str_of(n->public_url) };
    if (code == FL_OK && fl_rows(n->q_org) == 1)
        o->channel.organization_name = fl_cell(n->q_org, 0, 0);
    if (code == FL_OK)
        code = fl_channel_read(&o->channel, n->q_channel, &err);
    if (code) {
        if (code != FL_NOT_FOUND)
            FL_LOG(ERROR, "channel_cannot_be_used", FL_KU("org", &o->organization),
                   FL_KU("channel", &o->id), FL_KS("reason", err.text));
        end_owner(o);
        return &S_open_next;
    }
    o->is_open = true;
    o->revision = o->channel.revision;
    o->sender.channel = &o->channel;
    o->sender.retention_ms = n->retention_ms;
    o->sender.sent = &n->figures.sent;
    o->sender.failed = &n->figures.failed;
    fl_sender_start(&o->sender);
    o->alerts.channel = &o->channel;
    fl_alerts_start(&o->alerts);
    bool has_more = o->channel.kind->reads && o->channel.kind->reads(&o->channel);
    o->listeners[0].start = o->channel.kind->listen_start;
    o->listeners[1].start = has_more ? o->channel.kind->read_start : NULL;
    listen_now(&o->listeners[0]);
    listen_now(&o->listeners[1]);
    FL_LOG(INFO, "channel_opened", FL_KU("org", &o->organization),
           FL_KV("channel", o->channel.name));
    return &S_open_next;
}

FL_STEP(rest)
{
    struct fl_notify *n = notify_of(f);
    if (n->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_ask, fl_sleep_start(&f->op, &n->sleep, n->core->loop, ROUND_MS));
}

static void on_ended(struct fl_flow *f)
{
    struct fl_notify *n = notify_of(f);
    fl_tx_fini(&n->tx);
    fl_arena_free(&n->arena);
    n->is_running = false;
}

/* ---------------------------------------------------------------- life */
/* Paths are put behind it. */
static size_t length_of_url(const char *url)
{
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    return n;
}

enum fl_code fl_notify_new(struct fl_core *core, const struct fl_notify_config *config,
                           struct fl_notify **ret, struct fl_err *err)
{
    struct fl_notify *n = fl_calloc(1, sizeof *n);
    struct fl_http_client_config http = { .may_be_local = config->may_be_local,
                                          .ca_file = config->ca_file };
    if (!n)
        return fl_err_code(err, FL_NOMEM);
    n->core = core;
    n->may_be_local = config->may_be_local;
    n->retention_ms = config->retention_ms;
    n->public_url = fl_strndup(config->public_url, length_of_url(config->public_url));
    fl_list_init(&n->owners);
    fl_list_init(&n->hooks);
    fl_list_init(&n->visits);
    enum fl_code code = n->public_url ? fl_http_client_new(core->loop, &http, &n->http, err)
                                      : fl_err_code(err, FL_NOMEM);
    if (code) {
        fl_free(n->public_url);
        fl_free(n);
        return code;
    }
    fl_notify_nudge_init(n);
    *ret = n;
    return FL_OK;
}

void fl_notify_start(struct fl_notify *n)
{
    n->is_running = true;
    fl_flow_init(&n->flow, &S_rest, on_ended);
    fl_flow_run(&n->flow, &S_ask);
}

void fl_notify_stop(struct fl_notify *n)
{
    n->is_stopping = true;
    FL_LIST_FOREACH (link, &n->owners) {
        end_owner(FL_CONTAINER(link, struct fl_notify_owner, link));
    }
    fl_op_cancel(&n->flow.op);
}

bool fl_notify_is_idle(const struct fl_notify *n)
{
    FL_LIST_FOREACH (link, &n->owners) {
        if (!is_ended(FL_CONTAINER(link, struct fl_notify_owner, link)))
            return false;
    }
    return !n->is_running && !n->nudge.op.is_pending && fl_list_is_empty(&n->hooks) &&
           fl_list_is_empty(&n->visits);
}

void fl_notify_free(struct fl_notify **notify)
{
    struct fl_notify *n = *notify;
    if (!n)
        return;
    drop_ended(n);
    FL_ASSERT(fl_list_is_empty(&n->owners) && !n->is_running);
    fl_notify_nudge_fini(n);
    fl_http_client_free(&n->http);
    fl_free(n->public_url);
    fl_free(n);
    *notify = NULL;
}

void fl_notify_retention(struct fl_notify *n, int64_t retention_ms)
{
    n->retention_ms = retention_ms;
    FL_LIST_FOREACH (link, &n->owners) {
        FL_CONTAINER(link, struct fl_notify_owner, link)->sender.retention_ms = retention_ms;
    }
}

void fl_notify_figures(const struct fl_notify *n, struct fl_notify_figures *ret)
{
    *ret = n->figures;
    ret->channels = 0;
    FL_LIST_FOREACH (link, &n->owners) {
        ret->channels += FL_CONTAINER(link, struct fl_notify_owner, link)->is_open;
    }
}

struct fl_http_client *fl_notify_http(struct fl_notify *n)
{
    return n->http;
}

const char *fl_notify_public_url(const struct fl_notify *n)
{
    return n->public_url;
}

bool fl_notify_may_be_local(const struct fl_notify *n)
{
    return n->may_be_local;
}
