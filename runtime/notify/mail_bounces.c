/* Reading the mailbox to which mails come back. Whoever looks after the channel asks it now and
 * then whether there is something new, reads that in order, and notes in the channel's row how far
 * it got: what was read and not noted is read again, which marks nothing twice. What a mailbox that
 * is new to it holds is read as far as nobody has seen it. Reading a mail marks it as seen. */
#include <stdio.h>
#include <stdlib.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/audit/event.h"
#include "runtime/io/imap.h"
#include "runtime/notify/bounce.h"
#include "runtime/notify/mail_priv.h"
#include "runtime/store/bounce.h"
#include "runtime/store/channel.h"

#define EVERY_S     30
#define AGAIN_MS    10000
#define REFUSED_MS  300000 /* a password is not tried more often: accounts are locked by that */
#define MAILS_MOST  64     /* read in a row */
#define MAIL_BYTES  262144 /* of each: a report stands in front of what came back */
#define TIMEOUT_MS  30000
#define COMMAND_MAX 128

struct reader {
    struct fl_flow flow;
    struct fl_channel *channel;
    struct fl_op *op;
    struct fl_imap imap;
    struct fl_http_call call;
    char command[COMMAND_MAX];
    struct fl_arena *arena; /* of one command and what it leads to */
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_bounce bounce; /* in the call's answer */
    uint32_t validity, next; /* of the mailbox as we know it: numbers from `next` on are new */
    uint32_t server_validity, server_next;
    uint32_t found[MAILS_MOST];
    size_t count, at;
    struct fl_sleep sleep;
    int64_t nap_ms;
    struct fl_post post;
    struct fl_retired retired;
    bool is_stopping, is_silent, has_more;
};

FL_STEP_DECLARE(look);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(searched);
FL_STEP_DECLARE(next_mail);
FL_STEP_DECLARE(fetched);
FL_STEP_DECLARE(match);
FL_STEP_DECLARE(marked);
FL_STEP_DECLARE(counted);
FL_STEP_DECLARE(note);
FL_STEP_DECLARE(noted);
FL_STEP_DECLARE(nap);

static struct reader *reader_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct reader, flow);
}

static const json_t *config_of(const struct fl_channel *ch)
{
    return json_object_get(ch->config, "bounces");
}

static fl_next rest(struct reader *r, int64_t ms)
{
    r->nap_ms = ms;
    return &S_nap;
}

static int64_t every_ms(const struct reader *r)
{
    json_int_t s = json_integer_value(json_object_get(config_of(r->channel), "every"));
    return (s > 0 ? s : EVERY_S) * 1000;
}

bool fl_mail_has_bounces(const struct fl_channel *ch)
{
    return config_of(ch) != NULL;
}

static bool is_plain(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20)
            return false;
    }
    return s.n > 0;
}

enum fl_code fl_mail_check_bounces(const json_t *config, const json_t *secret, struct fl_err *err)
{
    const json_t *bounces = json_object_get(config, "bounces"), *every;
    struct fl_str mailbox;
    size_t server_n;
    if (!bounces)
        return FL_OK;
    if (!json_is_object(bounces))
        return fl_err_set(err, FL_BAD_PARAMS, "'bounces' has url, user and perhaps every");
    enum fl_code code =
        fl_channel_check_members(bounces, "mail", "url user every", "setting of 'bounces'", err);
    if (code == FL_OK)
        code = fl_imap_check_url(fl_json_get_str(bounces, "url"), &mailbox, &server_n, err);
    if (code)
        return code;
    every = json_object_get(bounces, "every");
    if (every && (!json_is_integer(every) || json_integer_value(every) < 1 ||
                  json_integer_value(every) > 3600))
        return fl_err_set(err, FL_BAD_PARAMS, "'every' is 1 to 3600 seconds");
    if (!is_plain(fl_json_get_str(bounces, "user")))
        return fl_err_set(err, FL_BAD_PARAMS, "'bounces' needs the 'user' of the mailbox");
    if (secret && !is_plain(fl_json_get_str(secret, "imap_password")))
        return fl_err_set(err, FL_BAD_PARAMS, "with 'bounces' it needs the secret 'imap_password'");
    return FL_OK;
}

