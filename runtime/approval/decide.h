/* The one function that decides, for the CLI, REST, and every chat alike. Authority is read inside
 * the deciding transaction, behind the lock on the approval's row. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_DECIDE_H
#define FLOPINIO_APPROVAL_DECIDE_H

#include "flopinio/base/flow.h"
#include "policy/quorum.h"
#include "runtime/approval/ballot.h"
#include "runtime/approval/core.h"
#include "runtime/store/approval.h"
#include "runtime/store/evidence.h"

struct fl_look;

enum fl_verdict {
    FL_VERDICT_APPROVE,
    FL_VERDICT_REJECT,
    FL_VERDICT_WITHDRAW,
    FL_VERDICT_REOPEN,
    FL_VERDICT_BREAK_GLASS, /* approve alone, whoever else is asked; owners only */
    FL_VERDICT_REVIEW       /* of that, by somebody else */
};

struct fl_decide {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, approval;
    struct fl_uuid person; /* proved before; what they may do is read here */
    struct fl_str person_name;
    struct fl_evidence evidence; /* what they proved it with; it must hold still */
    bool has_second_factor;      /* proved with this decision */
    enum fl_verdict verdict;
    struct fl_str reason; /* p NULL: none; at most 2000 bytes */
    bool may_ask_again;   /* with a rejection: the agent may repeat the call */
    const char *via;      /* "cli", "api" */
    struct fl_str typed;  /* where the rule has typed_confirmation: fl_decide_words; p NULL: none */
    struct fl_str binding; /* digest that the person was shown, hex; p NULL: not said, which is
                            * enough to reject only */
    /* Asked of an approval against which nothing else speaks, under the lock: is everything that it
     * is about in what people are shown? FL_CONFLICT with one sentence. NULL: whoever calls shows
     * it page by page, and knows. */
    enum fl_code (*is_shown)(const struct fl_decide *decide, const struct fl_look *look,
                             struct fl_err *err);
    /* ---- outputs ---- */
    enum fl_approval_state state; /* after it */
    bool is_decided;              /* by this vote */
    char progress[512];           /* "1 of 2 from ops" */
    char text[FL_ERR_TEXT_BYTES]; /* what happened, for the person */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_tx own_tx, *tx; /* `tx` is the own one, or that of many decisions (reject.c) */
    struct fl_query *q_row, *q_votes, *q_people, *q_content, *q_moved;
    struct fl_proof proof;
    bool is_tampered; /* the stored row does not match its digest: said in the audit */
    struct fl_approval row;
    struct fl_ballot ballot;
    struct fl_ask *ask;
    struct fl_quorum quorum;
    struct fl_err refusal;
    struct fl_post post;
};

/* FL_OK: the vote is recorded. FL_BAD_PARAMS (approved without saying what), FL_NOT_FOUND,
 * FL_FORBIDDEN (a sentence for the person; the attempt is in the audit), FL_CONFLICT (decided,
 * over, not what they were shown, or not what was asked for: then the audit says so),
 * FL_UNAVAILABLE. */
enum fl_code fl_decide_start(struct fl_op *op, struct fl_decide *decide) FL_MUST_CHECK;

/* What somebody types to approve a call of this tool: "approve TOOL", cut to fit. */
#define FL_DECIDE_WORDS 200
void fl_decide_words(struct fl_str tool, char out[FL_DECIDE_WORDS]);
bool fl_decide_is_typed(struct fl_str tool, struct fl_str typed);

/* ---- the same for many decisions in one transaction: `tx`, `arena` and the inputs are set ---- */
enum fl_decide_end {
    FL_DECIDE_VOTED,
    FL_DECIDE_REFUSED, /* `refusal`; the attempt is to be committed to the audit */
    FL_DECIDE_EXPIRED, /* moved, to be committed */
    FL_DECIDE_FAILED   /* `refusal`; nothing of it is to be committed */
};
/* Appends the statements that lock who decides and what proves it: once for all, of any of them. */
void fl_decide_hold(struct fl_decide *decide);
/* Appends the statements that lock and read it; the caller appends `q_people`, once for all. */
void fl_decide_read(struct fl_decide *decide);
/* After their round, for all of them before anything is appended: `refusal` says what speaks
 * against it. */
void fl_decide_judge(struct fl_decide *decide);
/* Decides, and appends what is to be written. */
enum fl_decide_end fl_decide_write(struct fl_decide *decide);
/* After the commit of what was voted: wakes whoever waits. FL_INTERNAL. */
enum fl_code fl_decide_tell(struct fl_decide *decide, struct fl_err *err) FL_MUST_CHECK;

#endif
