/* Deciding: the second transaction of a call's life.
 *
 *   lock the row in a statement of its own, then read votes and people (each statement sees what
 *   was committed while the lock was awaited), count, write the vote, move the row if the quorum is
 *   reached, commit. (Vote and conditional update in one statement lose quorums under concurrency.)
 */
#include "runtime/approval/decide.h"

#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/alert.h"
#include "runtime/approval/content.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/look.h"
#include "runtime/approval/runner.h"
#include "runtime/store/vote.h"

#define REASON_MAX 2000
#define FAST_MS    2000 /* nobody reads a card in that time */

FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(refused);
FL_STEP_DECLARE(expired);
FL_STEP_DECLARE(done);

static struct fl_decide *decide_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_decide, flow);
}

static bool is_approval(const struct fl_decide *d)
{
    return d->verdict == FL_VERDICT_APPROVE || d->verdict == FL_VERDICT_BREAK_GLASS;
}

FL_STEP(open)
{
    struct fl_decide *d = decide_of(f);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, d->tx));
}

FL_STEP(opened)
{
    struct fl_decide *d = decide_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_decide_hold(d);
    fl_decide_read(d);
    d->q_people = fl_store_people(d->tx);
    return fl_await(f, &S_locked, fl_tx_round(&f->op, d->tx));
}

/* In this order, as an offboarding has them: the membership, accounts and tokens, the approvals. */
void fl_decide_hold(struct fl_decide *d)
{
    fl_store_member_hold(d->tx, &d->person);
    fl_store_evidence(d->tx, &d->person, &d->evidence, &d->proof);
}

void fl_decide_read(struct fl_decide *d)
{
    d->q_row = fl_store_approval_lock(d->tx, &d->approval);
    d->q_votes = fl_store_votes(d->tx, &d->approval);
    if (is_approval(d))
        d->q_content = d->is_shown ? fl_store_approval_content(d->tx, &d->approval)
                                   : fl_store_approval_arguments(d->tx, &d->approval);
}

static void event(struct fl_decide *d, struct fl_audit_event *e, enum fl_audit_kind kind)
{
    fl_audit_init(e, &d->organization, kind, FL_ACTOR_PERSON, &d->person, "approval", &d->approval);
    fl_audit_text(e, "person", d->person_name);
    fl_audit_z(e, "via", d->via);
    fl_audit_bool(e, "second_factor", d->has_second_factor);
}

/* What somebody hears who comes too late. */
static enum fl_code late(struct fl_decide *d, struct fl_err *err)
{
    const struct fl_approval *row = &d->row;
    if (d->verdict == FL_VERDICT_REVIEW)
        return fl_err_set(err, FL_CONFLICT, "no review of it is due");
    if (d->verdict == FL_VERDICT_REOPEN)
        return fl_err_set(err, FL_CONFLICT, "it is %s, not rejected", fl_state_word(row->state));
    return fl_err_set(err, FL_CONFLICT, "it is %s already%s%.*s", fl_state_word(row->state),
                      row->decided_by.n ? ", decided by " : "", FL_STR_ARG(row->decided_by));
}

/* Is the stored call the one that was asked for? FL_CONFLICT if it is not. */
static enum fl_code check_digest(struct fl_decide *d, struct fl_err *err)
{
    struct fl_content_call call;
    struct fl_err why;
    uint64_t failures = fl_mem_failures();
    struct fl_str sealed = fl_cell_bytes(d->q_content, d->arena, 0, 0);
    enum fl_code code =
        fl_content_arguments(d->core, &d->organization, &d->row, sealed, d->arena, &call, &why);
    if (code == FL_OK) {
        fl_cleanse((char *)call.arguments.p, call.arguments.n);
        return FL_OK;
    }
    if (fl_mem_failures() != failures)
        return fl_err_code(err, FL_NOMEM);
    d->is_tampered = code == FL_CONFLICT || code == FL_BAD_KEY;
    if (!d->is_tampered)
        return fl_err_set(err, code, "%s", why.text);
    FL_LOG(ERROR, "approval_tampered", FL_KU("org", &d->organization), FL_KU("call", &d->approval),
           FL_KS("reason", why.text));
    return fl_err_set(err, FL_CONFLICT, "it cannot be approved: %s", why.text);
}

