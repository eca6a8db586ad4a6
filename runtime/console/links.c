/* Chat accounts of people: linked by a one-time code that the person sends from there. A code for
 * somebody else lets its holder act as them, so that it takes what a reset of their passphrase
 * takes. A mail address is linked by a link that is mailed to it, and that nobody else sees. */
#include "flopinio/base/clock.h"
#include "runtime/console/change.h"
#include "runtime/crypto/secret.h"
#include "runtime/crypto/token.h"
#include "runtime/io/smtp.h"
#include "runtime/notify/mail.h"
#include "runtime/notify/notify.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"
#include "runtime/store/vote.h"

#define CODE_MS INT64_C(600000) /* 10 minutes */

struct link_request {
    const char *chat; /* kind of the channel */
    struct fl_str channel, kind;
    struct fl_uuid person, channel_id;
    struct fl_str person_name, url;
    char code[FL_TOKEN_BYTES];
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_query *q;
    /* of mail */
    bool is_mail;
    struct fl_str address;
    struct fl_query *q_people;
    struct fl_channel opened;
    struct fl_mail_send mail;
};

static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0],
                "person:t kind:t external:t display:t linked_at:m dead_at:m "
                "dead_why:t");
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
    if (!fl_api_text(a, "channel", true, &r->channel) ||
        !fl_api_text(a, "address", false, &r->address))
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
        r->is_mail = kind && kind->is_mail;
        if (!r->is_mail && r->address.p) {
            fl_api_error(a, FL_BAD_PARAMS, "'address' is for a mail channel");
            return false;
        }
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

/* ---------------------------------------------------------------- by mail */
static void answer_mailed(struct fl_api *a)
{
    struct link_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char at[FL_TIME_BYTES];
    fl_buf_puts(&out, "{\"person\":");
    fl_buf_json_str(&out, r->person_name);
    fl_buf_puts(&out, ",\"kind\":\"mail\",\"mailed_to\":");
    fl_buf_json_str(&out, r->address);
    fl_buf_printf(&out, ",\"expires_at\":\"%s\"}",
                  fl_time_format_s(fl_real_ms() + FL_MAIL_INVITE_MS, at));
    fl_api_created(a, &out);
}

static void on_mailed(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct link_request *r = a->user;
    fl_channel_fini(&r->opened);
    fl_cleanse(r->code, sizeof r->code);
    if (op->code && op->code != FL_FORBIDDEN)
        op->code = FL_UNAVAILABLE;
    if (fl_api_flow_done(a))
        answer_mailed(a);
}

static void send_mail(struct fl_api *a)
{
    struct link_request *r = a->user;
    const char *text = fl_arena_printf(
        a->arena,
        "%.*s invites you to link this address to %.*s in the organization %.*s of flopinio.\n"
        "Calls of agents that wait for a decision are then mailed to it, and what is decided by "
        "their links is decided by %.*s. If you do not know what this is, do nothing.\n",
        FL_STR_ARG(fl_api_by(a)), FL_STR_ARG(r->person_name), FL_STR_ARG(a->organization),
        FL_STR_ARG(r->person_name));
    r->mail = (struct fl_mail_send){ .channel = &r->opened,
                                     .arena = a->arena,
                                     .kind = FL_MAIL_ADDRESS,
                                     .to = r->address,
                                     .subject = FL_STR("link this address"),
                                     .title = FL_STR("Link this address"),
                                     .text = fl_str_of(text ? text : ""),
                                     .token = r->code };
    a->op = (struct fl_op){ .done = on_mailed };
    if (fl_mail_send_start(&a->op, &r->mail) != FL_OK) {
        fl_channel_fini(&r->opened);
        fl_api_error(a, FL_NOMEM, "out of memory");
    }
}

