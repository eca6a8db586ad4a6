/* The digest of a channel: when more calls come than a channel's rate, what is over it is folded
 * into one message in each of its places, rewritten in place, which counts them by agent and tool
 * and has buttons for each agent. Called by the sender between its rounds (one at a time); loop
 * thread only. */
#ifndef FLOPINIO_NOTIFY_DIGEST_H
#define FLOPINIO_NOTIFY_DIGEST_H

#include "runtime/notify/channel.h"
#include "runtime/notify/facts.h"
#include "runtime/notify/pace.h"

#define FL_DIGEST_CALLED 10 /* cards that one press on "Cards of ..." brings */

/* What is folded of one agent, tool and rule. */
struct fl_digest_group {
    struct fl_approval row; /* who asks, as far as it says who may decide */
    struct fl_ballot ballot;
    struct fl_ask *ask;
    struct fl_str ask_json;
    int64_t count, uncounted; /* folded; of those, in no digest that was taken, */
    int64_t at_us;            /* then */
    bool is_seen;             /* in the place at work */
    bool is_told;             /* to whom that is */
};

struct fl_digest_place {
    struct fl_uuid id, person, asks_stop;
    struct fl_str place, message, shown;
    bool is_new, is_stale;
    bool is_quiet; /* quiet hours: whose it is may be disturbed by what is urgent only */
    bool may_see;  /* still a place of the channel */
};

struct fl_digest {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_channel *channel;
    struct fl_pace *pace;
    /* ---- outputs ---- */
    bool is_chat_fault; /* the chat did not take it: the channel is to rest */
    int64_t retry_ms;   /* with FL_TOO_MANY */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_post post;
    struct fl_sleep sleep;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q_any, *q_digests, *q_counts, *q_people, *q_votes, *q_identities, *q_closed;
    struct fl_digest_group *groups;
    struct fl_digest_place *places;
    size_t group_count, place_count, at, rest_at;
    struct fl_chat_drawn drawn;
    struct fl_chat_send send;
    uint8_t digest[FL_SHA256_BYTES];
    bool is_over;       /* of the place at work: it is written for the last time */
    bool is_held;       /* something in it is not to tell them now */
    bool is_cut;        /* there are more groups than were read */
    bool is_late;       /* some place could not be written to yet */
    bool is_standing;   /* in some place, */
    bool is_barred;     /* in some other it cannot be posted now */
    int64_t barred_ms;  /* fl_mono_ms when it was, and stood nowhere; 0: that was not so */
    int64_t refused_ms; /* when a place did not take it; 0: each did */
    int64_t written_ms; /* fl_mono_ms of the last time that all were up to date */
    int64_t again_ms;   /* until the next time */
};

/* Brings the messages up to date, if it is time. Completes with FL_OK, the
 * chat's answer (is_chat_fault), FL_CANCELLED or an error of the database. FL_NOMEM. */
enum fl_code fl_digest_start(struct fl_op *op, struct fl_digest *digest) FL_MUST_CHECK;

#endif
