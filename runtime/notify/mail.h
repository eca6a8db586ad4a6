/* Mail for others than the mail channel itself: invitations. What a card's mail does goes through
 * the kind (channel.h); the page behind a link is runtime/console/review.c. */
#ifndef FLOPINIO_NOTIFY_MAIL_H
#define FLOPINIO_NOTIFY_MAIL_H

#include "runtime/crypto/token.h"
#include "runtime/notify/channel.h"
#include "runtime/store/mail.h"

enum fl_mail_kind {
    FL_MAIL_CARD,    /* of an approval: with a link, to review it */
    FL_MAIL_OUTCOME, /* what came of it; in the card's thread, without a link */
    FL_MAIL_TEST,    /* with a link whose button says that the channel works */
    FL_MAIL_ADDRESS, /* with a link that makes the address a person's */
    FL_MAIL_NOTICE,  /* without a link */
};

/* One mail on its way. Inputs live until it is done. */
struct fl_mail_send {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_channel *channel;
    struct fl_arena *arena;
    enum fl_mail_kind kind;
    struct fl_str to, subject, title, text, html; /* html n 0: made from the text */
    struct fl_uuid card;                          /* of CARD and OUTCOME */
    struct fl_str answers; /* Message-ID of the thread's first; n 0: it begins one */
    struct fl_str tag;     /* makes the Message-ID: the same tag is the same mail (bounce.h); n 0:
                            * a fresh one */
    const char *token;     /* of ADDRESS: its row is there already */
    /* ---- outputs ---- */
    struct fl_str id; /* Message-ID, in the arena */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_tx tx;
    char fresh[FL_TOKEN_BYTES];
    struct fl_buf bytes;
    struct fl_http_call call;
    struct fl_smtp *smtp;
    struct fl_post post;
};
/* Codes as in fl_channel_kind.send_start. May be cancelled. */
enum fl_code fl_mail_send_start(struct fl_op *op, struct fl_mail_send *send) FL_MUST_CHECK;

/* How long a link of an invitation can be used. */
#define FL_MAIL_INVITE_MS INT64_C(86400000)
/* ASCII lower case: the same address is the same identity. In the arena; p NULL: no memory. */
struct fl_str fl_mail_address(struct fl_arena *arena, struct fl_str address);

#endif
