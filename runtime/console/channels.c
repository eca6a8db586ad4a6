/* Channels: where cards go beside the inbox. Secrets are written and never read back. */
#include "runtime/console/reach.h"
#include "runtime/console/valid.h"
#include "runtime/notify/notify.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"

#define NOTHING   ((struct fl_str){ NULL, 0 })
#define TEST_MOST 32

struct channel_request {
    struct fl_str name, disclose;
    const struct fl_channel_kind *kind;
    const json_t *config, *secret;
    int is_enabled; /* -1: not said */
    struct fl_uuid id;
    bool is_new, is_test;
    struct fl_query *q;
    void (*then)(struct fl_api *a); /* once the row of the path's channel was read */
    /* of a test */
    struct fl_channel channel;
    bool is_open;
    struct fl_str places[TEST_MOST];
    size_t place_count, at, sent;
    struct fl_chat_drawn drawn;
    struct fl_chat_send send;
    char trouble[FL_ERR_TEXT_BYTES];
};

static struct channel_request *new_request(struct fl_api *a)
{
    struct channel_request *r = FL_ARENA_NEW(a->arena, struct channel_request);
    if (!r)
        fl_api_error(a, FL_NOMEM, "out of memory");
    else
        r->is_enabled = -1;
    a->user = r;
    return r;
}

/* ---------------------------------------------------------------- the list */
static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0],
                "- name:t kind:t config:j disclose:t is_enabled:b has_secret:b facts:j trouble:t "
                "delivered_at:m paused_until:m waiting:i tested_at:m dead:i");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    a->q[0] = fl_store_channels(fl_api_tx(a));
    fl_api_submit(a, false, on_listed);
}

/* ---------------------------------------------------------------- what was sent */
static bool is_object(struct fl_api *a, const char *name, const json_t **ret)
{
    *ret = a->body ? json_object_get(a->body, name) : NULL;
    if (!*ret || json_is_object(*ret))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be an object", name);
    return false;
}

static bool read_common(struct fl_api *a, struct channel_request *r)
{
    bool is_enabled;
    if (!is_object(a, "config", &r->config) || !is_object(a, "secret", &r->secret) ||
        !fl_api_text(a, "disclose", false, &r->disclose) ||
        !fl_api_flag(a, "is_enabled", &is_enabled))
        return false;
    if (json_is_boolean(json_object_get(a->body, "is_enabled")))
        r->is_enabled = is_enabled;
    if (!r->disclose.p || fl_str_is(r->disclose, "full") || fl_str_is(r->disclose, "summary"))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'disclose' must be full or summary");
    return false;
}