/* The row of the channel is read, and the link recorded. */
static void on_channel_read(struct fl_api *a)
{
    struct link_request *r = a->user;
    struct fl_notify *n = fl_api_notify(a);
    struct fl_err err;
    r->opened = (struct fl_channel){ .core = a->core,
                                     .http = fl_notify_http(n),
                                     .organization = a->organization_id,
                                     .id = r->channel_id,
                                     .organization_name = a->organization,
                                     .public_url = fl_str_of(fl_notify_public_url(n)) };
    enum fl_code code = fl_channel_read(&r->opened, r->q, &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    else
        send_mail(a);
}

static void on_code_kept(struct fl_api *a)
{
    struct link_request *r = a->user;
    if (!r->is_mail) {
        answer_code(a);
        return;
    }
    r->q = fl_store_channel_get(fl_api_tx(a), &r->channel_id);
    fl_api_submit(a, false, on_channel_read);
}

/* The one that was said, or the one that is recorded of the person. False: answered. */
static bool take_address(struct fl_api *a, struct link_request *r, struct fl_str recorded)
{
    struct fl_str text = r->address.p ? r->address : recorded;
    if (!fl_smtp_is_address(text)) {
        fl_api_error(a, FL_BAD_PARAMS, "%s",
                     r->address.p ? "'address' is no mail address"
                                  : "no mail address is recorded of them; give 'address'");
        return false;
    }
    r->address = fl_mail_address(a->arena, text);
    if (!r->address.p)
        fl_api_error(a, FL_NOMEM, "out of memory");
    return r->address.p != NULL;
}

static void append_code(struct fl_api *a, const struct link_request *r)
{
    struct fl_audit_event e;
    struct fl_str hash = fl_bytes(r->digest, sizeof r->digest);
    const struct fl_mail_link_row row = { .hash = hash,
                                          .channel = r->channel_id,
                                          .purpose = "address",
                                          .person = r->person,
                                          .place = r->address,
                                          .for_ms = FL_MAIL_INVITE_MS };
    if (r->is_mail)
        fl_store_mail_link_put(&a->tx, &row);
    else
        fl_store_chat_code(&a->tx, hash, &r->channel_id, &r->person, CODE_MS);
    fl_api_event(a, &e, FL_AUDIT_IDENTITY_CODE, "person", &r->person);
    fl_audit_text(&e, "person", r->person_name);
    fl_audit_text(&e, "channel", r->channel);
    if (r->is_mail)
        fl_audit_text(&e, "external", r->address);
    fl_audit_append(&e, &a->tx);
}

static void read_channels(struct fl_api *a)
{
    struct link_request *r = a->user;
    r->q = fl_store_channels(&a->tx);
    r->q_people = fl_store_people(&a->tx);
}

/* Columns of fl_store_people: person_id, name, role, is_active, groups, display_name, email. */
static struct fl_str email_of(const struct fl_api *a, const struct link_request *r)
{
    for (int i = 0; i < fl_rows(r->q_people); i++) {
        struct fl_uuid id = fl_cell_uuid(r->q_people, i, 0);
        if (fl_uuid_cmp(&id, &a->auth.id) == 0)
            return fl_cell(r->q_people, i, 6);
    }
    return FL_STR("");
}

static void decide_code(struct fl_api *a)
{
    struct link_request *r = a->user;
    const struct fl_member *target = fl_change_target(a);
    if (!target || (!fl_change_is_self(a, target) && !fl_change_may_alter(a, target)))
        return;
    r->person = target->id;
    r->person_name = target->name;
    if (r->is_mail && !take_address(a, r, target->email))
        return;
    append_code(a, r);
    fl_change_commit(a, on_code_kept);
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
    if (r->is_mail && !take_address(a, r, email_of(a, r)))
        return;
    fl_api_change_tx(a);
    append_code(a, r);
    fl_api_submit(a, true, on_code_kept);
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
    fl_api_revoke_tx(a);
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
    fl_api_revoke_tx(a);
    append_unlink(a, r);
    fl_api_submit(a, true, on_unlinked);
}

const struct fl_api_route fl_api_links[] = {
    { FL_HTTP_GET, "/orgs/{org}/links", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_list },
    { FL_HTTP_POST, "/orgs/{org}/links", FL_NEED_PERSON, 0, start_own_code, "channel address" },
    { FL_HTTP_DELETE, "/orgs/{org}/links", FL_NEED_PERSON, 0, start_own_unlink },
    { FL_HTTP_POST, "/orgs/{org}/people/{person}/links", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_code, "channel address" },
    { FL_HTTP_DELETE, "/orgs/{org}/people/{person}/links", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_unlink },
    { .pattern = NULL }
};
