/* Shared by the files of the review page: review.c requests and answers, review_link.c one-time
 * links, review_card.c reading and deciding, review_page.c the HTML. */
#ifndef FLOPINIO_CONSOLE_REVIEW_PRIV_H
#define FLOPINIO_CONSOLE_REVIEW_PRIV_H

#include "flopinio/base/flow.h"
#include "runtime/approval/decide.h"
#include "runtime/approval/look.h"
#include "runtime/console/review.h"
#include "runtime/crypto/token.h"
#include "runtime/notify/facts.h"

#define FL_REVIEW_SESSION_MS INT64_C(900000)  /* from the last request on */
#define FL_REVIEW_MOST_MS    INT64_C(7200000) /* in all */
#define FL_REVIEW_PAGE_BYTES ((size_t)24 << 10)
#define FL_REVIEW_BODY_MAX   16384
#define FL_REVIEW_REASON_MAX 2000
#define FL_REVIEW_WHOLE_MAX  ((size_t)400 << 10)

struct fl_review_server {
    struct fl_core *core;
    struct fl_people *people;
    char *origin; /* "https://approvals.example.com" */
    char *prefix; /* of our paths outside; mostly "" */
    bool is_https;
    struct fl_list requests;
};

/* One request, until it was answered and its operations have ended. */
struct fl_review {
    struct fl_flow flow;
    struct fl_list link;
    struct fl_review_server *server;
    struct fl_http_exchange *ex; /* NULL: the client is gone */
    struct fl_arena *arena;
    struct fl_retired retired;
    /* ---- what was asked ---- */
    struct fl_str organization, channel; /* of the path */
    struct fl_uuid card;
    bool has_card, is_post, is_head;
    struct fl_str from;  /* address of who asks */
    struct fl_str token; /* of a link */
    struct fl_str again, verdict, reason, binding, passphrase, code, typed;
    bool may_ask_again;
    int64_t page;         /* from 0 */
    struct fl_str cookie; /* p NULL: none that could be ours */
    /* ---- on the way ---- */
    struct fl_uuid organization_id, channel_id;
    struct fl_tx tx;
    struct fl_query *q, *q_channel;
    uint8_t hash[FL_SHA256_BYTES]; /* of the link's token, or of the session's */
    char session[FL_TOKEN_BYTES];
    struct fl_uuid approval, person;
    struct fl_str person_name, place;
    int64_t pages; /* that were shown before */
    bool is_read, is_proved, is_summary;
    struct fl_look look;
    struct fl_approval_view view;
    struct fl_card shown;
    struct fl_person_auth auth;
    struct fl_decide decide;
    bool is_auth_open, has_tried, is_address;
    char banner[FL_ERR_TEXT_BYTES]; /* a refusal, above the card; "" none */
    /* ---- the answer ---- */
    int status;
    const char *location, *set_cookie;
    struct fl_buf body;
};

/* "/review/acme/ops-mail/CARD" as it is outside; in the arena, NULL: no memory. */
const char *fl_review_path(struct fl_review *r, bool with_card);
fl_next fl_review_link_begin(struct fl_review *r);
fl_next fl_review_card_begin(struct fl_review *r);
/* The answer is a page with these sentences. */
fl_next fl_review_say(struct fl_review *r, int status, const char *title, const char *text);
/* A transaction of the organization; the one before is over. */
struct fl_tx *fl_review_tx(struct fl_review *r);
/* The end: `status` and `body`, or `location`, are the answer. */
fl_next fl_review_answer(struct fl_review *r);

/* ---- review_page.c ---- */
extern const char fl_review_style[]; /* the style sheet, whose digest the policy names */
void fl_review_page_begin(struct fl_buf *out, const char *title);
void fl_review_page_end(struct fl_buf *out);
enum fl_review_link_state { FL_REVIEW_FRESH, FL_REVIEW_USED, FL_REVIEW_OLD };
/* The page behind a link that was not pressed yet: what its button would do. */
void fl_review_link_page(struct fl_buf *out, const struct fl_review *r, struct fl_str purpose,
                         enum fl_review_link_state state);
struct fl_review_rights {
    bool may_vote, may_withdraw;
    const char *why_not; /* not may_vote */
};
void fl_review_card_page(struct fl_buf *out, const struct fl_review *r, size_t pages,
                         struct fl_str card_html, const struct fl_review_rights *rights);

#endif
