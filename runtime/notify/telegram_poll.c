/* Taking a bot's updates: by long polling, or by its webhook. The listener asks the bot for its
 * name, sets or removes the webhook, and polls; the place up to which updates were handled is in
 * the channel's row, so that whoever looks after the channel next goes on there. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/notify/telegram_priv.h"
#include "runtime/store/channel.h"

#define POLL_S       25
#define POLL_MS      ((POLL_S + 10) * INT64_C(1000))
#define AGAIN_MS     2000
#define HOOK_LOOK_MS INT64_C(3600000)
#define ALLOWED      "\"allowed_updates\":[\"message\",\"callback_query\"]"
#define HEADER       "x-telegram-bot-api-secret-token"

struct poller {
    struct fl_flow flow;
    struct fl_channel *channel;
    struct fl_op *op;
    struct fl_bot_call call;
    struct fl_telegram_update update;
    struct fl_sleep sleep;
    struct fl_arena *arena;
    struct fl_tx tx;
    json_t *updates;
    size_t at;
    int64_t noted; /* the cursor, as it is in the row */
    int64_t nap_ms;
    bool is_stopping, is_silent;
    struct fl_post post;
    struct fl_retired retired;
};

FL_STEP_DECLARE(named);
FL_STEP_DECLARE(noted);
FL_STEP_DECLARE(hooked);
FL_STEP_DECLARE(ask);
FL_STEP_DECLARE(got);
FL_STEP_DECLARE(each);
FL_STEP_DECLARE(handled);
FL_STEP_DECLARE(moved_on);
FL_STEP_DECLARE(nap);
FL_STEP_DECLARE(introduce);

static struct poller *poller_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct poller, flow);
}

static bool has_hook(const struct fl_channel *ch)
{
    return fl_str_is(fl_channel_config(ch, "mode"), "webhook");
}

static fl_next call(struct poller *p, fl_next then, const char *method, struct fl_buf *body,
                    int64_t timeout_ms)
{
    fl_bot_call_fini(&p->call);
    return fl_await(&p->flow, then,
                    fl_bot_call_start(&p->flow.op, &p->call, p->channel, method, body, timeout_ms));
}

/* Said once, not each time. */
static fl_next wait(struct poller *p, int64_t ms)
{
    if (!p->is_silent && p->flow.op.code != FL_CANCELLED && !p->is_stopping)
        FL_LOG(WARN, "telegram_updates", FL_KU("org", &p->channel->organization),
               FL_KV("channel", p->channel->name), FL_KS("reason", p->flow.op.err.text));
    p->is_silent = true;
    p->nap_ms = ms;
    return &S_nap;
}

static fl_next wait_as_told(struct poller *p)
{
    int64_t ms = p->flow.op.code == FL_TOO_MANY          ? p->call.retry_ms
                 : p->flow.op.code == FL_UNAUTHENTICATED ? 60000
                                                         : AGAIN_MS;
    return wait(p, ms);
}

/* ---------------------------------------------------------------- who the bot is, and how */
FL_STEP(introduce)
{
    struct poller *p = poller_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (p->is_stopping)
        return fl_end(f);
    fl_buf_puts(&body, "{}");
    return call(p, &S_named, "getMe", &body, FL_TELEGRAM_TIMEOUT_MS);
}

FL_STEP(named)
{
    struct poller *p = poller_of(f);
    struct fl_buf facts = FL_BUF_INIT;
    if (f->op.code)
        return wait_as_told(p);
    fl_buf_puts(&facts, "{\"bot\":");
    struct fl_str name = fl_json_get_str(p->call.result, "username");
    fl_buf_json_str(&facts, name.p ? name : FL_STR(""));
    fl_buf_putc(&facts, '}');
    fl_tx_fini(&p->tx);
    fl_arena_free(&p->arena);
    p->arena = fl_arena_new(0);
    if (p->arena && !facts.is_failed) {
        fl_tx_init(&p->tx, p->channel->core->pg, p->arena, &p->channel->organization);
        fl_store_channel_facts(&p->tx, &p->channel->id, fl_buf_view(&facts));
    }
    fl_buf_fini(&facts);
    return p->arena ? fl_await(f, &S_noted, fl_tx_submit(&f->op, &p->tx)) : wait(p, AGAIN_MS);
}

