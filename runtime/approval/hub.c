/* Waiters by approval, in a hash of lists; notifications of a turn gathered into one. */
#include "runtime/approval/hub.h"

#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/org.h"
#include "runtime/approval/run.h"
#include "runtime/store/approval.h"

#define BUCKETS  4096
#define NOTE_MAX 7000 /* bytes; PostgreSQL's limit is 8000 */
#define SOON_MS  1    /* others hear so much later of what goes on here */

struct fl_hub {
    struct fl_core *core;
    struct fl_list buckets[BUCKETS];
    size_t count, next_bucket;
    /* the notification that gathers, and the one under way */
    struct fl_buf gathering;
    struct fl_post turn;
    struct fl_timer soon; /* then it is sent */
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;
    bool is_sending;
    void (*on_session_ended)(void *ctx, const struct fl_uuid *hash_prefix);
    void *on_session_ended_ctx;
    void (*on_changed)(void *ctx, bool was_approved);
    void *on_changed_ctx;
};

static size_t bucket_of(const struct fl_uuid *id)
{
    /* The tail of a version 7 id is random. */
    return ((size_t)id->b[14] << 8 | id->b[15]) % BUCKETS;
}

static void send_notification(struct fl_post *post);
static void on_soon(struct fl_timer *timer);
static void on_notification(void *ctx, const char *payload);

static void on_sent(struct fl_op *op)
{
    struct fl_hub *hub = FL_CONTAINER(op, struct fl_hub, op);
    /* Only a hint: whoever misses it finds the change by looking, a second later. */
    fl_tx_fini(&hub->tx);
    fl_arena_free(&hub->arena);
    hub->is_sending = false;
    if (hub->gathering.n)
        fl_loop_at_turn_end(hub->core->loop, &hub->turn);
}

enum fl_code fl_hub_new(struct fl_core *core, struct fl_hub **ret, struct fl_err *err)
{
    struct fl_hub *hub = fl_calloc(1, sizeof *hub);
    if (!hub)
        return fl_err_code(err, FL_NOMEM);
    hub->core = core;
    for (int i = 0; i < BUCKETS; i++)
        fl_list_init(&hub->buckets[i]);
    hub->turn.run = send_notification;
    fl_timer_init(&hub->soon, on_soon);
    hub->op.done = on_sent;
    fl_buf_init(&hub->gathering, 0);
    fl_pg_listen(core->pg, on_notification, hub);
    *ret = hub;
    return FL_OK;
}

void fl_hub_free(struct fl_hub **hub_ptr)
{
    struct fl_hub *hub = *hub_ptr;
    if (!hub)
        return;
    FL_ASSERT(hub->count == 0 && !hub->is_sending);
    fl_loop_post_cancel(hub->core->loop, &hub->turn);
    fl_loop_timer_cancel(hub->core->loop, &hub->soon);
    fl_buf_fini(&hub->gathering);
    fl_free(hub);
    *hub_ptr = NULL;
}

/* ---- waiting ---- */
static void finish(struct fl_hub_wait *wait, enum fl_code code)
{
    struct fl_op *op = wait->op;
    fl_list_remove(&wait->link);
    wait->hub->count--;
    fl_op_finish(op, code);
}

static void on_cancel_post(struct fl_post *post)
{
    finish(FL_CONTAINER(post, struct fl_hub_wait, post), FL_CANCELLED);
}

static void on_wake_post(struct fl_post *post)
{
    finish(FL_CONTAINER(post, struct fl_hub_wait, post), FL_OK);
}

static void cancel(struct fl_op *op)
{
    struct fl_hub_wait *wait = op->provider;
    wait->post.run = on_cancel_post;
    fl_loop_post(wait->hub->core->loop, &wait->post);
}

enum fl_code fl_hub_wait_start(struct fl_op *op, struct fl_hub_wait *wait, struct fl_hub *hub,
                               const struct fl_uuid *organization, const struct fl_uuid *approval)
{
    wait->organization = *organization;
    wait->approval = *approval;
    wait->hub = hub;
    wait->op = op;
    wait->post = (struct fl_post){ 0 };
    wait->is_approved = false;
    fl_op_start(op, cancel, wait);
    fl_list_push_back(&hub->buckets[bucket_of(approval)], &wait->link);
    hub->count++;
    return FL_OK;
}

/* Through a post, so that nobody's flow runs inside somebody else's commit. approved_us 0: for
 * whatever reason, so it must look. */