/* Is it in a state in which this can be done at all? */
static bool is_open(const struct fl_decide *d)
{
    enum fl_approval_state state = d->row.state;
    if (d->verdict == FL_VERDICT_REOPEN)
        return state == FL_APPROVAL_REJECTED;
    if (d->verdict == FL_VERDICT_REVIEW)
        return d->row.review_due_ms && !d->row.reviewed_at_ms;
    bool can_undo = state == FL_APPROVAL_APPROVED && d->row.claimable_in_ms > 0;
    return state == FL_APPROVAL_PENDING || (d->verdict == FL_VERDICT_WITHDRAW && can_undo);
}

static enum fl_code check_review(const struct fl_decide *d, struct fl_err *err)
{
    if (fl_uuid_cmp(&d->row.broken_by, &d->person) == 0 ||
        fl_ballot_is_excluded(&d->ballot, &d->person))
        return fl_err_set(err, FL_FORBIDDEN,
                          "somebody reviews it who neither broke the glass nor owns the agent");
    return FL_OK;
}

void fl_decide_words(struct fl_str tool, char out[FL_DECIDE_WORDS])
{
    fl_utf8_format(out, FL_DECIDE_WORDS, "approve %.*s", FL_STR_ARG(tool));
}

bool fl_decide_is_typed(struct fl_str tool, struct fl_str typed)
{
    char words[FL_DECIDE_WORDS];
    fl_decide_words(tool, words);
    return fl_str_eq_nocase(fl_str_trim(typed), fl_str_of(words));
}

/* A click is not enough for it. */
static enum fl_code check_typed(const struct fl_decide *d, struct fl_err *err)
{
    char words[FL_DECIDE_WORDS];
    if (fl_decide_is_typed(d->row.tool, d->typed))
        return FL_OK;
    fl_decide_words(d->row.tool, words);
    return fl_err_set(err, FL_BAD_PARAMS,
                      "approving it takes typing exactly '%s'; nothing was "
                      "decided",
                      words);
}

/* Alone, so with all that can be asked of one person; rules lift nothing here. */
static enum fl_code check_glass(const struct fl_decide *d, const struct fl_quorum_person *person,
                                struct fl_err *err)
{
    enum fl_code code = fl_role_require(person->role, FL_ACTION_BREAK_GLASS, err);
    if (code)
        return code;
    if (fl_ballot_is_excluded(&d->ballot, &d->person))
        return fl_err_set(err, FL_FORBIDDEN,
                          "you own the agent, or changed the call: somebody else breaks the glass");
    if (!d->has_second_factor)
        return fl_err_set(err, FL_FORBIDDEN, "breaking the glass takes your second factor");
    if (!d->reason.n || !d->binding.p)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "breaking the glass takes a 'reason' and the 'binding' of the card");
    return d->ask->needs_typed ? check_typed(d, err) : FL_OK;
}