FL_STEP(noted)
{
    struct poller *p = poller_of(f);
    struct fl_buf body = FL_BUF_INIT;
    const struct fl_channel *ch = p->channel;
    if (f->op.code)
        return wait(p, AGAIN_MS);
    if (!has_hook(ch)) {
        fl_buf_puts(&body, "{}");
        return call(p, &S_hooked, "deleteWebhook", &body, FL_TELEGRAM_TIMEOUT_MS);
    }
    if (!ch->public_url.n) {
        snprintf(f->op.err.text, sizeof f->op.err.text, "a webhook needs the setting public_url");
        return wait(p, HOOK_LOOK_MS);
    }
    fl_buf_printf(&body, "{\"url\":\"%.*s/hooks/telegram/%.*s/%.*s\",\"secret_token\":",
                  FL_STR_ARG(ch->public_url), FL_STR_ARG(ch->organization_name),
                  FL_STR_ARG(ch->name));
    fl_buf_json_str(&body, fl_channel_secret(ch, "webhook_secret"));
    fl_buf_puts(&body, "," ALLOWED "}");
    return call(p, &S_hooked, "setWebhook", &body, FL_TELEGRAM_TIMEOUT_MS);
}

FL_STEP(hooked)
{
    struct poller *p = poller_of(f);
    if (f->op.code)
        return wait_as_told(p);
    if (!has_hook(p->channel))
        return &S_ask;
    p->is_silent = true;
    p->nap_ms = HOOK_LOOK_MS;
    return &S_nap;
}

/* ---------------------------------------------------------------- polling */
FL_STEP(ask)
{
    struct poller *p = poller_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (p->is_stopping)
        return fl_end(f);
    fl_buf_printf(&body, "{\"offset\":%lld,\"limit\":50,\"timeout\":%d," ALLOWED "}",
                  (long long)p->channel->cursor, POLL_S);
    return call(p, &S_got, "getUpdates", &body, POLL_MS);
}

FL_STEP(got)
{
    struct poller *p = poller_of(f);
    if (p->is_stopping)
        return fl_end(f);
    if (f->op.code == FL_TIMEOUT)
        return &S_ask;
    if (f->op.code)
        return wait_as_told(p);
    p->is_silent = false;
    json_decref(p->updates);
    p->updates = json_incref(p->call.result);
    p->at = 0;
    return &S_each;
}

FL_STEP(each)
{
    struct poller *p = poller_of(f);
    const json_t *update = json_array_get(p->updates, p->at);
    if (p->is_stopping)
        return fl_end(f);
    if (!update)
        return &S_ask;
    p->update = (struct fl_telegram_update){ .channel = p->channel, .update = update };
    return fl_await(f, &S_handled, fl_telegram_update_start(&f->op, &p->update));
}

/* Told to Telegram with the next poll only after it is in the row: what was handled and not noted
 * is handled again, which decides nothing twice. Ids go down, too: after a quiet week Telegram
 * takes one at random. Whoever asks behind its last one is given all from the first on, for ever.
 */
FL_STEP(handled)
{
    struct poller *p = poller_of(f);
    const json_t *id = json_object_get(json_array_get(p->updates, p->at), "update_id");
    if (f->op.code == FL_UNAVAILABLE || f->op.code == FL_NOMEM)
        return wait(p, AGAIN_MS / 4);
    if (json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < INT64_MAX)
        p->channel->cursor = json_integer_value(id) + 1;
    fl_tx_fini(&p->tx);
    fl_arena_free(&p->arena);
    p->arena = fl_arena_new(0);
    if (!p->arena)
        return wait(p, AGAIN_MS);
    fl_tx_init(&p->tx, p->channel->core->pg, p->arena, &p->channel->organization);
    fl_store_channel_next_update(&p->tx, &p->channel->id, p->channel->revision, p->noted,
                                 p->channel->cursor);
    p->at++;
    return fl_await(f, &S_moved_on, fl_tx_submit(&f->op, &p->tx));
}

