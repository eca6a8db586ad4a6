/* Webhooks: /hooks/KIND/ORGANIZATION/NAME. Whatever is wrong (no such channel, another kind, no
 * secret, a forged one) is the same 401, before anything of the body is read. */
#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/http_site.h"
#include "runtime/notify/notify_priv.h"
#include "runtime/store/channel.h"

#define BODY_MS   5000 /* Slack waits 3 s for the answer; both send at once */
#define FORGED_MS 1000
#define ONCE_MS   INT64_C(600000) /* twice the age at which a signed request is refused */

struct hook {
    struct fl_flow flow;
    struct fl_list link;
    struct fl_notify *notify;
    struct fl_http_exchange *ex; /* NULL: the peer is gone */
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_str kind, organization, name, body, once;
    struct fl_hook_answer answer;
    struct fl_channel channel;
    bool is_open, is_genuine;
    struct fl_retired retired;
};

FL_STEP_DECLARE(found);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(handled);
FL_STEP_DECLARE(counted);
FL_STEP_DECLARE(handle);

static struct hook *hook_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct hook, flow);
}

static void respond(struct hook *h, enum fl_code code)
{
    static const struct fl_http_header headers[] = { { { "Content-Type", 12 },
                                                       { "application/json", 16 } } };
    struct fl_http_exchange *ex = h->ex;
    h->ex = NULL;
    if (!ex)
        return;
    ex->user = NULL;
    if (code == FL_BAD_JSON)
        fl_http_respond_error(ex, 400, "the body is no JSON object", NULL, 0);
    else if (code)
        fl_http_respond_error(ex, 503, "not now", NULL, 0);
    else if (!h->is_genuine)
        fl_http_respond_error(ex, 401, "not known here", NULL, 0);
    else
        fl_http_respond(ex, 200, headers, h->answer.text.n ? 1 : 0, h->answer.text);
}

FL_STEP(look)
{
    struct hook *h = hook_of(f);
    h->q = fl_store_channel_by_name(&h->tx, h->organization, h->name);
    return fl_await(f, &S_found, fl_tx_submit(&f->op, &h->tx));
}

/* Columns of fl_store_channel_by_name: organization_id, channel_id, kind, is_enabled. */
FL_STEP(found)
{
    struct hook *h = hook_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(h->q) != 1 || !fl_str_eq(fl_cell(h->q, 0, 2), h->kind) || !fl_cell_bool(h->q, 0, 3))
        return fl_end(f);
    h->channel = (struct fl_channel){ .core = h->notify->core,
                                      .http = h->notify->http,
                                      .organization = fl_cell_uuid(h->q, 0, 0),
                                      .id = fl_cell_uuid(h->q, 0, 1),
                                      .organization_name = h->organization,
                                      .public_url = fl_str_of(h->notify->public_url) };
    fl_tx_fini(&h->tx);
    fl_tx_init(&h->tx, h->notify->core->pg, h->arena, &h->channel.organization);
    h->tx.is_read_only = true;
    h->q = fl_store_channel_get(&h->tx, &h->channel.id);
    return fl_await(f, &S_opened, fl_tx_submit(&f->op, &h->tx));
}

/* Anybody who knows a channel's name can send them: a line a second, which counts the others. */
static void note_forged(const struct hook *h)
{
    struct fl_notify *n = h->notify;
    int64_t now_ms = fl_mono_ms();
    n->forged++;
    if (n->forged_ms && now_ms - n->forged_ms < FORGED_MS)
        return;
    FL_LOG(WARN, "webhook_forged", FL_KU("org", &h->channel.organization),
           FL_KV("channel", h->channel.name), FL_KS("from", h->ex->peer->address),
           FL_KI("count", n->forged));
    n->forged_ms = now_ms;
    n->forged = 0;
}