static void wake(struct fl_hub_wait *wait, int64_t approved_us)
{
    wait->is_approved = approved_us && (wait->is_approved || !wait->post.run);
    if (approved_us > wait->seen_us)
        wait->seen_us = approved_us;
    if (wait->post.run)
        return; /* woken or cancelled already */
    wait->post.run = on_wake_post;
    fl_loop_post(wait->hub->core->loop, &wait->post);
}

/* False: nobody waits for it here. */
static bool wake_here(struct fl_hub *hub, const struct fl_uuid *approval, int64_t approved_us)
{
    bool has_waiter = false;
    FL_LIST_FOREACH (link, &hub->buckets[bucket_of(approval)]) {
        struct fl_hub_wait *wait = FL_CONTAINER(link, struct fl_hub_wait, link);
        if (fl_uuid_cmp(&wait->approval, approval) != 0)
            continue;
        has_waiter = true;
        wake(wait, approved_us);
    }
    return has_waiter;
}

void fl_hub_seen(struct fl_hub *hub, const struct fl_uuid *approval, int64_t changed_us)
{
    FL_LIST_FOREACH (link, &hub->buckets[bucket_of(approval)]) {
        struct fl_hub_wait *wait = FL_CONTAINER(link, struct fl_hub_wait, link);
        if (fl_uuid_cmp(&wait->approval, approval) != 0 || changed_us <= wait->seen_us)
            continue;
        wait->seen_us = changed_us;
        wake(wait, 0);
    }
}

void fl_hub_waiting(struct fl_hub *hub, struct fl_array *organizations, struct fl_array *approvals,
                    size_t most)
{
    for (int i = 0; i < BUCKETS && approvals->count < most; i++) {
        FL_LIST_FOREACH (link, &hub->buckets[hub->next_bucket]) {
            struct fl_hub_wait *wait = FL_CONTAINER(link, struct fl_hub_wait, link);
            fl_array_put(organizations, wait->organization.b, sizeof wait->organization.b);
            fl_array_put(approvals, wait->approval.b, sizeof wait->approval.b);
        }
        hub->next_bucket = (hub->next_bucket + 1) % BUCKETS;
    }
}

void fl_hub_wake_all(struct fl_hub *hub)
{
    for (int i = 0; i < BUCKETS; i++) {
        FL_LIST_FOREACH (link, &hub->buckets[i]) {
            wake(FL_CONTAINER(link, struct fl_hub_wait, link), 0);
        }
    }
}

size_t fl_hub_count(const struct fl_hub *hub)
{
    return hub->count;
}

/* ---- telling other processes ---- words with a space between: "w<id>" who says it, then "a<id>"
 * for each approval and "o<id>" for each organization that changed, "r<id>.<when>" for an approval
 * that may be claimed, "c<id>" for a late cancellation, "s<hash>" for a session that ended */
static void gather_words(struct fl_hub *hub, char what, const struct fl_uuid *id, int64_t when_us)
{
    char text[FL_UUID_TEXT];
    if (hub->gathering.n > NOTE_MAX)
        return; /* the sweep finds it */
    if (hub->gathering.n == 0)
        fl_buf_printf(&hub->gathering, "w%s", fl_uuid_format(&hub->core->worker, text));
    fl_buf_printf(&hub->gathering, " %c%s", what, fl_uuid_format(id, text));
    if (when_us)
        fl_buf_printf(&hub->gathering, ".%lld", (long long)when_us);
    if (hub->gathering.is_failed)
        fl_buf_reset(&hub->gathering);
}

static void send_at_turn_end(struct fl_hub *hub)
{
    if (!hub->is_sending && hub->gathering.n)
        fl_loop_at_turn_end(hub->core->loop, &hub->turn);
}

static void gather(struct fl_hub *hub, char what, const struct fl_uuid *id)
{
    gather_words(hub, what, id, 0);
    send_at_turn_end(hub);
}

static void on_soon(struct fl_timer *timer)
{
    send_at_turn_end(FL_CONTAINER(timer, struct fl_hub, soon));
}

static void send_notification(struct fl_post *post)
{
    struct fl_hub *hub = FL_CONTAINER(post, struct fl_hub, turn);
    if (hub->is_sending || hub->gathering.n == 0)
        return;
    hub->arena = fl_arena_new(hub->gathering.n + 1024);
    if (hub->arena) {
        fl_tx_init(&hub->tx, hub->core->pg, hub->arena, NULL);
        fl_store_notify(&hub->tx, hub->gathering.p);
        hub->is_sending = fl_tx_submit(&hub->op, &hub->tx) == FL_OK;
        if (!hub->is_sending) {
            fl_tx_fini(&hub->tx);
            fl_arena_free(&hub->arena);
        }
    }
    fl_buf_reset(&hub->gathering);
}