static bool check(struct fl_api *a, struct channel_request *r, const json_t *config,
                  const json_t *secret)
{
    struct fl_err err;
    enum fl_code code =
        r->kind->check(config, secret, fl_notify_may_be_local(fl_api_notify(a)), &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

static bool check_public_url(struct fl_api *a, struct channel_request *r)
{
    struct fl_err err;
    struct fl_str url = fl_str_of(fl_notify_public_url(fl_api_notify(a)));
    enum fl_code code = fl_channel_check_public_url(r->kind, url, &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

/* Who knows a channel's secrets, or is the server that it talks to, can speak for everybody who is
 * linked: no token sets either, and kept secrets are not given to another server. `there` is what
 * the channel has, NULL: it is new. */
static bool may_set(struct fl_api *a, const struct channel_request *r,
                    const struct fl_channel *there)
{
    bool has_servers =
        r->config && !fl_channel_same_servers(r->config, there ? there->config : NULL);
    if (a->who != FL_WHO_PERSON || (!has_servers && !r->secret))
        return true;
    if (!fl_api_by_passphrase(a))
        return false;
    if (r->secret || !there || json_object_size(there->secret) == 0)
        return true;
    fl_api_error(a, FL_BAD_PARAMS,
                 "another server would be given this channel's secrets: give them again with it, "
                 "in 'secret'");
    return false;
}

static bool seal(struct fl_api *a, struct channel_request *r, struct fl_audit_event *e,
                 struct fl_str *ret_secret)
{
    struct fl_err err;
    enum fl_code code = FL_OK;
    *ret_secret = NOTHING;
    fl_audit_text(e, "channel", r->name);
    fl_audit_text(e, "disclose", r->disclose);
    fl_audit_bool(e, "config_changed", r->config != NULL);
    fl_audit_bool(e, "secret_changed", r->secret != NULL);
    if (r->is_enabled >= 0)
        fl_audit_bool(e, "is_enabled", r->is_enabled != 0);
    if (r->secret)
        code = fl_channel_seal(a->core->keys, &a->organization_id, &r->id, r->secret, a->arena,
                               ret_secret, &err);
    if (code == FL_OK)
        code = fl_audit_seal(e, a->arena, &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

/* ---------------------------------------------------------------- making */
static void on_written(struct fl_api *a)
{
    struct channel_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    if (fl_rows(r->q) != 1) {
        fl_api_error(a, r->is_new ? FL_CONFLICT : FL_NOT_FOUND,
                     r->is_new ? "there is a channel of that name already"
                               : "there is no such channel");
        return;
    }
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, r->name);
    fl_buf_putc(&out, '}');
    if (r->is_new)
        fl_api_created(a, &out);
    else
        fl_api_ok(a, &out);
}

static void start_create(struct fl_api *a)
{
    struct channel_request *r = new_request(a);
    struct fl_str kind, secret;
    struct fl_audit_event e;
    if (!r || !fl_api_text(a, "name", true, &r->name) || !fl_api_text(a, "kind", true, &kind) ||
        !read_common(a, r))
        return;
    r->kind = fl_channel_kind(kind);
    if (!fl_is_server_name(r->name) || fl_str_is(r->name, "inbox")) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "a channel's name has 1 to 32 of a-z, 0-9 and hyphens, starts with no hyphen, "
                     "and is not inbox, which is there always");
        return;
    }
    if (!r->kind) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "there is no kind of channel '%.*s'; there are telegram, slack and mail",
                     (int)(kind.n > 40 ? 40 : kind.n), kind.p);
        return;
    }
    json_t *none = json_object();
    bool is_fine = may_set(a, r, NULL) && check_public_url(a, r) &&
                   check(a, r, r->config ? r->config : none, r->secret ? r->secret : none);
    json_decref(none);
    if (!is_fine)
        return;
    r->is_new = true;
    r->id = fl_uuid_new();
    fl_api_event(a, &e, FL_AUDIT_CHANNEL_CREATED, "channel", &r->id);
    fl_audit_text(&e, "kind", kind);
    if (!seal(a, r, &e, &secret))
        return;
    struct fl_str config = r->config ? fl_json_text(a->arena, r->config) : FL_STR("{}");
    r->q = fl_store_channel_create(fl_api_change_tx(a), &r->id, r->name, kind, config, secret,
                                   r->disclose, &e.row);
    fl_api_submit(a, true, on_written);
}

/* ---------------------------------------------------------------- changing */
/* Columns of fl_store_channels: channel_id, name, ... */
static int row_of(const struct fl_query *q, struct fl_str name)
{
    for (int i = 0; i < fl_rows(q); i++) {
        if (fl_str_eq(fl_cell(q, i, 1), name))
            return i;
    }
    return -1;
}

static void close_channel(struct channel_request *r)
{
    if (r->is_open)
        fl_channel_fini(&r->channel);
    r->is_open = false;
}

static bool open_channel(struct fl_api *a, struct channel_request *r)
{
    struct fl_err err;
    struct fl_notify *n = fl_api_notify(a);
    r->channel = (struct fl_channel){ .core = a->core,
                                      .http = fl_notify_http(n),
                                      .organization = a->organization_id,
                                      .id = r->id,
                                      .organization_name = a->organization,
                                      .public_url = fl_str_of(fl_notify_public_url(n)) };
    enum fl_code code = fl_channel_read(&r->channel, r->q, &err);
    r->is_open = code == FL_OK;
    if (code) {
        fl_api_error(a, code, "%s", err.text);
        return false;
    }
    FL_ASSERT(r->channel.kind); /* an opened one has it */
    r->kind = r->channel.kind;
    return true;
}

/* What is there, with what was said over it. */
static void on_read_to_change(struct fl_api *a)
{
    struct channel_request *r = a->user;
    struct fl_audit_event e;
    struct fl_str secret;
    if (!open_channel(a, r))
        return;
    bool is_on = r->is_enabled >= 0 ? r->is_enabled : r->channel.is_enabled;
    bool has_secret = json_object_size(r->channel.secret) > 0;
    bool is_fine = may_set(a, r, &r->channel) && (!is_on || check_public_url(a, r)) &&
                   check(a, r, r->config ? r->config : r->channel.config,
                         r->secret             ? r->secret
                         : is_on || has_secret ? r->channel.secret
                                               : NULL);
    close_channel(r);
    if (!is_fine)
        return;
    fl_api_event(a, &e, FL_AUDIT_CHANNEL_CHANGED, "channel", &r->id);
    if (!seal(a, r, &e, &secret))
        return;
    r->q = fl_store_channel_update(fl_api_change_tx(a), r->name,
                                   r->config ? fl_json_text(a->arena, r->config) : NOTHING, secret,
                                   r->disclose, r->is_enabled, &e.row);
    fl_api_submit(a, true, on_written);
}

static void read_channel(struct fl_api *a)
{
    struct channel_request *r = a->user;
    struct fl_tx *tx = fl_api_tx(a);
    r->q = fl_store_channel_get(tx, &r->id);
    a->q[1] = fl_store_chat_identities(tx, r->kind ? r->kind->name : "");
    fl_api_submit(a, false, r->then);
}

/* Finds the channel of the path, then reads its row. */
static void on_found(struct fl_api *a)
{
    struct channel_request *r = a->user;
    int row = row_of(a->q[0], r->name);
    if (row < 0) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such channel");
        return;
    }
    r->id = fl_cell_uuid(a->q[0], row, 0);
    r->kind = fl_channel_kind(fl_cell(a->q[0], row, 2));
    if (!r->is_test || !r->kind || !r->kind->stray) {
        read_channel(a);
        return;
    }
    /* Before anything is posted that whoever looks after the channel does not know of. */
    fl_store_channel_testing(fl_api_change_tx(a), &r->id);
    fl_api_submit(a, true, read_channel);
}