FL_STEP(opened)
{
    struct hook *h = hook_of(f);
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    h->is_open = fl_channel_read(&h->channel, h->q, &err) == FL_OK;
    if (!h->is_open || !h->ex || !h->channel.kind->hook_start)
        return fl_end(f);
    h->is_genuine = h->channel.kind->is_genuine(&h->channel, h->ex, h->body);
    if (!h->is_genuine) {
        note_forged(h);
        return fl_end(f);
    }
    fl_http_known(h->ex);
    if (!h->channel.kind->hook_first)
        return &S_handle;
    if (!h->channel.kind->hook_first(&h->channel, h->ex, h->body, h->arena, &h->once,
                                     &h->answer.text))
        return fl_fail_with(f, FL_BAD_JSON, "the body cannot be read");
    fl_tx_fini(&h->tx);
    fl_tx_init(&h->tx, h->notify->core->pg, h->arena, NULL);
    h->tx.is_alone = true; /* may wait for the same name */
    h->q = fl_store_once(&h->tx, h->once, ONCE_MS);
    return fl_await(f, &S_counted, fl_tx_submit(&f->op, &h->tx));
}

/* A request that was here before is answered as it was, and not done. */
FL_STEP(counted)
{
    struct hook *h = hook_of(f);
    if (f->op.code)
        return fl_fail(f);
    bool is_first = fl_rows(h->q) == 1;
    if (!is_first || h->answer.text.p)
        respond(h, FL_OK);
    if (is_first)
        return &S_handle;
    FL_LOG(WARN, "webhook_again", FL_KU("org", &h->channel.organization),
           FL_KV("channel", h->channel.name));
    return fl_end(f);
}

static void give(struct fl_hook_answer *answer)
{
    respond(FL_CONTAINER(answer, struct hook, answer), FL_OK);
}

FL_STEP(handle)
{
    struct hook *h = hook_of(f);
    return fl_await(
        f, &S_handled,
        h->channel.kind->hook_start(&f->op, &h->channel, h->body, h->arena, &h->answer));
}

FL_STEP(handled)
{
    return f->op.code ? fl_fail(f) : fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void release(void *owner)
{
    struct hook *h = owner;
    fl_arena_free(&h->arena);
    fl_free(h);
}

static void on_ended(struct fl_flow *f)
{
    struct hook *h = hook_of(f);
    respond(h, f->first.code);
    fl_tx_fini(&h->tx);
    if (h->is_open)
        fl_channel_fini(&h->channel);
    fl_list_remove(&h->link);
    fl_loop_retire(h->notify->core->loop, &h->retired, release, h);
}

/* "/hooks/telegram/acme/ops" into its three parts. */
static bool read_path(struct hook *h, struct fl_str path)
{
    struct fl_str *parts[] = { &h->kind, &h->organization, &h->name };
    size_t at = strlen("/hooks");
    for (size_t i = 0; i < FL_COUNTOF(parts); i++) {
        size_t end = at + 1;
        if (at >= path.n || path.p[at] != '/')
            return false;
        while (end < path.n && path.p[end] != '/')
            end++;
        *parts[i] = fl_arena_str(h->arena, (struct fl_str){ path.p + at + 1, end - at - 1 });
        if (!parts[i]->n || parts[i]->n > 63)
            return false;
        at = end;
    }
    return at == path.n;
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct fl_notify *n = fl_site_user(ex);
    struct hook *h = fl_calloc(1, sizeof *h);
    if (h && !(h->arena = fl_arena_new(body.n + 4096))) {
        fl_free(h);
        h = NULL;
    }
    if (!h || n->is_stopping) {
        if (h)
            release(h);
        fl_http_respond_error(ex, 503, "not now", NULL, 0);
        return;
    }
    h->notify = n;
    h->body = fl_arena_str(h->arena, body);
    if (ex->method != FL_HTTP_POST || !read_path(h, ex->path) || !h->body.p) {
        release(h);
        fl_http_respond_error(ex, 401, "not known here", NULL, 0);
        return;
    }
    h->answer.give = give;
    h->ex = ex;
    ex->user = h;
    fl_list_push_back(&n->hooks, &h->link);
    fl_tx_init(&h->tx, n->core->pg, h->arena, NULL);
    h->tx.is_read_only = true;
    fl_flow_init(&h->flow, &S_failed, on_ended);
    fl_flow_run(&h->flow, &S_look);
}

static void on_gone(struct fl_http_exchange *ex)
{
    struct hook *h = ex->user;
    if (h)
        h->ex = NULL;
    ex->user = NULL;
}

const struct fl_http_callbacks fl_notify_hooks = { .body_max = 1 << 20,
                                                   .body_ms = BODY_MS,
                                                   .is_for_anybody = true,
                                                   .on_request = on_request,
                                                   .on_gone = on_gone };
