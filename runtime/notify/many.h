/* Several cards of one message decided in one go: each as an event of its own (channel.h), one
 * behind the other, so with the same checks, its own transaction, its own row in the audit, and a
 * result of its own. What changed meanwhile is told and not decided. The cards and verdicts come
 * from a form (Slack), or are what is marked in the message (Telegram), by its keys. Loop thread.
 */
#ifndef FLOPINIO_NOTIFY_MANY_H
#define FLOPINIO_NOTIFY_MANY_H

#include "runtime/notify/batch.h"

struct fl_many_item {
    struct fl_uuid card;
    uint8_t binding[FL_CHAT_BINDING_BYTES]; /* that they were shown */
    enum fl_chat_verb verb;                 /* APPROVE, REJECT; NONE: it is left */
    size_t number;                          /* from 1, as it stands in the message */
    /* ---- outputs; or inputs of one that is refused already (NONE) ---- */
    char answer[FL_ERR_TEXT_BYTES]; /* "" where it was left */
    bool is_refused;
};

struct fl_many {
    struct fl_flow flow;
    /* ---- inputs; texts live until it is done ---- */
    struct fl_channel *channel;
    struct fl_arena *arena;
    struct fl_str external, display, place, message; /* as of an event */
    bool is_private;
    bool has_read; /* they were shown all of what they approve, and the kind vouches for it */
    struct fl_str reason; /* of what is rejected; n 0: none */
    bool is_marked;       /* the items are what is marked in the message of `host`, */
    struct fl_uuid host;
    uint8_t marks[FL_CHAT_BINDING_BYTES]; /* which was so (fl_batch_marks) */
    /* ---- inputs, or outputs of what is marked ---- */
    struct fl_many_item items[FL_BATCH_MOST];
    size_t count;
    /* ---- outputs ---- */
    size_t decided, refused;
    char answer[FL_ERR_TEXT_BYTES]; /* what came of it, in short */
    struct fl_str list;             /* of each, a line; p NULL: nothing beside the answer */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_chat_event event;
    size_t at;
    struct fl_uuid approval; /* of the host */
    bool is_event_open;
    struct fl_post post;
};

/* FL_OK with an answer, whatever came of each; FL_UNAVAILABLE: nothing was recorded. */
enum fl_code fl_many_start(struct fl_op *op, struct fl_many *many) FL_MUST_CHECK;

/* In an event's flow: its MARK_ verbs, once the card is known; it ends the flow. Who may not decide
 * it marks nothing. */
fl_next fl_many_mark(struct fl_chat_event *event);

#endif
