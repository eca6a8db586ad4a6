/* Chat accounts of people: linked by a one-time code that the person sends from there. A code for
 * somebody else lets its holder act as them, so that it takes what a reset of their passphrase
 * takes. */
#include "flopinio/base/clock.h"
#include "runtime/console/change.h"
#include "runtime/crypto/secret.h"
#include "runtime/crypto/token.h"
#include "runtime/notify/channel.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"

#define CODE_MS INT64_C(600000) /* 10 minutes */

struct link_request {
    const char *chat; /* kind of the channel */
    struct fl_str channel, kind;
    struct fl_uuid person, channel_id;
    struct fl_str person_name, url;
    char code[FL_TOKEN_BYTES];
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_query *q;
};

static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "person:t kind:t external:t display:t linked_at:m");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    a->q[0] = fl_store_chat_links(fl_api_tx(a), NULL);
    fl_api_submit(a, false, on_listed);
}

/* ---------------------------------------------------------------- a code */
static struct link_request *new_request(struct fl_api *a, bool needs_channel)
{
    struct link_request *r = FL_ARENA_NEW(a->arena, struct link_request);
    struct fl_err err;
    if (!r) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return NULL;
    }
    a->user = r;
    if (!needs_channel)
        return r;
    if (!fl_api_text(a, "channel", true, &r->channel))
        return NULL;
    if (fl_token_new(FL_TOKEN_LINK, r->code, r->digest, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return NULL;
    }
    return r;
}

/* Columns of fl_store_channels: channel_id, name, kind, config, disclose, is_enabled, has a secret,
 * facts. */
static bool find_channel(struct fl_api *a, struct link_request *r)
{
    struct fl_err err;
    for (int i = 0; i < fl_rows(r->q); i++) {
        if (!fl_str_eq(fl_cell(r->q, i, 1), r->channel))
            continue;
        const struct fl_channel_kind *kind = fl_channel_kind(fl_cell(r->q, i, 2));
        json_t *facts = fl_json_parse(fl_cell(r->q, i, 7), &err);
        r->channel_id = fl_cell_uuid(r->q, i, 0);
        r->chat = kind ? kind->name : "";
        if (kind && kind->link_url && facts)
            r->url = kind->link_url(facts, r->code, a->arena);
        json_decref(facts);
        return true;
    }
    fl_api_error(a, FL_NOT_FOUND, "there is no such channel");
    return false;
}

static void answer_code(struct fl_api *a)
{
    struct link_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char at[FL_TIME_BYTES];
    fl_buf_puts(&out, "{\"person\":");
    fl_buf_json_str(&out, r->person_name);
    fl_buf_printf(&out, ",\"kind\":\"%s\",\"code\":\"%s\",\"expires_at\":\"%s\",\"url\":", r->chat,
                  r->code, fl_time_format_s(fl_real_ms() + CODE_MS, at));
    if (r->url.p)
        fl_buf_json_str(&out, r->url);
    else
        fl_buf_puts(&out, "null");
    fl_buf_putc(&out, '}');
    fl_cleanse(r->code, sizeof r->code);
    fl_api_created(a, &out);
}

static void append_code(struct fl_api *a, const struct link_request *r)
{
    struct fl_audit_event e;
    fl_store_chat_code(&a->tx, fl_bytes(r->digest, sizeof r->digest), &r->channel_id, &r->person,
                       CODE_MS);
    fl_api_event(a, &e, FL_AUDIT_IDENTITY_CODE, "person", &r->person);
    fl_audit_text(&e, "person", r->person_name);
    fl_audit_text(&e, "channel", r->channel);
    fl_audit_append(&e, &a->tx);
}

static void read_channels(struct fl_api *a)
{
    struct link_request *r = a->user;
    r->q = fl_store_channels(&a->tx);
}

static void decide_code(struct fl_api *a)
{
    struct link_request *r = a->user;
    const struct fl_member *target = fl_change_target(a);
    if (!target || (!fl_change_is_self(a, target) && !fl_change_may_alter(a, target)))
        return;
    r->person = target->id;
    r->person_name = target->name;
    append_code(a, r);
    fl_change_commit(a, answer_code);
}

/* For somebody else. */
static void on_channels(struct fl_api *a)
{
    if (find_channel(a, a->user))
        fl_change_person_start(a, decide_code);
}

static void start_code(struct fl_api *a)
{
    if (!new_request(a, true) || (a->who == FL_WHO_PERSON && !fl_api_by_passphrase(a)))
        return;
    fl_api_tx(a);
    read_channels(a);
    fl_api_submit(a, false, on_channels);
}

/* ---------------------------------------------------------------- one's own */
static void on_own_channels(struct fl_api *a)
{
    struct link_request *r = a->user;
    if (!find_channel(a, r))
        return;
    r->person = a->auth.id;
    r->person_name = a->auth.person;
    fl_api_tx(a);
    append_code(a, r);
    fl_api_submit(a, true, answer_code);
}

static void start_own_code(struct fl_api *a)
{
    if (!fl_api_by_passphrase(a) || !new_request(a, true))
        return;
    fl_api_tx(a);
    read_channels(a);
    fl_api_submit(a, false, on_own_channels);
}

/* ---------------------------------------------------------------- undoing it */
static void answer_unlinked(struct fl_api *a)
{
    struct link_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out, "{\"unlinked\":%d}", fl_rows(r->q));
    fl_api_ok(a, &out);
}

static void append_unlink(struct fl_api *a, struct link_request *r)
{
    struct fl_audit_event e;
    r->q = fl_store_chat_unlink(&a->tx, &r->person, (struct fl_str){ NULL, 0 });
    fl_api_event(a, &e, FL_AUDIT_IDENTITY_UNLINKED, "person", &r->person);
    fl_audit_text(&e, "person", r->person_name);
    fl_audit_append(&e, &a->tx);
}

static void on_unlinked(struct fl_api *a)
{
    answer_unlinked(a);
}

static void start_unlink(struct fl_api *a)
{
    struct link_request *r = new_request(a, false);
    size_t i = 0;
    if (!r)
        return;
    while (i < a->org->person_count && !fl_str_eq(a->org->people[i].name, a->params[1]))
        i++;
    if (i == a->org->person_count) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such person here");
        return;
    }
    r->person = a->org->people[i].id;
    r->person_name = a->params[1];
    fl_api_tx(a);
    append_unlink(a, r);
    fl_api_submit(a, true, on_unlinked);
}

static void start_own_unlink(struct fl_api *a)
{
    struct link_request *r;
    if (!fl_api_is_person(a) || !(r = new_request(a, false)))
        return;
    r->person = a->auth.id;
    r->person_name = a->auth.person;
    fl_api_tx(a);
    append_unlink(a, r);
    fl_api_submit(a, true, on_unlinked);
}

const struct fl_api_route fl_api_links[] = {
    { FL_HTTP_GET, "/orgs/{org}/links", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_list },
    { FL_HTTP_POST, "/orgs/{org}/links", FL_NEED_PERSON, 0, start_own_code, "channel" },
    { FL_HTTP_DELETE, "/orgs/{org}/links", FL_NEED_PERSON, 0, start_own_unlink },
    { FL_HTTP_POST, "/orgs/{org}/people/{person}/links", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_code, "channel" },
    { FL_HTTP_DELETE, "/orgs/{org}/people/{person}/links", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_unlink },
    { .pattern = NULL }
};