static void find(struct fl_api *a, struct channel_request *r, void (*then)(struct fl_api *a))
{
    r->name = a->params[1];
    r->then = then;
    a->q[0] = fl_store_channels(fl_api_tx(a));
    fl_api_submit(a, false, on_found);
}

static void start_update(struct fl_api *a)
{
    struct channel_request *r = new_request(a);
    if (r && read_common(a, r))
        find(a, r, on_read_to_change);
}

/* ---------------------------------------------------------------- removing */
static void on_removed(struct fl_api *a)
{
    if (fl_rows(a->q[0]) != 1)
        fl_api_error(a, FL_NOT_FOUND, "there is no such channel");
    else
        fl_reach_answer(a);
}

static void start_remove(struct fl_api *a)
{
    struct channel_request *r = new_request(a);
    struct fl_audit_event e;
    struct fl_str secret;
    if (!r)
        return;
    r->name = a->params[1];
    fl_api_event(a, &e, FL_AUDIT_CHANNEL_REMOVED, "channel", NULL);
    if (!seal(a, r, &e, &secret))
        return;
    a->q[0] = fl_store_channel_remove(fl_api_change_tx(a), r->name, &e.row);
    fl_api_submit(a, true, on_removed);
}

/* ---------------------------------------------------------------- a test card */
static void send_next(struct fl_api *a);

