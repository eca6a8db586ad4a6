/* A message in which several cards stand: calls of one tool by one agent that arrived together
 * under one rule. Each that waits is shown whole, with its own buttons, and is decided by itself;
 * what does not fit has a message of its own. One of the cards, the host, was there first; the
 * others say so in their rows (card_message.host). This reads them all and draws the message. Loop
 * thread. */
#ifndef FLOPINIO_NOTIFY_BATCH_H
#define FLOPINIO_NOTIFY_BATCH_H

#include "runtime/approval/look.h"
#include "runtime/notify/channel.h"
#include "runtime/notify/facts.h"

#define FL_BATCH_MOST 20 /* cards of a message: 2 blocks each in Slack, of 50 */

struct fl_batch_item {
    struct fl_uuid card_id, approval, person;
    char mark; /* as in the drawing */
    bool asks_stop, is_erased, is_marking;
    struct fl_look look;
    struct fl_approval_view view;
    struct fl_card card;
    bool has_view;
};

struct fl_batch {
    struct fl_flow flow;
    /* ---- inputs ---- */
    const struct fl_channel *channel;
    struct fl_arena *arena; /* of the texts of the drawing */
    struct fl_uuid host;    /* its card */
    bool is_only_read;      /* `items` are wanted, no drawing */
    /* ---- outputs ---- */
    struct fl_chat_drawn drawn;
    struct fl_batch_item *items;
    size_t count;
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_tx tx;
    struct fl_query *q;
    size_t at;
    struct fl_post post;
};

/* FL_TOO_LARGE (what waits cannot be shown whole in it), FL_NOT_FOUND (no card is there any more),
 * FL_UNAVAILABLE, FL_NOMEM. */
enum fl_code fl_batch_start(struct fl_op *op, struct fl_batch *batch) FL_MUST_CHECK;
/* When nothing of the drawing is needed any more. Zeroed ones too. */
void fl_batch_fini(struct fl_batch *batch);
struct fl_chat_drawing fl_batch_drawing(const struct fl_batch_item *item);
/* What the button says that decides what is marked: which cards, in their order, and how. So
 * whoever presses it decides what stood there when they did. */
void fl_batch_marks(const struct fl_uuid *cards, const char *marks, size_t count,
                    uint8_t out[FL_SHA256_BYTES]);
char fl_batch_mark(struct fl_str text); /* of a row */
/* Is the second block the same as the first, word for word? Then it is shown once. */
bool fl_batch_is_same(const struct fl_card *a, const struct fl_card *b, enum fl_card_kind kind);

#endif