void fl_hub_changed(struct fl_hub *hub, const struct fl_uuid *organization,
                    const struct fl_uuid *approval)
{
    FL_UNUSED(organization);
    wake_here(hub, approval, 0);
    gather(hub, 'a', approval);
    if (hub->on_changed)
        hub->on_changed(hub->on_changed_ctx, false);
}

void fl_hub_approved(struct fl_hub *hub, const struct fl_uuid *organization,
                     const struct fl_uuid *approval, int64_t changed_us)
{
    FL_UNUSED(organization);
    bool goes_on_here = wake_here(hub, approval, changed_us);
    gather_words(hub, 'r', approval, changed_us);
    if (!goes_on_here)
        send_at_turn_end(hub);
    else if (!fl_timer_is_armed(&hub->soon)) /* behind the claim, which is about to be made */
        fl_loop_timer(hub->core->loop, &hub->soon, SOON_MS);
    if (hub->on_changed)
        hub->on_changed(hub->on_changed_ctx, true);
}

void fl_hub_cancelled_late(struct fl_hub *hub, const struct fl_uuid *approval)
{
    fl_run_tell_cancelled(hub->core, approval);
    gather(hub, 'c', approval);
}

void fl_hub_session_ended(struct fl_hub *hub, const struct fl_uuid *hash_prefix)
{
    gather(hub, 's', hash_prefix);
}

void fl_hub_on_session_ended(struct fl_hub *hub,
                             void (*call)(void *ctx, const struct fl_uuid *hash_prefix), void *ctx)
{
    hub->on_session_ended = call;
    hub->on_session_ended_ctx = ctx;
}

void fl_hub_on_changed(struct fl_hub *hub, void (*call)(void *ctx, bool was_approved), void *ctx)
{
    hub->on_changed = call;
    hub->on_changed_ctx = ctx;
}

void fl_hub_organization_changed(struct fl_hub *hub, const struct fl_uuid *organization)
{
    fl_orgs_changed(hub->core->orgs, organization, 0);
    gather(hub, 'o', organization);
}

/* "r<id>.<when>" into its parts; of another version it may be anything. */
static bool read_word(struct fl_str word, struct fl_uuid *ret_id, int64_t *ret_when_us)
{
    long long when = 0;
    if (word.n < FL_UUID_TEXT ||
        !fl_uuid_parse((struct fl_str){ word.p + 1, FL_UUID_TEXT - 1 }, ret_id))
        return false;
    if (word.n > FL_UUID_TEXT &&
        (word.p[FL_UUID_TEXT] != '.' ||
         !fl_str_to_i64((struct fl_str){ word.p + FL_UUID_TEXT + 1, word.n - FL_UUID_TEXT - 1 },
                        &when) ||
         when < 0 || when > INT64_MAX / 2))
        return false;
    *ret_when_us = when;
    return true;
}

/* False: it is our own, and known. */
static bool heard(struct fl_hub *hub, char what, const struct fl_uuid *id, int64_t when_us)
{
    switch (what) {
    case 'w': return fl_uuid_cmp(id, &hub->core->worker) != 0;
    case 'a':
    case 'r':
        wake_here(hub, id, when_us);
        if (hub->on_changed)
            hub->on_changed(hub->on_changed_ctx, when_us != 0);
        break;
    case 'c': fl_run_tell_cancelled(hub->core, id); break;
    case 's':
        if (hub->on_session_ended)
            hub->on_session_ended(hub->on_session_ended_ctx, id);
        break;
    case 'o': fl_orgs_changed(hub->core->orgs, id, 0); break;
    default: break; /* a newer version's */
    }
    return true;
}

static void on_notification(void *ctx, const char *payload)
{
    struct fl_hub *hub = ctx;
    if (!payload) {
        fl_hub_wake_all(hub);
        return;
    }
    for (struct fl_str rest = fl_str_of(payload); rest.n;) {
        size_t n = 0;
        int64_t when_us;
        struct fl_uuid id;
        while (n < rest.n && rest.p[n] != ' ')
            n++;
        if (read_word((struct fl_str){ rest.p, n }, &id, &when_us) &&
            !heard(hub, rest.p[0], &id, when_us))
            return;
        n += n < rest.n;
        rest.p += n;
        rest.n -= n;
    }
}