FL_STEP(moved_on)
{
    struct poller *p = poller_of(f);
    if (f->op.code == FL_OK)
        p->noted = p->channel->cursor;
    return &S_each;
}

FL_STEP(rested)
{
    struct poller *p = poller_of(f);
    if (p->is_stopping)
        return fl_end(f);
    if (json_array_get(p->updates, p->at))
        return &S_each;
    return &S_introduce;
}

FL_STEP(nap)
{
    struct poller *p = poller_of(f);
    if (p->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_rested,
                    fl_sleep_start(&f->op, &p->sleep, p->channel->core->loop, p->nap_ms));
}

FL_STEP(failed)
{
    struct poller *p = poller_of(f);
    p->nap_ms = AGAIN_MS;
    return &S_nap;
}

static void release(void *owner)
{
    fl_free(owner);
}

static void on_ended(struct fl_flow *f)
{
    struct poller *p = poller_of(f);
    struct fl_op *op = p->op;
    fl_bot_call_fini(&p->call);
    json_decref(p->updates);
    fl_tx_fini(&p->tx);
    fl_arena_free(&p->arena);
    fl_loop_retire(p->channel->core->loop, &p->retired, release, p);
    fl_op_finish(op, FL_CANCELLED);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct poller, post)->flow, &S_introduce);
}

static void cancel(struct fl_op *op)
{
    struct poller *p = op->provider;
    p->is_stopping = true;
    fl_op_cancel(&p->flow.op);
}

enum fl_code fl_telegram_listen_start(struct fl_op *op, struct fl_channel *channel)
{
    struct poller *p = fl_calloc(1, sizeof *p);
    if (!p)
        return fl_err_code(&op->err, FL_NOMEM);
    p->channel = channel;
    p->noted = channel->cursor;
    p->op = op;
    fl_flow_init(&p->flow, &S_failed, on_ended);
    fl_op_start(op, cancel, p);
    p->post = (struct fl_post){ .run = on_start };
    fl_loop_post(channel->core->loop, &p->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- the webhook */
struct hooked {
    struct fl_op op;
    struct fl_op *user;
    struct fl_telegram_update update;
    json_t *tree;
};

/* Digests are compared, so that the time tells nothing of the secret or its length. */
bool fl_telegram_is_genuine(const struct fl_channel *ch, const struct fl_http_exchange *ex,
                            struct fl_str body)
{
    struct fl_str secret = fl_channel_secret(ch, "webhook_secret");
    struct fl_str given = fl_http_header_get(ex, HEADER);
    uint8_t a[FL_SHA256_BYTES], b[FL_SHA256_BYTES];
    FL_UNUSED(body);
    if (!has_hook(ch) || secret.n < 16 || !given.n || fl_http_header_count(ex, HEADER) != 1)
        return false;
    fl_sha256(secret, a);
    fl_sha256(given, b);
    return fl_equal_secret(a, b, sizeof a);
}

static void on_handled(struct fl_op *op)
{
    struct hooked *h = FL_CONTAINER(op, struct hooked, op);
    struct fl_op *user = h->user;
    user->err = op->err;
    json_decref(h->tree);
    fl_op_finish(user, op->code);
}

enum fl_code fl_telegram_hook_start(struct fl_op *op, struct fl_channel *channel,
                                    struct fl_str body, struct fl_arena *arena,
                                    struct fl_hook_answer *answer)
{
    struct hooked *h = FL_ARENA_NEW(arena, struct hooked);
    if (!h)
        return fl_err_code(&op->err, FL_NOMEM);
    h->tree = fl_json_parse(body, &op->err);
    if (!json_is_object(h->tree)) {
        json_decref(h->tree);
        return fl_err_set(&op->err, FL_BAD_JSON, "the update is no JSON object");
    }
    h->user = op;
    h->op.done = on_handled;
    h->update = (struct fl_telegram_update){ .channel = channel, .update = h->tree };
    answer->text = FL_STR("{}");
    enum fl_code code = fl_telegram_update_start(&h->op, &h->update);
    if (code) {
        op->err = h->op.err;
        json_decref(h->tree);
        return code;
    }
    fl_op_start(op, NULL, h);
    return FL_OK;
}
