/* The sender of one channel: round after round takes what is due from the outbox, makes each
 * approval's cards as they should be now, and posts or rewrites them. One request at a time. At
 * least once: a card's row is there before it is sent, and its message is recorded after; what was
 * lost between is sent again. Loop thread only. */
#ifndef FLOPINIO_NOTIFY_SENDER_H
#define FLOPINIO_NOTIFY_SENDER_H

#include "runtime/approval/look.h"
#include "runtime/notify/batch.h"
#include "runtime/notify/channel.h"
#include "runtime/notify/digest.h"
#include "runtime/notify/facts.h"

#define FL_SENDER_BATCH  16
#define FL_SENDER_PLACES 64

struct fl_sender_due {
    struct fl_uuid approval;
    int64_t wanted, tries;
    int64_t step;
    bool is_delivered, is_told_earlier, is_erasing;
};

/* A card, or one that is to be. */
struct fl_sender_card {
    struct fl_uuid id, person;
    struct fl_str place, message, shown;
    int64_t tries, page, posted_ms;
    int64_t sent_ms, tried_ms; /* the first and the last send whose outcome is not known */
    struct fl_uuid host;       /* not zero: the card in whose message it stands */
    bool is_host;              /* others stand in its message */
    int reminded;              /* the last reminder beneath it */
    bool wants_reminder;
    bool is_new, is_read, asks_stop, asks_grant;
    bool is_withdrawn; /* whose chat it is may not see it any more */
    bool is_sought;    /* whether it stands there was looked for, as far as that can be, */
    bool is_unposted;  /* and it does not */
};

/* Looking for cards whose outcome is not known; one at a time. */
struct fl_sender_seek {
    struct fl_chat_find find; /* of the card at hand, or of one that waits to be gone on with */
    int64_t at_ms;            /* fl_mono_ms; not before */
    int64_t barred_ms;        /* until then nobody may look there */
    int64_t begun_ms;         /* the one that waits */
    int failures;             /* in a row, of those with is_up */
    bool is_up;               /* a message was taken since the last one */
    int copy_at;              /* which of those that were found is being retired */
    bool is_after;            /* the card stands, and is recorded: only copies are looked for */
    fl_next then;             /* once the copies are retired */
};

struct fl_sender {
    struct fl_flow flow;
    struct fl_channel *channel; /* the owner's; read anew only while the sender is stopped */
    int64_t retention_ms;       /* arguments stay in finished cards for so long */
    struct fl_sleep sleep;
    struct fl_arena *arena; /* of the round, or of one row's work */
    struct fl_tx tx;
    struct fl_query *q, *q_next, *q_flood, *q_identities, *q_closed, *q_test;
    struct fl_sender_due due[FL_SENDER_BATCH];
    int due_count, due_at;
    int64_t next_ms;
    /* the row at work */
    struct fl_look look;
    struct fl_approval_view view;
    struct fl_card card;
    struct fl_sender_card *cards;
    size_t card_count, card_at;
    struct fl_batch batch;
    struct fl_chat_drawn drawn;
    struct fl_chat_send send;
    uint8_t digest[FL_SHA256_BYTES];
    int64_t later_ms; /* some of it has to wait for so long; -1: none */
    int64_t quiet_ms; /* until somebody may be disturbed again; -1: nobody is waited for */
    int stage;        /* how much of the time to decide is over; the number of the reminder */
    char trouble[200];
    bool is_posted; /* a card of it stands somewhere */
    bool has_grant; /* one was made from it */
    bool is_lost;   /* none can stand there, though it waits, */
    bool is_closed; /* as its places are closed */
    bool has_failed;
    bool is_not_taken; /* a place did not take a card; others may have */
    bool is_fail_noted;
    bool is_unsent; /* the card at work was certainly not posted */
    struct fl_sender_seek seek;
    struct fl_str stray_from; /* the copy that stays */
    int stray_at;             /* candidates for the copy of a card that was sent twice */
    int64_t works_at_ms;      /* when it was last noted that the channel works */
    struct fl_pace pace;
    struct fl_digest flood;
    bool is_full;      /* the only place takes nothing more in this round */
    bool is_flooded;   /* rounds are a second apart, and each folds first */
    int64_t folded_ms; /* fl_mono_ms when that was begun, */
    int64_t fold_ms;   /* and how long not again */
    int64_t asked_ms;
    bool is_resting, is_nudged, is_stopping, is_running;
    uint64_t *sent, *failed; /* figures */
};

void fl_sender_start(struct fl_sender *sender);
/* Something may be due. */
void fl_sender_nudge(struct fl_sender *sender);
/* Ends at the next step that can; is_running becomes false. */
void fl_sender_stop(struct fl_sender *sender);

#endif