static void on_sent(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct channel_request *r = a->user;
    if (op->code == FL_OK)
        r->sent++;
    else
        memcpy(r->trouble, op->err.text, sizeof r->trouble);
    op->code = FL_OK; /* said in the answer */
    if (!fl_api_flow_done(a)) {
        close_channel(r);
        return;
    }
    r->at++;
    send_next(a);
}

static void answer_test(struct fl_api *a)
{
    struct channel_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    close_channel(r);
    if (!r->sent) {
        fl_api_error(a, FL_CONFLICT, "no test card was taken: %s",
                     r->place_count ? r->trouble
                                    : "the channel has no chats, and nobody is linked to it");
        return;
    }
    fl_buf_printf(&out, "{\"sent\":%zu,\"trouble\":", r->sent);
    fl_buf_json_str(&out, fl_str_of(r->trouble));
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void send_next(struct fl_api *a)
{
    struct channel_request *r = a->user;
    if (r->at == r->place_count) {
        answer_test(a);
        return;
    }
    r->send = (struct fl_chat_send){ .channel = &r->channel,
                                     .arena = a->arena,
                                     .place = r->places[r->at],
                                     .bytes = r->drawn.bytes };
    a->op = (struct fl_op){ .done = on_sent };
    if (r->kind->send_start(&a->op, &r->send) != FL_OK) {
        memcpy(r->trouble, a->op.err.text, sizeof r->trouble);
        r->at = r->place_count;
        answer_test(a);
    }
}

static void on_read_to_test(struct fl_api *a)
{
    struct channel_request *r = a->user;
    struct fl_err err;
    if (!open_channel(a, r))
        return;
    while (r->place_count < TEST_MOST &&
           r->kind->place(&r->channel, r->place_count, &r->places[r->place_count]))
        r->place_count++;
    for (int i = 0; !r->place_count && i < fl_rows(a->q[1]) && i < TEST_MOST; i++)
        r->places[r->place_count++] = fl_arena_str(a->arena, fl_cell(a->q[1], i, 1));
    const char *text = fl_arena_printf(
        a->arena,
        "Flopinio: a test of the channel %.*s of %.*s. Press the button%s to see whether "
        "decisions arrive.",
        FL_STR_ARG(r->name), FL_STR_ARG(a->organization),
        r->kind->is_mail ? " behind the link" : "");
    struct fl_chat_drawing drawing = { .notice = fl_str_of(text ? text : "test"),
                                       .card_id = r->id };
    if (r->kind->draw(&drawing, a->arena, &r->drawn, &err) != FL_OK) {
        close_channel(r);
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    send_next(a);
}

static void start_test(struct fl_api *a)
{
    struct channel_request *r = new_request(a);
    if (!r)
        return;
    r->is_test = true;
    find(a, r, on_read_to_test);
}

const struct fl_api_route fl_api_channels[] = {
    { FL_HTTP_GET, "/orgs/{org}/channels", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_list },
    { FL_HTTP_POST, "/orgs/{org}/channels", FL_NEED_ROLE, FL_ACTION_MANAGE_CHANNELS, start_create,
      "name kind config secret disclose is_enabled" },
    { FL_HTTP_PATCH, "/orgs/{org}/channels/{channel}", FL_NEED_ROLE, FL_ACTION_MANAGE_CHANNELS,
      start_update, "config secret disclose is_enabled" },
    { FL_HTTP_DELETE, "/orgs/{org}/channels/{channel}", FL_NEED_ROLE, FL_ACTION_MANAGE_CHANNELS,
      start_remove },
    { FL_HTTP_POST, "/orgs/{org}/channels/{channel}/test", FL_NEED_ROLE, FL_ACTION_MANAGE_CHANNELS,
      start_test },
    { .pattern = NULL }
};