/* Said once, not each time. */
static fl_next trouble(struct reader *r)
{
    enum fl_code code = r->flow.op.code;
    bool is_refused = code == FL_UNAUTHENTICATED || code == FL_CONFIG || code == FL_NOT_FOUND;
    if (!r->is_silent && code != FL_CANCELLED && !r->is_stopping)
        FL_LOG(WARN, "bounces_not_read", FL_KU("org", &r->channel->organization),
               FL_KV("channel", r->channel->name), FL_KS("reason", r->flow.op.err.text));
    r->is_silent = true;
    return rest(r, is_refused ? REFUSED_MS : AGAIN_MS);
}

/* ---------------------------------------------------------------- commands */
static void forget(struct reader *r)
{
    fl_http_call_fini(&r->call);
    fl_tx_fini(&r->tx);
    fl_tx_clear(&r->tx);
    if (r->imap.password)
        fl_cleanse((char *)r->imap.password, strlen(r->imap.password));
    r->imap = (struct fl_imap){ .user = NULL };
    fl_arena_free(&r->arena);
}

static const char *text_of(struct reader *r, struct fl_str text)
{
    return fl_arena_strndup(r->arena, text.n ? text.p : "", text.n);
}

/* `command` NULL: the mail of that number is read. `is_outside`: in no mailbox. */
static fl_next command(struct reader *r, fl_next then, const char *command, bool is_outside,
                       uint32_t uid)
{
    struct fl_str url = fl_json_get_str(config_of(r->channel), "url"), mailbox;
    size_t server_n;
    forget(r);
    r->arena = fl_arena_new(0);
    if (!r->arena || fl_imap_check_url(url, &mailbox, &server_n, &r->flow.op.err) != FL_OK)
        return rest(r, REFUSED_MS);
    char *at =
        is_outside ? fl_arena_printf(r->arena, "%.*s/", (int)server_n, url.p)
        : command
            ? fl_arena_printf(r->arena, "%.*s/%.*s", (int)server_n, url.p, FL_STR_ARG(mailbox))
            : fl_arena_printf(r->arena, "%.*s/%.*s/;UID=%u/;PARTIAL=0.%d", (int)server_n, url.p,
                              FL_STR_ARG(mailbox), uid, MAIL_BYTES);
    r->imap.command = command;
    r->imap.user = text_of(r, fl_json_get_str(config_of(r->channel), "user"));
    r->imap.password = text_of(r, fl_channel_secret(r->channel, "imap_password"));
    if (!at || !r->imap.user || !r->imap.password)
        return rest(r, AGAIN_MS);
    r->call = (struct fl_http_call){
        .url = at, .timeout_ms = TIMEOUT_MS, .max_bytes = MAIL_BYTES + 4096, .imap = &r->imap
    };
    return fl_await(&r->flow, then, fl_http_call_start(&r->flow.op, r->channel->http, &r->call));
}

/* ---------------------------------------------------------------- what is new */
FL_STEP(look)
{
    struct reader *r = reader_of(f);
    struct fl_str mailbox, url = fl_json_get_str(config_of(r->channel), "url");
    size_t server_n;
    if (r->is_stopping)
        return fl_end(f);
    if (fl_imap_check_url(url, &mailbox, &server_n, &f->op.err) != FL_OK)
        return rest(r, REFUSED_MS);
    snprintf(r->command, sizeof r->command, "STATUS %.*s (UIDVALIDITY UIDNEXT)",
             FL_STR_ARG(mailbox));
    return command(r, &S_looked, r->command, true, 0);
}