/* FL_OK, or why this person cannot do this now. FL_FORBIDDEN is noted in the audit. */
static enum fl_code check(struct fl_decide *d, const struct fl_quorum_person **ret_person,
                          struct fl_err *err)
{
    char hex[2 * FL_DIGEST_BYTES + 1];
    const struct fl_quorum_person *person = fl_ballot_person(&d->ballot, &d->person);
    struct fl_quorum_facts facts;
    struct fl_quorum_vote vote = { d->person, d->verdict == FL_VERDICT_APPROVE,
                                   d->has_second_factor };
    if (!person)
        return fl_err_set(err, FL_FORBIDDEN, "you are not a member of this organization");
    if (!fl_role_may(person->role, FL_ACTION_DECIDE) || !person->is_active)
        return fl_err_set(err, FL_FORBIDDEN, "your role may not decide approvals");
    if (fl_store_proved(&d->proof, err) != FL_OK)
        return FL_FORBIDDEN;
    if (!is_open(d))
        return late(d, err);
    if (is_approval(d)) {
        enum fl_code digest = check_digest(d, err);
        if (digest)
            return digest;
    }
    if (d->binding.p &&
        !fl_str_eq_nocase(d->binding,
                          fl_str_of(fl_hex(d->row.binding_digest.p, d->row.binding_digest.n, hex))))
        return fl_err_set(err, FL_CONFLICT, "it is not the call that you were shown");
    *ret_person = person;
    if (d->verdict == FL_VERDICT_WITHDRAW)
        return FL_OK;
    if (d->verdict == FL_VERDICT_BREAK_GLASS)
        return check_glass(d, person, err);
    if (d->verdict == FL_VERDICT_REVIEW)
        return check_review(d, err);
    fl_ballot_facts(&d->ballot, d->ask, &facts);
    enum fl_code code = fl_quorum_may_vote(&facts, person, &vote, err);
    if (code == FL_OK && d->verdict == FL_VERDICT_APPROVE && !d->binding.p)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "an approval must say which call was shown: the 'binding' of its card");
    if (code == FL_OK && d->verdict == FL_VERDICT_APPROVE && d->ask->needs_typed)
        return check_typed(d, err);
    return code;
}

/* Whatever a client shows or leaves out: what cannot be shown whole cannot be approved. */
static enum fl_code check_shown(struct fl_decide *d, struct fl_err *err)
{
    struct fl_look look = { .core = d->core,
                            .organization = d->organization,
                            .id = d->approval,
                            .wants_arguments = true,
                            .arena = d->arena,
                            .row = d->row,
                            .ballot = d->ballot,
                            .q_content = d->q_content };
    enum fl_code code = fl_look_open(&look, err);
    if (code == FL_OK)
        code = d->is_shown(d, &look, err);
    if (look.arguments.p)
        fl_cleanse((char *)look.arguments.p, look.arguments.n);
    return code;
}

static void describe(struct fl_decide *d)
{
    struct fl_buf progress = FL_BUF_INIT;
    fl_ballot_progress(&d->quorum, &progress);
    fl_utf8_format(d->progress, sizeof d->progress, "%s", progress.p ? progress.p : "");
    fl_buf_fini(&progress);
}

/* Where votes lead that are enough. A canary is never approved: the row ends, and says why. */
static enum fl_approval_state approved(const struct fl_decide *d)
{
    return fl_approval_is_canary(&d->row) ? FL_APPROVAL_CANCELLED : FL_APPROVAL_APPROVED;
}

/* What the row says of how it ended; p NULL: nothing. */
static struct fl_str ending(struct fl_decide *d)
{
    if (d->state == FL_APPROVAL_REJECTED)
        return d->reason;
    if (d->state != FL_APPROVAL_CANCELLED)
        return (struct fl_str){ NULL, 0 };
    char *text = fl_arena_printf(d->arena, "%.*s approved it", FL_STR_ARG(d->person_name));
    return fl_str_of(text ? text : "it was approved");
}

/* Beside the event of the deciding vote: what it says of who approves. */
static void canary_event(struct fl_decide *d)
{
    struct fl_audit_event e;
    if (!fl_approval_is_canary(&d->row) || !d->is_decided)
        return;
    bool is_caught = d->state == FL_APPROVAL_REJECTED;
    event(d, &e, is_caught ? FL_AUDIT_CANARY_CAUGHT : FL_AUDIT_CANARY_APPROVED);
    fl_audit_text(&e, "agent", d->row.agent);
    fl_audit_text(&e, "tool", d->row.tool);
    fl_audit_z(&e, "progress", d->progress);
    fl_audit_append(&e, d->tx);
    if (!is_caught)
        fl_alert_canary(d->tx, &d->row, d->person_name);
}

