/* A change was committed: who of the channels here has something to tell now? One question for all
 * of them, and only those are woken that have. Every sender looks each second in any case. */
#include "flopinio/base/mem.h"
#include "runtime/approval/hub.h"
#include "runtime/notify/notify_priv.h"
#include "runtime/store/outbox.h"

/* What was approved is mostly done soon: its card is written once, and the call that waits comes
 * first. */
#define APPROVED_MS 50

static void wake(struct fl_notify_owner *o)
{
    if (o->sender.is_running)
        fl_sender_nudge(&o->sender);
    if (o->alerts.is_running)
        fl_alerts_nudge(&o->alerts);
}

static void wake_all(struct fl_notify *n)
{
    FL_LIST_FOREACH (link, &n->owners) {
        wake(FL_CONTAINER(link, struct fl_notify_owner, link));
    }
}

static void on_told(struct fl_op *op)
{
    struct fl_notify_nudge *g = FL_CONTAINER(op, struct fl_notify_nudge, op);
    struct fl_notify *n = FL_CONTAINER(g, struct fl_notify, nudge);
    for (int i = 0; op->code == FL_OK && i < fl_rows(g->q); i++) {
        struct fl_uuid id = fl_cell_uuid(g->q, i, 0);
        struct fl_notify_owner *o = fl_notify_owner_find(n, &id);
        if (o)
            wake(o);
    }
    fl_tx_fini(&g->tx);
    fl_arena_free(&g->arena);
    if (g->is_again)
        fl_loop_post(n->core->loop, &g->post);
    g->is_again = false;
}

static void on_post(struct fl_post *post)
{
    struct fl_notify_nudge *g = FL_CONTAINER(post, struct fl_notify_nudge, post);
    struct fl_notify *n = FL_CONTAINER(g, struct fl_notify, nudge);
    struct fl_array organizations, channels;
    if (g->op.is_pending) {
        g->is_again = true; /* it may not have seen this change */
        return;
    }
    if (n->is_stopping || fl_list_is_empty(&n->owners))
        return;
    g->arena = n->owners.next == n->owners.prev ? NULL : fl_arena_new(1024);
    if (!g->arena) {
        wake_all(n); /* the only one, which asks for itself */
        return;
    }
    fl_array_init(&organizations, FL_ARRAY_UUID);
    fl_array_init(&channels, FL_ARRAY_UUID);
    FL_LIST_FOREACH (link, &n->owners) {
        struct fl_notify_owner *o = FL_CONTAINER(link, struct fl_notify_owner, link);
        fl_array_put(&organizations, o->organization.b, sizeof o->organization.b);
        fl_array_put(&channels, o->id.b, sizeof o->id.b);
    }
    fl_tx_init(&g->tx, n->core->pg, g->arena, NULL);
    g->tx.is_read_only = true;
    g->q = fl_store_sweep_to_tell(&g->tx, &organizations, &channels);
    if (fl_tx_submit(&g->op, &g->tx) != FL_OK) {
        fl_tx_fini(&g->tx);
        fl_arena_free(&g->arena);
    }
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_notify_nudge *g = FL_CONTAINER(timer, struct fl_notify_nudge, timer);
    fl_loop_post(FL_CONTAINER(g, struct fl_notify, nudge)->core->loop, &g->post);
}

/* Through a post: one for all changes of a turn, and nobody's flow runs inside another's commit. */
static void on_changed(void *ctx, bool was_approved)
{
    struct fl_notify *n = ctx;
    struct fl_notify_nudge *g = &n->nudge;
    if (fl_list_is_empty(&n->owners))
        return;
    if (!was_approved)
        fl_loop_post(n->core->loop, &g->post);
    else if (!fl_timer_is_armed(&g->timer))
        fl_loop_timer(n->core->loop, &g->timer, APPROVED_MS);
}

void fl_notify_nudge_init(struct fl_notify *n)
{
    n->nudge = (struct fl_notify_nudge){ .op = { .done = on_told }, .post = { .run = on_post } };
    fl_timer_init(&n->nudge.timer, on_timer);
    fl_hub_on_changed(n->core->hub, on_changed, n);
}

void fl_notify_nudge_fini(struct fl_notify *n)
{
    FL_ASSERT(!n->nudge.op.is_pending);
    fl_hub_on_changed(n->core->hub, NULL, NULL);
    fl_loop_timer_cancel(n->core->loop, &n->nudge.timer);
    fl_loop_post_cancel(n->core->loop, &n->nudge.post);
}