/* The number behind a word of an answer; 0: it is not there. */
static uint32_t number_behind(struct fl_str text, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n + 1 < text.n; i++) {
        if (memcmp(text.p + i, word, n) != 0 || text.p[i + n] != ' ')
            continue;
        unsigned long long value = 0;
        size_t from = i + n + 1, end = from;
        while (end < text.n && text.p[end] >= '0' && text.p[end] <= '9')
            end++;
        bool is_one = fl_str_to_u64((struct fl_str){ text.p + from, end - from }, &value);
        return is_one && value <= UINT32_MAX ? (uint32_t)value : 0;
    }
    return 0;
}

FL_STEP(looked)
{
    struct reader *r = reader_of(f);
    if (r->is_stopping)
        return fl_end(f);
    if (f->op.code)
        return trouble(r);
    r->server_validity = number_behind(fl_buf_view(&r->call.answer), "UIDVALIDITY");
    r->server_next = number_behind(fl_buf_view(&r->call.answer), "UIDNEXT");
    if (!r->server_validity || !r->server_next) {
        f->op.code =
            fl_err_set(&f->op.err, FL_NOT_FOUND, "the mail server does not say what is new");
        return trouble(r);
    }
    r->is_silent = false;
    bool is_known = r->server_validity == r->validity;
    if (is_known && r->server_next <= r->next)
        return rest(r, every_ms(r));
    if (is_known)
        snprintf(r->command, sizeof r->command, "UID SEARCH UID %u:*", r->next);
    else
        snprintf(r->command, sizeof r->command, "UID SEARCH UNSEEN");
    return command(r, &S_searched, r->command, false, 0);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The lowest of "* SEARCH 3 17 4"; "n:*" has the last mail always. */
static void read_found(struct reader *r, struct fl_str text, uint32_t from)
{
    r->count = r->at = 0;
    r->has_more = false;
    for (size_t i = 0; i < text.n;) {
        size_t end = i;
        unsigned long long value;
        while (end < text.n && text.p[end] >= '0' && text.p[end] <= '9')
            end++;
        bool is_one = end > i && fl_str_to_u64((struct fl_str){ text.p + i, end - i }, &value) &&
                      value >= from && value <= UINT32_MAX;
        i = end > i ? end : i + 1;
        if (!is_one)
            continue;
        if (r->count < MAILS_MOST) {
            r->found[r->count++] = (uint32_t)value;
            qsort(r->found, r->count, sizeof *r->found, compare);
        } else {
            r->has_more = true;
            if (value < r->found[r->count - 1]) {
                r->found[r->count - 1] = (uint32_t)value;
                qsort(r->found, r->count, sizeof *r->found, compare);
            }
        }
    }
}

FL_STEP(searched)
{
    struct reader *r = reader_of(f);
    if (r->is_stopping)
        return fl_end(f);
    if (f->op.code)
        return trouble(r);
    bool is_known = r->server_validity == r->validity;
    read_found(r, fl_buf_view(&r->call.answer), is_known ? r->next : 1);
    if (!is_known)
        r->next = 1;
    r->validity = r->server_validity;
    return &S_next_mail;
}

FL_STEP(next_mail)
{
    struct reader *r = reader_of(f);
    if (r->is_stopping)
        return fl_end(f);
    if (r->at < r->count)
        return command(r, &S_fetched, NULL, false, r->found[r->at]);
    if (!r->has_more && r->next < r->server_next) {
        r->next = r->server_next;
        return &S_note;
    }
    return rest(r, r->has_more ? 0 : every_ms(r));
}

/* ---------------------------------------------------------------- one mail */
FL_STEP(fetched)
{
    struct reader *r = reader_of(f);
    if (r->is_stopping)
        return fl_end(f);
    bool is_gone = f->op.code == FL_NOT_FOUND || f->op.code == FL_TOO_LARGE;
    if (f->op.code && !is_gone)
        return trouble(r);
    bool is_one = !is_gone && fl_bounce_read(fl_buf_view(&r->call.answer), &r->bounce);
    f->op.code = FL_OK;
    r->next = r->found[r->at] + 1;
    if (!is_one)
        return &S_note;
    fl_tx_init(&r->tx, r->channel->core->pg, r->arena, &r->channel->organization);
    r->tx.is_read_only = true;
    r->q = fl_store_addresses(&r->tx);
    return fl_await(f, &S_match, fl_tx_submit(&f->op, &r->tx));
}

/* Whose address a Message-ID was made for costs a MAC for each: of another domain it is nobody's.
 */
static bool is_of_domain(const struct reader *r)
{
    struct fl_str from = fl_channel_config(r->channel, "from"), id = r->bounce.message_id;
    const char *ours = from.n ? memchr(from.p, '@', from.n) : NULL, *its = memchr(id.p, '@', id.n);
    return !ours || !its ||
           fl_str_eq_nocase((struct fl_str){ ours, (size_t)(from.p + from.n - ours) },
                            (struct fl_str){ its, (size_t)(id.p + id.n - its) });
}

static void begin(struct reader *r)
{
    fl_tx_fini(&r->tx);
    fl_tx_init(&r->tx, r->channel->core->pg, r->arena, &r->channel->organization);
}

/* It is about that one mail, or about the server: an agent's words may have done it. */
static fl_next count_card(struct reader *r, const struct fl_uuid *card, struct fl_str address,
                          const char *said)
{
    const struct fl_channel *ch = r->channel;
    const char *why = fl_arena_printf(r->arena, "a mail of it came back: %s", said);
    if (!why)
        return rest(r, AGAIN_MS);
    FL_LOG(WARN, "mail_came_back", FL_KU("org", &ch->organization), FL_KV("channel", ch->name),
           FL_KU("about", card), FL_KS("reason", r->bounce.status));
    begin(r);
    r->q = fl_store_card_bounced(&r->tx, card, address, fl_str_of(why));
    return fl_await(&r->flow, &S_counted, fl_tx_submit(&r->flow.op, &r->tx));
}

FL_STEP(counted)
{
    struct reader *r = reader_of(f);
    if (!f->op.code)
        return &S_note;
    r->next = r->found[r->at];
    return rest(r, AGAIN_MS);
}

/* Not what the report calls its recipient counts (an address may be forwarded), but which one the
 * Message-ID was made for. Columns of fl_store_addresses: person_id, address, name. */
FL_STEP(match)
{
    struct reader *r = reader_of(f);
    const struct fl_channel *ch = r->channel;
    struct fl_audit_event e;
    struct fl_uuid about;
    int64_t sent_ms;
    int at = 0;
    if (f->op.code) {
        r->next = r->found[r->at];
        return rest(r, AGAIN_MS);
    }
    if (!is_of_domain(r))
        at = fl_rows(r->q);
    while (at < fl_rows(r->q) && !fl_mail_id_is(ch->core->keys, &ch->organization,
                                                fl_cell(r->q, at, 1), r->bounce.message_id))
        at++;
    if (at == fl_rows(r->q) || !fl_mail_id_about(r->bounce.message_id, &about, &sent_ms)) {
        FL_LOG(INFO, "bounce_of_nobody", FL_KU("org", &ch->organization),
               FL_KV("channel", ch->name));
        return &S_note;
    }
    struct fl_uuid person = fl_cell_uuid(r->q, at, 0);
    struct fl_str address = fl_arena_str(r->arena, fl_cell(r->q, at, 1));
    struct fl_str name = fl_arena_str(r->arena, fl_cell(r->q, at, 2));
    const char *why = fl_arena_printf(r->arena, "%s %s", r->bounce.status, r->bounce.said);
    if (address.p && why && !fl_bounce_is_of_mailbox(&r->bounce))
        return count_card(r, &about, address, why);
    fl_audit_init(&e, &ch->organization, FL_AUDIT_IDENTITY_DEAD, FL_ACTOR_SYSTEM, NULL, "person",
                  &person);
    fl_audit_text(&e, "person", name);
    fl_audit_z(&e, "kind", "mail");
    fl_audit_text(&e, "channel", ch->name);
    fl_audit_text(&e, "external", address);
    fl_audit_z(&e, "status", r->bounce.status);
    if (!address.p || !name.p || !why || fl_audit_seal(&e, r->arena, &f->op.err) != FL_OK)
        return rest(r, AGAIN_MS);
    FL_LOG(WARN, "address_bounced", FL_KU("org", &ch->organization), FL_KV("channel", ch->name),
           FL_KU("person", &person), FL_KS("reason", r->bounce.status));
    begin(r);
    fl_store_address_dead(&r->tx, address, fl_str_of(why), sent_ms, &e.row);
    return fl_await(f, &S_marked, fl_tx_submit(&f->op, &r->tx));
}

FL_STEP(marked)
{
    struct reader *r = reader_of(f);
    if (!f->op.code)
        return &S_note;
    r->next = r->found[r->at];
    return rest(r, AGAIN_MS);
}

/* ---------------------------------------------------------------- how far it got */
FL_STEP(note)
{
    struct reader *r = reader_of(f);
    fl_tx_fini(&r->tx);
    fl_tx_init(&r->tx, r->channel->core->pg, r->arena, &r->channel->organization);
    const char *facts = fl_arena_printf(
        r->arena, "{\"bounces\":{\"uidvalidity\":%u,\"uidnext\":%u}}", r->validity, r->next);
    if (!facts)
        return rest(r, AGAIN_MS);
    fl_store_channel_facts(&r->tx, &r->channel->id, fl_str_of(facts));
    return fl_await(f, &S_noted, fl_tx_submit(&f->op, &r->tx));
}

FL_STEP(noted)
{
    struct reader *r = reader_of(f);
    r->at++;
    return f->op.code ? rest(r, AGAIN_MS) : &S_next_mail;
}

/* ---------------------------------------------------------------- life */
FL_STEP(rested)
{
    struct reader *r = reader_of(f);
    return r->is_stopping ? fl_end(f) : &S_look;
}

FL_STEP(nap)
{
    struct reader *r = reader_of(f);
    if (r->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_rested,
                    fl_sleep_start(&f->op, &r->sleep, r->channel->core->loop, r->nap_ms));
}

FL_STEP(failed)
{
    struct reader *r = reader_of(f);
    r->nap_ms = AGAIN_MS;
    return &S_nap;
}

static void release(void *owner)
{
    fl_free(owner);
}

static void on_ended(struct fl_flow *f)
{
    struct reader *r = reader_of(f);
    struct fl_op *op = r->op;
    forget(r);
    fl_loop_retire(r->channel->core->loop, &r->retired, release, r);
    fl_op_finish(op, FL_CANCELLED);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct reader, post)->flow, &S_look);
}

static void cancel(struct fl_op *op)
{
    struct reader *r = op->provider;
    r->is_stopping = true;
    fl_op_cancel(&r->flow.op);
}

enum fl_code fl_mail_bounces_start(struct fl_op *op, struct fl_channel *channel)
{
    const json_t *known = json_object_get(channel->facts, "bounces");
    struct reader *r = fl_calloc(1, sizeof *r);
    if (!r)
        return fl_err_code(&op->err, FL_NOMEM);
    r->channel = channel;
    r->op = op;
    r->validity = (uint32_t)json_integer_value(json_object_get(known, "uidvalidity"));
    r->next = (uint32_t)json_integer_value(json_object_get(known, "uidnext"));
    fl_tx_clear(&r->tx);
    fl_flow_init(&r->flow, &S_failed, on_ended);
    fl_op_start(op, cancel, r);
    r->post = (struct fl_post){ .run = on_start };
    fl_loop_post(channel->core->loop, &r->post);
    return FL_OK;
}