/* A vote was taken back from what is approved and not claimed yet. */
static void undo(struct fl_decide *d)
{
    struct fl_audit_event e;
    char *reason =
        fl_arena_printf(d->arena, "%.*s took the approval back%s%.*s", FL_STR_ARG(d->person_name),
                        d->reason.n ? ": " : "", FL_STR_ARG(d->reason));
    describe(d);
    d->state = d->row.state;
    event(d, &e, FL_AUDIT_APPROVAL_WITHDRAWN);
    fl_audit_z(&e, "progress", d->progress);
    fl_audit_text(&e, "reason", d->reason);
    fl_audit_append(&e, d->tx);
    if (d->quorum.state == FL_QUORUM_APPROVED)
        return; /* enough without it */
    d->state = FL_APPROVAL_VOIDED;
    d->q_moved = fl_store_approval_move(d->tx, &d->approval, FL_APPROVAL_APPROVED,
                                        FL_APPROVAL_VOIDED, fl_str_of(reason ? reason : ""));
    event(d, &e, FL_AUDIT_APPROVAL_VOIDED);
    fl_audit_z(&e, "reason", reason ? reason : "");
    fl_audit_append(&e, d->tx);
}

/* Adds the vote's statements; the quorum with it is in d->quorum. */
static enum fl_code vote(struct fl_decide *d, struct fl_err *err)
{
    struct fl_audit_event e;
    struct fl_quorum_facts facts;
    struct fl_str for_people = { NULL, 0 };
    bool approves = d->verdict == FL_VERDICT_APPROVE;
    bool is_owner = fl_ballot_is_owner(&d->ballot, &d->person);
    if (d->verdict == FL_VERDICT_WITHDRAW) {
        size_t at = 0;
        while (at < d->ballot.vote_count &&
               fl_uuid_cmp(&d->ballot.votes[at].person, &d->person) != 0)
            at++;
        if (at == d->ballot.vote_count)
            return fl_err_set(err, FL_CONFLICT, "you have not voted on it");
        d->ballot.votes[at] = d->ballot.votes[--d->ballot.vote_count];
        fl_store_vote_withdraw(d->tx, &d->approval, &d->person);
    } else {
        enum fl_code named =
            fl_ballot_stands_in(&d->ballot, d->ask, fl_ballot_person(&d->ballot, &d->person),
                                d->arena, &for_people, err);
        if (named)
            return named;
        fl_ballot_vote(&d->ballot, &d->person, approves, d->has_second_factor, for_people);
        fl_store_vote_put(d->tx, &d->approval, &d->person, approves, d->reason, d->via,
                          d->has_second_factor, is_owner, for_people);
    }
    fl_ballot_facts(&d->ballot, d->ask, &facts);
    enum fl_code code = fl_quorum_count(&facts, &d->quorum, err);
    if (code)
        return code;
    if (d->row.state == FL_APPROVAL_APPROVED) {
        undo(d);
        return FL_OK;
    }
    if (d->verdict == FL_VERDICT_WITHDRAW && d->quorum.state != FL_QUORUM_OPEN)
        return fl_err_set(err, FL_CONFLICT, "the votes decide it already");
    describe(d);
    d->is_decided = d->quorum.state != FL_QUORUM_OPEN;
    d->state = d->quorum.state == FL_QUORUM_APPROVED   ? approved(d)
               : d->quorum.state == FL_QUORUM_REJECTED ? FL_APPROVAL_REJECTED
                                                       : FL_APPROVAL_PENDING;
    event(d, &e,
          d->state == FL_APPROVAL_APPROVED    ? FL_AUDIT_APPROVAL_APPROVED
          : d->state == FL_APPROVAL_REJECTED  ? FL_AUDIT_APPROVAL_REJECTED
          : d->state == FL_APPROVAL_CANCELLED ? FL_AUDIT_APPROVAL_CANCELLED
          : d->verdict == FL_VERDICT_WITHDRAW ? FL_AUDIT_APPROVAL_WITHDRAWN
                                              : FL_AUDIT_APPROVAL_VOTED);
    fl_audit_bool(&e, "approves", approves);
    fl_audit_z(&e, "progress", d->progress);
    fl_audit_text(&e, "reason", d->reason);
    fl_audit_hex(&e, "binding", d->row.binding_digest.p, d->row.binding_digest.n);
    if (is_owner)
        fl_audit_bool(&e, "owner_decided", true);
    fl_audit_text(&e, "for", for_people);
    fl_audit_append(&e, d->tx);
    canary_event(d);
    if (d->is_decided)
        d->q_moved = fl_store_approval_decide(
            d->tx, &d->approval, d->state, d->person_name, ending(d), d->may_ask_again,
            d->state == FL_APPROVAL_APPROVED ? d->ask->undo_ms : 0);
    return FL_OK;
}

