/* Shared by the files of the mail channel: mail.c the kind, mail_card.c what a card looks like,
 * mail_message.c the bytes of a mail, mail_send.c links and sending, mail_watch.c notices and the
 * daily digest. */
#ifndef FLOPINIO_NOTIFY_MAIL_PRIV_H
#define FLOPINIO_NOTIFY_MAIL_PRIV_H

#include "runtime/notify/mail.h"

#define FL_MAIL_CARD_BYTES  ((size_t)16 << 10) /* of a card in a mail; the page has the whole */
#define FL_MAIL_LINK_MS     INT64_C(3600000)   /* how long a link can be used */
#define FL_MAIL_TIMEOUT_MS  30000
#define FL_MAIL_SUBJECT_MAX 200

enum fl_code fl_mail_draw(const struct fl_chat_drawing *drawing, struct fl_arena *arena,
                          struct fl_chat_drawn *ret, struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_mail_chat_send_start(struct fl_op *op, struct fl_chat_send *send) FL_MUST_CHECK;
enum fl_code fl_mail_listen_start(struct fl_op *op, struct fl_channel *channel) FL_MUST_CHECK;
/* The mailbox of bounces, if the channel has one. */
bool fl_mail_has_bounces(const struct fl_channel *channel);
enum fl_code fl_mail_check_bounces(const json_t *config, const json_t *secret,
                                   struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_mail_bounces_start(struct fl_op *op, struct fl_channel *channel) FL_MUST_CHECK;
/* "08:30" -> minutes of the day; -1: it is none. */
int fl_mail_minute(struct fl_str text);

/* One mail, as RFC 5322 and 2045 have it. Texts are UTF-8; nothing in them becomes a header. */
struct fl_mail_letter {
    struct fl_str from, to;              /* addresses */
    struct fl_str organization, channel; /* names */
    struct fl_str subject;               /* without the organization */
    struct fl_str id, answers;           /* Message-IDs without <>; answers n 0: none */
    int64_t at_ms;
    struct fl_str title, text, html;     /* the first line; what stands below it */
    struct fl_str link, link_says, hint; /* link n 0: none */
};
void fl_mail_compose(struct fl_buf *out, const struct fl_mail_letter *letter);

#endif
