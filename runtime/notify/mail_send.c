/* Sending one mail: the row of its link first, so that a link in a mail always finds it, then the
 * bytes, then the server. The token stands in the mail alone; here it is kept by its digest. */
#include "runtime/io/smtp.h"

#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/bounce.h"
#include "runtime/notify/mail_priv.h"

FL_STEP_DECLARE(post);
FL_STEP_DECLARE(sent);

static struct fl_mail_send *send_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_mail_send, flow);
}

static bool has_link(const struct fl_mail_send *s)
{
    return s->kind == FL_MAIL_CARD || s->kind == FL_MAIL_TEST || s->kind == FL_MAIL_ADDRESS;
}

/* ---------------------------------------------------------------- the link */
FL_STEP(begin)
{
    struct fl_mail_send *s = send_of(f);
    uint8_t hash[FL_SHA256_BYTES];
    if (fl_channel_check_public_url(&fl_channel_mail, s->channel->public_url, &f->op.err) != FL_OK)
        return fl_fail_with(f, FL_CONFIG, "%s", f->op.err.text);
    if (!has_link(s) || s->token)
        return &S_post;
    if (fl_token_new(FL_TOKEN_LINK, s->fresh, hash, &f->op.err) != FL_OK)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    const struct fl_mail_link_row row = { .hash = fl_bytes(hash, sizeof hash),
                                          .channel = s->channel->id,
                                          .purpose = s->kind == FL_MAIL_CARD ? "review" : "test",
                                          .card = s->card,
                                          .place = s->to,
                                          .for_ms = FL_MAIL_LINK_MS };
    s->token = s->fresh;
    fl_store_mail_link_put(&s->tx, &row);
    return fl_await(f, &S_post, fl_tx_submit(&f->op, &s->tx));
}

/* ---------------------------------------------------------------- the bytes */
static struct fl_str says_of(const struct fl_mail_send *s)
{
    switch (s->kind) {
    case FL_MAIL_CARD: return FL_STR("Read it and decide");
    case FL_MAIL_TEST: return FL_STR("Say that it works");
    case FL_MAIL_ADDRESS: return FL_STR("Link this address");
    default: return (struct fl_str){ NULL, 0 };
    }
}

static struct fl_str hint_of(const struct fl_mail_send *s)
{
    if (s->kind == FL_MAIL_CARD)
        return FL_STR("The link signs you in: do not forward this mail. It works once and for an "
                      "hour; looking at it does not use it up, and its page can mail you another. "
                      "Answers to this mail are not read.");
    if (s->kind == FL_MAIL_ADDRESS)
        return FL_STR("The link works once and for a day. Without it nothing happens.");
    return FL_STR("Answers to this mail are not read.");
}

static void make_id(struct fl_mail_send *s)
{
    struct fl_str from = fl_channel_config(s->channel, "from");
    const char *at = memchr(from.p, '@', from.n);
    struct fl_uuid fresh = fl_uuid_new();
    char other[FL_UUID_TEXT], card[FL_UUID_TEXT];
    fl_uuid_format(&fresh, other);
    fl_uuid_format(&s->card, card);
    bool is_first = s->kind == FL_MAIL_CARD && !s->answers.n;
    struct fl_str tag = is_first ? fl_str_of(card) : s->tag.n ? s->tag : fl_str_of(other);
    char mac[FL_MAIL_MAC_CHARS + 1]; /* by which it is known when it comes back */
    fl_mail_id_mac(s->channel->core->keys, &s->channel->organization, s->to, tag, mac);
    s->id = fl_str_of(fl_arena_printf(s->arena, "%.*s.%s%.*s", FL_STR_ARG(tag), mac,
                                      (int)(from.p + from.n - at), at));
}

static enum fl_code compose(struct fl_mail_send *s, struct fl_err *err)
{
    const struct fl_channel *ch = s->channel;
    struct fl_buf link = FL_BUF_INIT;
    make_id(s);
    if (has_link(s))
        fl_buf_printf(&link, "%.*s/review/%.*s/%.*s?t=%s", FL_STR_ARG(ch->public_url),
                      FL_STR_ARG(ch->organization_name), FL_STR_ARG(ch->name), s->token);
    const struct fl_mail_letter letter = { .from = fl_channel_config(ch, "from"),
                                           .to = s->to,
                                           .organization = ch->organization_name,
                                           .channel = ch->name,
                                           .subject = s->subject,
                                           .id = s->id,
                                           .answers = s->answers,
                                           .at_ms = fl_real_ms(),
                                           .title = s->title,
                                           .text = s->text,
                                           .html = s->html,
                                           .link = fl_buf_view(&link),
                                           .link_says = says_of(s),
                                           .hint = hint_of(s) };
    fl_mail_compose(&s->bytes, &letter);
    bool is_fine = s->id.p && !link.is_failed;
    if (link.p)
        fl_cleanse(link.p, link.n);
    fl_buf_fini(&link);
    return is_fine ? fl_buf_code(&s->bytes, err) : fl_err_code(err, FL_NOMEM);
}

static const char *text_of(struct fl_mail_send *s, struct fl_str text)
{
    return fl_arena_strndup(s->arena, text.n ? text.p : "", text.n);
}

/* The name with which we greet is the sender's domain: the host's own is nobody's business. */
static const char *url_of(struct fl_mail_send *s)
{
    struct fl_str url = fl_channel_config(s->channel, "url");
    struct fl_str from = fl_channel_config(s->channel, "from");
    const char *at = memchr(from.p, '@', from.n);
    return fl_arena_printf(s->arena, "%.*s/%.*s", FL_STR_ARG(url), (int)(from.p + from.n - at - 1),
                           at + 1);
}