/* Names of the owners, whom it concerns. */
static struct fl_str owners_of(struct fl_decide *d)
{
    struct fl_buf out = FL_BUF_INIT;
    for (size_t i = 0; i < d->ballot.person_count; i++) {
        const struct fl_quorum_person *p = &d->ballot.people[i];
        if (p->role != FL_ROLE_OWNER || !p->is_active)
            continue;
        fl_buf_puts(&out, out.n ? "," : "");
        fl_buf_str(&out, p->name);
    }
    struct fl_str names = out.is_failed ? FL_STR("") : fl_arena_str(d->arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return names;
}

static enum fl_code break_glass(struct fl_decide *d, struct fl_err *err)
{
    struct fl_audit_event e;
    struct fl_quorum_facts facts;
    fl_ballot_vote(&d->ballot, &d->person, true, true, (struct fl_str){ NULL, 0 });
    fl_ballot_facts(&d->ballot, d->ask, &facts);
    enum fl_code code = fl_quorum_count(&facts, &d->quorum, err);
    if (code)
        return code;
    if (d->quorum.state == FL_QUORUM_REJECTED)
        return fl_err_set(err, FL_CONFLICT, "the votes reject it already");
    bool is_canary = fl_approval_is_canary(&d->row);
    struct fl_str owners = owners_of(d);
    code = is_canary ? FL_OK : fl_alert_glass(d->tx, &d->row, d->person_name, d->reason, err);
    if (code)
        return code;
    describe(d);
    fl_store_vote_put(d->tx, &d->approval, &d->person, true, d->reason, "break-glass", true, false,
                      (struct fl_str){ NULL, 0 });
    d->is_decided = true;
    d->state = approved(d);
    event(d, &e, is_canary ? FL_AUDIT_APPROVAL_CANCELLED : FL_AUDIT_APPROVAL_APPROVED);
    fl_audit_bool(&e, "approves", true);
    fl_audit_bool(&e, "break_glass", true);
    fl_audit_z(&e, "progress", d->progress);
    fl_audit_text(&e, "reason", d->reason);
    fl_audit_hex(&e, "binding", d->row.binding_digest.p, d->row.binding_digest.n);
    fl_audit_append(&e, d->tx);
    if (is_canary) { /* no call was let through: there is nothing to review */
        canary_event(d);
        d->q_moved = fl_store_approval_decide(d->tx, &d->approval, d->state, d->person_name,
                                              ending(d), false, 0);
        return FL_OK;
    }
    event(d, &e, FL_AUDIT_APPROVAL_GLASS);
    fl_audit_text(&e, "reason", d->reason);
    fl_audit_text(&e, "owners", owners);
    fl_audit_append(&e, d->tx);
    FL_LOG(WARN, "glass_broken", FL_KU("org", &d->organization), FL_KU("call", &d->approval),
           FL_KV("by", d->person_name));
    fl_store_approval_break(d->tx, &d->approval, &d->person);
    d->q_moved = fl_store_approval_decide(d->tx, &d->approval, d->state, d->person_name,
                                          (struct fl_str){ NULL, 0 }, false, 0);
    return FL_OK;
}

static enum fl_code review(struct fl_decide *d)
{
    struct fl_audit_event e;
    d->q_moved = fl_store_approval_review(d->tx, &d->approval, d->person_name);
    event(d, &e, FL_AUDIT_APPROVAL_REVIEWED);
    fl_audit_text(&e, "reason", d->reason);
    fl_audit_append(&e, d->tx);
    return FL_OK;
}

/* Lifts what keeps the agent from asking again after a rejection. */
static enum fl_code reopen(struct fl_decide *d, struct fl_err *err)
{
    struct fl_audit_event e;
    if (fl_approval_is_canary(&d->row))
        return fl_err_set(err, FL_CONFLICT, "it was a test: no agent asked for it");
    if (d->row.may_ask_again)
        return fl_err_set(err, FL_CONFLICT, "the agent may ask again already");
    d->q_moved = fl_store_approval_reopen(d->tx, &d->approval);
    event(d, &e, FL_AUDIT_APPROVAL_REOPENED);
    fl_audit_text(&e, "reason", d->reason);
    fl_audit_append(&e, d->tx);
    return FL_OK;
}

/* What is to be written when nothing speaks against it. */
static enum fl_code carry_out(struct fl_decide *d, struct fl_err *err)
{
    switch (d->verdict) {
    case FL_VERDICT_REOPEN: return reopen(d, err);
    case FL_VERDICT_BREAK_GLASS: return break_glass(d, err);
    case FL_VERDICT_REVIEW: return review(d);
    default: return vote(d, err);
    }
}

/* Nothing more can be done with it but to say so. */
static void expire(struct fl_decide *d)
{
    struct fl_audit_event e;
    fl_store_approval_move(d->tx, &d->approval, FL_APPROVAL_PENDING, FL_APPROVAL_EXPIRED,
                           (struct fl_str){ NULL, 0 });
    fl_audit_init(&e, &d->organization, FL_AUDIT_APPROVAL_EXPIRED, FL_ACTOR_SYSTEM,
                  &d->core->worker, "approval", &d->approval);
    fl_audit_append(&e, d->tx);
    if (!fl_approval_is_canary(&d->row))
        return;
    d->core->stats.canaries_missed++;
    fl_audit_init(&e, &d->organization, FL_AUDIT_CANARY_MISSED, FL_ACTOR_SYSTEM, &d->core->worker,
                  "approval", &d->approval);
    fl_audit_append(&e, d->tx);
}

void fl_decide_judge(struct fl_decide *d)
{
    const struct fl_quorum_person *person = NULL;
    enum fl_code code = FL_OK;
    if (!fl_store_approval_read(d->q_row, 0, d->arena, &d->row))
        code = fl_rows(d->q_row) == 1
                   ? fl_err_code(&d->refusal, FL_NOMEM)
                   : fl_err_set(&d->refusal, FL_NOT_FOUND, "there is no such approval");
    d->state = d->row.state;
    if (code == FL_OK)
        code = fl_ballot_read(&d->ballot, d->arena, d->q_people, d->q_votes, &d->row, &d->refusal);
    if (code == FL_OK && is_open(d))
        code = fl_policy_ask_load(d->row.ask, &d->ask, &d->refusal);
    if (code == FL_OK)
        code = check(d, &person, &d->refusal);
    if (code == FL_OK && is_approval(d) && d->is_shown)
        code = check_shown(d, &d->refusal);
    d->refusal.code = code;
}

enum fl_decide_end fl_decide_write(struct fl_decide *d)
{
    struct fl_audit_event e;
    enum fl_code code = d->refusal.code;
    if (code == FL_FORBIDDEN || d->is_tampered) {
        event(d, &e, d->is_tampered ? FL_AUDIT_APPROVAL_TAMPERED : FL_AUDIT_APPROVAL_REFUSED);
        fl_audit_z(&e, "why", d->refusal.text);
        fl_audit_append(&e, d->tx);
        if (d->is_tampered)
            fl_alert_tampered(d->tx, &d->row);
        return FL_DECIDE_REFUSED;
    }
    if (code == FL_OK && d->row.is_expired && d->row.state == FL_APPROVAL_PENDING) {
        expire(d);
        return FL_DECIDE_EXPIRED;
    }
    if (code == FL_OK)
        code = carry_out(d, &d->refusal);
    d->refusal.code = code;
    return code ? FL_DECIDE_FAILED : FL_DECIDE_VOTED;
}

FL_STEP(locked)
{
    struct fl_decide *d = decide_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_decide_judge(d);
    switch (fl_decide_write(d)) {
    case FL_DECIDE_REFUSED: return fl_await(f, &S_refused, fl_tx_commit(&f->op, d->tx));
    case FL_DECIDE_EXPIRED: return fl_await(f, &S_expired, fl_tx_commit(&f->op, d->tx));
    case FL_DECIDE_VOTED: return fl_await(f, &S_done, fl_tx_commit(&f->op, d->tx));
    case FL_DECIDE_FAILED: break;
    }
    return fl_fail_with(f, d->refusal.code, "%s", d->refusal.text);
}

FL_STEP(refused)
{
    struct fl_decide *d = decide_of(f);
    return f->op.code ? fl_fail(f) : fl_fail_with(f, d->refusal.code, "%s", d->refusal.text);
}

FL_STEP(expired)
{
    struct fl_decide *d = decide_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_hub_changed(d->core->hub, &d->organization, &d->approval);
    return fl_fail_with(f, FL_CONFLICT, "it has expired");
}

static void count(struct fl_core_stats *stats, enum fl_approval_state state, int64_t took_ms)
{
    stats->decided++;
    stats->approved += state == FL_APPROVAL_APPROVED;
    stats->decide_ms += took_ms > 0 ? (uint64_t)took_ms : 0;
    stats->decided_fast += took_ms < FAST_MS;
}

static void count_canary(struct fl_core_stats *stats, enum fl_approval_state state)
{
    stats->canaries_caught += state == FL_APPROVAL_REJECTED;
    stats->canaries_approved += state == FL_APPROVAL_CANCELLED;
}

/* Whoever waits goes on; what may run from now on, at once. */
static void wake(struct fl_decide *d)
{
    bool may_run = d->is_decided && d->state == FL_APPROVAL_APPROVED && !d->row.frozen_at_ms &&
                   (!d->ask->undo_ms || d->verdict == FL_VERDICT_BREAK_GLASS);
    if (may_run && d->row.wait_mode == FL_WAIT_HELD)
        fl_hub_approved(d->core->hub, &d->organization, &d->approval,
                        fl_cell_int(d->q_moved, 0, 1));
    else
        fl_hub_changed(d->core->hub, &d->organization, &d->approval);
    if (may_run && d->row.wait_mode == FL_WAIT_TASK)
        fl_runner_kick(d->core, &d->organization, &d->row.server_id, &d->approval);
}

enum fl_code fl_decide_tell(struct fl_decide *d, struct fl_err *err)
{
    char span[FL_TIME_BYTES];
    if (d->q_moved && fl_rows(d->q_moved) != 1) /* cannot be under the lock */
        return fl_err_set(err, FL_INTERNAL, "the approval changed under its lock");
    bool is_canary = fl_approval_is_canary(&d->row);
    if (d->is_decided && is_canary)
        count_canary(&d->core->stats, d->state);
    else if (d->is_decided)
        count(&d->core->stats, d->state, fl_cell_int(d->q_moved, 0, 0));
    wake(d);
    if (d->verdict == FL_VERDICT_REOPEN)
        snprintf(d->text, sizeof d->text, "the agent may ask again");
    else if (d->verdict == FL_VERDICT_REVIEW)
        snprintf(d->text, sizeof d->text, "reviewed");
    else if (is_canary && d->state == FL_APPROVAL_CANCELLED)
        fl_utf8_format(d->text, sizeof d->text,
                       "this was a test: nothing ran. No agent asked for %.*s, and it should have "
                       "been rejected",
                       FL_STR_ARG(d->row.tool));
    else if (is_canary && d->state == FL_APPROVAL_REJECTED)
        snprintf(d->text, sizeof d->text,
                 "rejected; this was a test, and rejecting it was right: "
                 "thank you");
    else if (d->verdict == FL_VERDICT_BREAK_GLASS)
        snprintf(d->text, sizeof d->text, "approved by you alone; a review is due within 24 h");
    else if (d->state == FL_APPROVAL_VOIDED)
        snprintf(d->text, sizeof d->text, "taken back; it does not run");
    else if (d->row.state == FL_APPROVAL_APPROVED)
        snprintf(d->text, sizeof d->text, "taken back; it is approved without it");
    else if (d->state == FL_APPROVAL_APPROVED && d->row.frozen_at_ms && d->ask->undo_ms)
        snprintf(d->text, sizeof d->text,
                 "approved; stopped, can be taken back until %s after the stop is lifted",
                 fl_duration_format(d->ask->undo_ms, span));
    else if (d->state == FL_APPROVAL_APPROVED && d->row.frozen_at_ms)
        snprintf(d->text, sizeof d->text, "approved; stopped, runs %s",
                 d->row.wait_mode == FL_WAIT_LEFT
                     ? "once the stop is lifted and the agent collects it"
                     : "after the stop is lifted");
    else if (d->state == FL_APPROVAL_APPROVED && d->ask->undo_ms)
        snprintf(d->text, sizeof d->text, "approved; it can be taken back for %s",
                 fl_duration_format(d->ask->undo_ms, span));
    else if (d->state == FL_APPROVAL_APPROVED)
        snprintf(d->text, sizeof d->text, "approved%s",
                 d->row.wait_mode == FL_WAIT_LEFT ? "; it runs when the agent collects it" : "");
    else if (d->state == FL_APPROVAL_REJECTED)
        snprintf(d->text, sizeof d->text, "rejected");
    else
        fl_utf8_format(d->text, sizeof d->text, "recorded: %s", d->progress);
    return FL_OK;
}

FL_STEP(done)
{
    struct fl_decide *d = decide_of(f);
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    if (fl_decide_tell(d, &err) != FL_OK)
        return fl_fail_with(f, err.code, "%s", err.text);
    return fl_end(f);
}

FL_STEP(failed)
{
    fl_tx_abandon(decide_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_decide *d = decide_of(f);
    struct fl_op *op = d->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(d->tx);
    fl_policy_ask_free(&d->ask);
    fl_arena_free(&d->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_decide, post)->flow, &S_open);
}

enum fl_code fl_decide_start(struct fl_op *op, struct fl_decide *d)
{
    if (d->reason.n > REASON_MAX)
        return fl_err_set(&op->err, FL_BAD_PARAMS, "the reason is longer than %d bytes",
                          REASON_MAX);
    d->arena = fl_arena_new(0);
    if (!d->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    d->tx = &d->own_tx;
    fl_tx_init(d->tx, d->core->pg, d->arena, &d->organization);
    fl_flow_init(&d->flow, &S_failed, on_ended);
    d->op = op;
    fl_op_start(op, NULL, d);
    d->post = (struct fl_post){ .run = on_start };
    fl_loop_post(d->core->loop, &d->post);
    return FL_OK;
}
