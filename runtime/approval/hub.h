/* Who waits here for which approval. A committed change wakes them: at once when this process made
 * it, by NOTIFY when another one did, and by the sweep's look each second as the truth. A wake-up
 * says "look again"; only that it was approved it may say. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_HUB_H
#define FLOPINIO_APPROVAL_HUB_H

#include "runtime/approval/core.h"

struct fl_hub;

/* Embedded in the waiting flow. */
struct fl_hub_wait {
    struct fl_list link;
    struct fl_uuid organization, approval;
    struct fl_op *op;
    struct fl_hub *hub;
    struct fl_post post;
    int64_t seen_us;  /* the newest change that the waiter knows of, by the database's clock */
    bool is_approved; /* all that woke it is fl_hub_approved; cleared by the next start */
};

enum fl_code fl_hub_new(struct fl_core *core, struct fl_hub **ret,
                        struct fl_err *err) FL_MUST_CHECK;
void fl_hub_free(struct fl_hub **hub);

/* Completes with FL_OK at the next change of the approval behind `wait->seen_us` (0 at first; the
 * hub keeps it). Cancelling completes with FL_CANCELLED. */
enum fl_code fl_hub_wait_start(struct fl_op *op, struct fl_hub_wait *wait, struct fl_hub *hub,
                               const struct fl_uuid *organization,
                               const struct fl_uuid *approval) FL_MUST_CHECK;
/* A change of the approval was committed by this process: wakes the waiters here and, in one
 * notification for all changes of the turn, those of other processes. */
void fl_hub_changed(struct fl_hub *hub, const struct fl_uuid *organization,
                    const struct fl_uuid *approval);
/* The same of one that was approved just now, at `changed_us` by the database's clock, and that a
 * call holds: whoever holds it may claim it without looking first. The claim decides, as always. */
void fl_hub_approved(struct fl_hub *hub, const struct fl_uuid *organization,
                     const struct fl_uuid *approval, int64_t changed_us);
/* What was sent for it is not wanted any more: told to the tool, in whichever process it is at
 * work. A hint that may get lost; the tool's own outcome stands in any case. */
void fl_hub_cancelled_late(struct fl_hub *hub, const struct fl_uuid *approval);
/* The sweep saw that it changed at this time; wakes only whoever does not know it yet. */
void fl_hub_seen(struct fl_hub *hub, const struct fl_uuid *approval, int64_t changed_us);
/* Wakes everybody (after the connection for notifications was away). */
void fl_hub_wake_all(struct fl_hub *hub);
/* Tells other processes that an organization changed; with the next notification. */
void fl_hub_organization_changed(struct fl_hub *hub, const struct fl_uuid *organization);
/* The worker that ended a legacy session tells the others, whose streams of it end too: the first
 * bytes of the session's hash. A hint. */
void fl_hub_session_ended(struct fl_hub *hub, const struct fl_uuid *hash_prefix);
void fl_hub_on_session_ended(struct fl_hub *hub,
                             void (*call)(void *ctx, const struct fl_uuid *hash_prefix), void *ctx);
/* Whoever sends cards hears of every change, of this process and of others: look what is due. One
 * that was approved for a call that is held changes again as soon as that has run. */
void fl_hub_on_changed(struct fl_hub *hub, void (*call)(void *ctx, bool was_approved), void *ctx);
size_t fl_hub_count(const struct fl_hub *hub);

/* For the sweep: who is waited for, at most `most`, another part each time when there are more. */
void fl_hub_waiting(struct fl_hub *hub, struct fl_array *organizations, struct fl_array *approvals,
                    size_t most);

#endif