FL_STEP(post)
{
    struct fl_mail_send *s = send_of(f);
    struct fl_str user = fl_channel_config(s->channel, "user");
    if (f->op.code)
        return fl_fail_with(f, FL_UNAVAILABLE, "the link could not be recorded: %s",
                            f->op.err.text);
    if (!fl_smtp_is_address(s->to) || !fl_smtp_is_address(fl_channel_config(s->channel, "from")))
        return fl_fail_with(f, FL_FORBIDDEN, "it is no mail address");
    if (compose(s, &f->op.err) != FL_OK || !(s->smtp = FL_ARENA_NEW(s->arena, struct fl_smtp)))
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    s->smtp->from = text_of(s, fl_channel_config(s->channel, "from"));
    s->smtp->to = text_of(s, s->to);
    if (user.n) {
        s->smtp->user = text_of(s, user);
        s->smtp->password = text_of(s, fl_channel_secret(s->channel, "password"));
    }
    s->call = (struct fl_http_call){ .url = url_of(s),
                                     .body = fl_buf_view(&s->bytes),
                                     .timeout_ms = FL_MAIL_TIMEOUT_MS,
                                     .smtp = s->smtp };
    if (!s->smtp->from || !s->smtp->to || !s->call.url || (user.n && !s->smtp->password))
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    return fl_await(f, &S_sent, fl_http_call_start(&f->op, s->channel->http, &s->call));
}

FL_STEP(sent)
{
    return f->op.code ? fl_fail(f) : fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

/* ---------------------------------------------------------------- life */
static void on_ended(struct fl_flow *f)
{
    struct fl_mail_send *s = send_of(f);
    struct fl_op *op = s->op;
    fl_tx_fini(&s->tx);
    fl_http_call_fini(&s->call);
    if (s->bytes.p)
        fl_cleanse(s->bytes.p, s->bytes.n); /* the token stands in it */
    fl_buf_fini(&s->bytes);
    fl_cleanse(s->fresh, sizeof s->fresh);
    if (s->smtp && s->smtp->password)
        fl_cleanse((char *)s->smtp->password, strlen(s->smtp->password));
    if (f->first.code)
        op->err = f->first;
    fl_op_finish(op, f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_mail_send, post)->flow, &S_begin);
}

static void cancel(struct fl_op *op)
{
    struct fl_mail_send *s = op->provider;
    fl_op_cancel(&s->flow.op);
}

enum fl_code fl_mail_send_start(struct fl_op *op, struct fl_mail_send *s)
{
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
    fl_flow_init(&s->flow, &S_failed, on_ended);
    s->op = op;
    s->bytes = (struct fl_buf){ 0 };
    s->call = (struct fl_http_call){ .url = NULL };
    s->smtp = NULL;
    fl_op_start(op, cancel, s);
    s->post = (struct fl_post){ .run = on_start };
    fl_loop_post(s->channel->core->loop, &s->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- for the sender */
struct chat_sending {
    struct fl_op op;
    struct fl_mail_send mail;
    struct fl_chat_send *send;
    json_t *drawn;
};

static void on_chat_sent(struct fl_op *op)
{
    struct chat_sending *w = FL_CONTAINER(op, struct chat_sending, op);
    struct fl_op *user = w->send->op;
    user->err = op->err;
    w->send->posted = w->send->message.p ? w->send->message : w->mail.id;
    json_decref(w->drawn);
    fl_op_finish(user, op->code);
}

static void cancel_chat(struct fl_op *op)
{
    struct fl_chat_send *s = op->provider;
    struct chat_sending *w = s->own;
    fl_op_cancel(&w->op);
}

static enum fl_mail_kind kind_of(struct fl_str text)
{
    return fl_str_is(text, "card")      ? FL_MAIL_CARD
           : fl_str_is(text, "outcome") ? FL_MAIL_OUTCOME
           : fl_str_is(text, "notice")  ? FL_MAIL_NOTICE
                                        : FL_MAIL_TEST;
}

/* A later mail of a card: for the same outcome the same Message-ID, for a new link a new one. */
static struct fl_str tag_of(const struct fl_chat_send *s, enum fl_mail_kind kind)
{
    char card[FL_UUID_TEXT];
    if (kind != FL_MAIL_OUTCOME)
        return (struct fl_str){ NULL, 0 };
    return fl_str_of(
        fl_arena_printf(s->arena, "%s.%.*s", fl_uuid_format(&s->card, card), FL_STR_ARG(s->key)));
}

enum fl_code fl_mail_chat_send_start(struct fl_op *op, struct fl_chat_send *s)
{
    struct chat_sending *w = FL_ARENA_NEW(s->arena, struct chat_sending);
    if (!w)
        return fl_err_code(&op->err, FL_NOMEM);
    w->drawn = fl_json_parse(s->bytes, &op->err);
    if (!w->drawn)
        return op->err.code;
    enum fl_mail_kind kind = kind_of(fl_json_get_str(w->drawn, "kind"));
    w->send = s;
    w->op.done = on_chat_sent;
    w->mail = (struct fl_mail_send){ .channel = s->channel,
                                     .arena = s->arena,
                                     .kind = kind,
                                     .to = s->place,
                                     .subject = fl_json_get_str(w->drawn, "subject"),
                                     .title = fl_json_get_str(w->drawn, "title"),
                                     .text = fl_json_get_str(w->drawn, "text"),
                                     .html = fl_json_get_str(w->drawn, "html"),
                                     .card = s->card,
                                     .answers = s->message,
                                     .tag = tag_of(s, kind) };
    enum fl_code code = fl_mail_send_start(&w->op, &w->mail);
    if (code) {
        op->err = w->op.err;
        json_decref(w->drawn);
        return code;
    }
    s->op = op;
    s->own = w;
    fl_op_start(op, cancel_chat, s);
    return FL_OK;
}
