/* Shared by notify.c, notify_nudge.c, notify_hooks.c and slack_oauth.c. */
#ifndef FLOPINIO_NOTIFY_NOTIFY_PRIV_H
#define FLOPINIO_NOTIFY_NOTIFY_PRIV_H

#include "runtime/notify/alerts.h"
#include "runtime/notify/notify.h"
#include "runtime/notify/sender.h"

/* What runs beside the sender for as long as the channel is looked after, and is started again. */
struct fl_notify_listener {
    struct fl_op op;
    struct fl_timer again;
    struct fl_notify_owner *owner;
    enum fl_code (*start)(struct fl_op *op, struct fl_channel *channel); /* NULL: nothing */
};

/* A channel that this worker looks after. */
struct fl_notify_owner {
    struct fl_list link;
    struct fl_notify *notify;
    struct fl_uuid organization, id;
    int64_t revision;
    struct fl_channel channel;
    struct fl_sender sender;
    struct fl_alerts alerts;
    struct fl_notify_listener listeners[2]; /* the kind's listen_start and read_start */
    bool is_open, is_ending, is_wanted;
    int64_t renewed_ms;   /* fl_boot_ms when the lease was asked for last, and given */
    struct fl_timer late; /* it is about to lapse */
};

/* The question whom a change concerns. */
struct fl_notify_nudge {
    struct fl_op op;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_post post;
    struct fl_timer timer;
    bool is_again; /* something changed while it was asked */
};

struct fl_notify {
    struct fl_flow flow; /* the round: which channels, leases, opening */
    struct fl_core *core;
    struct fl_http_client *http;
    bool may_be_local;
    char *public_url;
    int64_t retention_ms;
    struct fl_list owners;
    struct fl_list hooks;  /* requests at work */
    struct fl_list visits; /* browsers that come back from Slack */
    struct fl_sleep sleep;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q, *q_unreached, *q_channel, *q_org;
    struct fl_query **q_leases;
    struct fl_notify_owner **leased;
    size_t lease_count, opening;
    int64_t asked_ms; /* fl_boot_ms when the leases were asked for */
    struct fl_notify_nudge nudge;
    struct fl_notify_figures figures;
    unsigned round;
    int64_t forged_ms, forged; /* fl_mono_ms of the last line about one; how many since */
    bool is_running, is_stopping;
};

/* NULL: it is not looked after here. */
struct fl_notify_owner *fl_notify_owner_find(struct fl_notify *n, const struct fl_uuid *id);

/* ---- notify_nudge.c ---- */
/* Hears of the hub's changes from now on. */
void fl_notify_nudge_init(struct fl_notify *n);
/* When nothing is asked any more. */
void fl_notify_nudge_fini(struct fl_notify *n);

#endif
