/* Running an approved call: claim it, check everything again, set the dispatch marker, send the
 * stored bytes at most once, record the outcome. Used by the call that waits for it, by whoever
 * collects it later, and by the runner of tasks. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_RUN_H
#define FLOPINIO_APPROVAL_RUN_H

#include "flopinio/base/flow.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/org.h"
#include "runtime/approval/result.h"
#include "runtime/store/approval.h"

/* How a run ended, in `state`: SUCCEEDED, FAILED, UNKNOWN as recorded; VOIDED, EXPIRED when a check
 * stopped it; APPROVED when it was given back; PENDING when it could not be claimed (look again).
 */
struct fl_run {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, approval;
    /* What is known of it already; its texts live as long as the run. Else it is read first. */
    struct fl_approval row;
    bool is_known;
    /* Asked right before the dispatch marker; false gives it back. NULL: yes. */
    bool (*may_dispatch)(struct fl_run *run);
    void (*on_progress)(struct fl_run *run, double progress, double total, struct fl_str message);
    void (*on_message)(struct fl_run *run, enum flopinio_level level, struct fl_str logger,
                       struct fl_str data_json);
    void *user;
    /* ---- outputs; texts live until fl_run_fini ---- */
    enum fl_approval_state state;
    struct fl_call_result result;
    char reason[FL_ERR_TEXT_BYTES];
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena, *try_arena; /* the latter of one try to settle; there may be many */
    struct fl_org *org;
    struct fl_org_load org_load;
    struct fl_tx tx;
    struct fl_query *q_claim, *q_row, *q_content, *q_recheck, *q_votes, *q_people;
    struct fl_str arguments;
    uint8_t server[FL_SHA256_BYTES]; /* what its server was when it was asked for */
    int64_t fence;
    struct fl_host_call call;
    struct fl_list in_sent; /* core's, while the tool is at work */
    bool is_awaiting_turn;
    enum fl_code turn_code;
    struct fl_op watch; /* of the row, while the turn is awaited */
    struct fl_hub_wait wait;
    struct {
        int64_t mono_ms, boot_ms, real_ms; /* read before the marker was sent */
        int64_t dispatch_ms, execute_ms;   /* as the row says, whatever a reload makes of them */
        int64_t kill_ms;                   /* behind that; well before it is called unknown */
    } marked;
    struct fl_sleep sleep;
    struct fl_post post;
    unsigned tries;
    bool is_ambiguous; /* the marker's commit was lost on the way: never send */
    bool is_tampered;  /* the stored row does not match its digest */
};

/* Starts; `op` completes when the run has ended (FL_OK, look at state) or when nothing could be
 * done and nothing was sent (an error: state as before, somebody else may try). Cancelling it ends
 * it while it waits for its turn at the plugin, and does nothing later: before the marker the
 * caller's may_dispatch decides, behind it nobody does. */
enum fl_code fl_run_start(struct fl_op *op, struct fl_run *run) FL_MUST_CHECK;
void fl_run_fini(struct fl_run *run);
/* Nobody wants it any more, and it was sent: its tool is told, if it is at work here, and may end
 * early. The outcome is whatever it says. */
void fl_run_tell_cancelled(struct fl_core *core, const struct fl_uuid *approval);
/* Is a tool at work on it in this process? Then nobody here calls its outcome unknown: the plugin's
 * end, or its kill, does. */
bool fl_run_is_sent(const struct fl_core *core, const struct fl_uuid *approval);

#endif
