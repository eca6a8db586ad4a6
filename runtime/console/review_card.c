/* Signed in: the card as it is now, and deciding it. What may be pressed is shown by what may be
 * done; what is pressed is asked again: of the session, of the card, and in the deciding
 * transaction of the person's authority. */
#include <stdio.h>

#include "flopinio/base/utf8.h"
#include "runtime/console/review_priv.h"
#include "runtime/notify/card_html.h"
#include "runtime/store/channel.h"
#include "runtime/store/mail.h"

FL_STEP_DECLARE(known);
FL_STEP_DECLARE(look);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(act);
FL_STEP_DECLARE(proved);
FL_STEP_DECLARE(shown_whole);
FL_STEP_DECLARE(decide);
FL_STEP_DECLARE(decided);
FL_STEP_DECLARE(show);
FL_STEP_DECLARE(shown);

static const struct fl_html_look look_of_page = { .label = "",
                                                  .text = " class=\"text\"",
                                                  .code = " class=\"code\"" };

static struct fl_review *review_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_review, flow);
}

static struct fl_str hash_of(const struct fl_review *r)
{
    return fl_bytes(r->hash, sizeof r->hash);
}

/* ---------------------------------------------------------------- who, and about what */
fl_next fl_review_card_begin(struct fl_review *r)
{
    if (!r->cookie.p)
        return fl_review_say(r, 401, "Sign in",
                             "Nobody is signed in here: open the newest link that was mailed to "
                             "you. Nothing was decided.");
    struct fl_tx *tx = fl_review_tx(r);
    r->q = fl_store_mail_session(tx, hash_of(r), &r->card, &r->channel_id, FL_REVIEW_SESSION_MS,
                                 FL_REVIEW_MOST_MS);
    r->q_channel = fl_store_channel_get(tx, &r->channel_id);
    return fl_await(&r->flow, &S_known, fl_tx_submit(&r->flow.op, tx));
}

/* Columns of fl_store_mail_session: approval_id, person_id, name, pages, is_read, is_proved; of
 * fl_store_channel_get the fourth is disclose. */
FL_STEP(known)
{
    struct fl_review *r = review_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(r->q) != 1 || fl_rows(r->q_channel) != 1)
        return fl_review_say(r, 401, "Sign in",
                             "You are not signed in here any more: open the newest link that was "
                             "mailed to you. Nothing was decided.");
    r->approval = fl_cell_uuid(r->q, 0, 0);
    r->person = fl_cell_uuid(r->q, 0, 1);
    r->person_name = fl_arena_str(r->arena, fl_cell(r->q, 0, 2));
    r->pages = fl_cell_int(r->q, 0, 3);
    r->is_read = fl_cell_bool(r->q, 0, 4);
    r->is_proved = fl_cell_bool(r->q, 0, 5);
    r->is_summary = !fl_str_is(fl_cell(r->q_channel, 0, 3), "full");
    return &S_look;
}

FL_STEP(look)
{
    struct fl_review *r = review_of(f);
    fl_approval_view_fini(&r->view);
    r->view = (struct fl_approval_view){ 0 };
    fl_look_fini(&r->look);
    r->look = (struct fl_look){ .core = r->server->core,
                                .organization = r->organization_id,
                                .id = r->approval,
                                .wants_arguments = true,
                                .wants_ballot = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &r->look));
}

/* This page is no third party's, but the link to it went through one: where that may see a summary
 * only, the arguments are shown to whoever gives the passphrase too. */
static enum fl_code make_card(struct fl_review *r, struct fl_err *err)
{
    enum fl_code code =
        fl_approval_view_read(&r->view, r->arena, &r->look.row, &r->look.ballot, err);
    if (code)
        return code;
    r->is_summary |= !r->view.ask || r->view.ask->disclose == FL_DISCLOSE_SUMMARY;
    struct fl_approval_texts texts = { .arguments = r->look.arguments,
                                       .preview = r->look.preview,
                                       .justification = r->look.justification,
                                       .is_tampered = r->look.is_tampered,
                                       .disclose = r->is_summary && !r->is_proved
                                                       ? FL_DISCLOSE_SUMMARY
                                                       : FL_DISCLOSE_FULL };
    return fl_card_of(r->arena, &r->view, &texts, r->server->core->keys, &r->organization_id,
                      FL_REVIEW_WHOLE_MAX, &r->shown, err);
}

FL_STEP(looked)
{
    struct fl_review *r = review_of(f);
    if (f->op.code == FL_NOT_FOUND)
        return fl_review_say(r, 404, "Not there", "There is no such call any more.");
    if (f->op.code || make_card(r, &f->op.err) != FL_OK)
        return fl_fail_with(f, FL_UNAVAILABLE, "the card could not be made: %s", f->op.err.text);
    return r->is_post && !r->has_tried ? &S_act : &S_show;
}

/* ---------------------------------------------------------------- what was pressed */
static fl_next refuse(struct fl_review *r, int status, const char *text)
{
    fl_utf8_format(r->banner, sizeof r->banner, "%s", text);
    r->status = status;
    return &S_show;
}

static fl_next prove(struct fl_review *r)
{
    r->auth = (struct fl_person_auth){ .people = r->server->people,
                                       .name = r->person_name,
                                       .passphrase = r->passphrase,
                                       .totp = r->code,
                                       .from = fl_arena_strndup(r->arena, r->from.p, r->from.n) };
    enum fl_code code = fl_person_auth_start(&r->flow.op, &r->auth);
    r->is_auth_open = code == FL_OK;
    return fl_await(&r->flow, &S_proved, code);
}

static bool approves(const struct fl_review *r)
{
    return fl_str_is(r->verdict, "approve");
}

FL_STEP(act)
{
    struct fl_review *r = review_of(f);
    bool is_open = fl_str_is(r->verdict, "open");
    r->has_tried = true;
    if (!is_open && !approves(r) && !fl_str_is(r->verdict, "reject") &&
        !fl_str_is(r->verdict, "withdraw"))
        return refuse(r, 400, "that is no button of this page; nothing was decided");
    if (r->reason.n > FL_REVIEW_REASON_MAX)
        return refuse(r, 400, "a reason has at most 2000 bytes; nothing was decided");
    if (approves(r) && r->shown.can_reject && !r->shown.can_approve)
        return refuse(r, 409, "it cannot be approved: not all of it is shown here");
    if (approves(r) && !r->is_read)
        return refuse(r, 409, "read it to its last page first; nothing was decided");
    bool needs_proof = is_open || (approves(r) && r->view.ask && r->view.ask->needs_second_factor);
    if (needs_proof && !r->passphrase.n)
        return refuse(r, 403, "it takes your passphrase, and the code of your authenticator");
    return needs_proof || r->passphrase.n ? prove(r) : &S_decide;
}

FL_STEP(proved)
{
    struct fl_review *r = review_of(f);
    if (f->op.code == FL_UNAUTHENTICATED || f->op.code == FL_TOO_MANY)
        return refuse(r, 403, f->op.err.text);
    if (f->op.code)
        return fl_fail(f);
    if (fl_uuid_cmp(&r->auth.id, &r->person) != 0)
        return refuse(r, 403, "that is somebody else's name");
    if (!fl_str_is(r->verdict, "open"))
        return &S_decide;
    fl_store_mail_proved(fl_review_tx(r), hash_of(r));
    return fl_await(f, &S_shown_whole, fl_tx_submit(&f->op, &r->tx));
}

static fl_next go_back(struct fl_review *r)
{
    r->location = fl_review_path(r, true);
    r->status = 303;
    return r->location ? fl_review_answer(r) : fl_fail_with(&r->flow, FL_NOMEM, "out of memory");
}

FL_STEP(shown_whole)
{
    return f->op.code ? fl_fail(f) : go_back(review_of(f));
}

static struct fl_evidence evidence_of(const struct fl_review *r)
{
    struct fl_evidence evidence = { .session = hash_of(r) };
    if (r->is_auth_open)
        evidence.passphrase_hash = r->auth.passphrase_hash;
    return evidence;
}

FL_STEP(decide)
{
    struct fl_review *r = review_of(f);
    static const struct fl_str nothing = { NULL, 0 };
    r->decide =
        (struct fl_decide){ .core = r->server->core,
                            .organization = r->organization_id,
                            .approval = r->approval,
                            .person = r->person,
                            .person_name = r->person_name,
                            .evidence = evidence_of(r),
                            .has_second_factor = r->is_auth_open && r->auth.has_second_factor,
                            .verdict = approves(r)                       ? FL_VERDICT_APPROVE
                                       : fl_str_is(r->verdict, "reject") ? FL_VERDICT_REJECT
                                                                         : FL_VERDICT_WITHDRAW,
                            .reason = r->reason.n ? r->reason : nothing,
                            .may_ask_again = r->may_ask_again && fl_str_is(r->verdict, "reject"),
                            .via = "mail",
                            .typed = r->typed,
                            .binding = r->binding.n ? r->binding : nothing };
    return fl_await(f, &S_decided, fl_decide_start(&f->op, &r->decide));
}

FL_STEP(decided)
{
    struct fl_review *r = review_of(f);
    if (f->op.code == FL_OK)
        return go_back(r);
    if (f->op.code != FL_FORBIDDEN && f->op.code != FL_CONFLICT && f->op.code != FL_BAD_PARAMS &&
        f->op.code != FL_NOT_FOUND)
        return fl_fail(f);
    refuse(r, fl_code_http(f->op.code), f->op.err.text);
    return &S_look; /* the page below says how it is now */
}

/* ---------------------------------------------------------------- what is shown */
static struct fl_review_rights rights_of(struct fl_review *r)
{
    struct fl_review_rights rights = { .why_not = "" };
    struct fl_err err;
    rights.may_vote = fl_approval_may_vote(&r->view, &r->person, true, &err) == FL_OK;
    if (!rights.may_vote)
        rights.why_not = fl_arena_strdup(r->arena, err.text);
    rights.may_withdraw = fl_approval_may_withdraw(&r->view, &r->person);
    return rights;
}

/* A page is shown once those before it were; that it was is noted before it leaves, and not where
 * it does not leave. */
FL_STEP(show)
{
    struct fl_review *r = review_of(f);
    struct fl_buf html = FL_BUF_INIT;
    if (r->page > r->pages)
        r->page = r->pages;
    size_t pages =
        fl_card_html(&html, &r->shown, 0, (size_t)r->page, FL_REVIEW_PAGE_BYTES, &look_of_page);
    if ((size_t)r->page >= pages) {
        r->page = (int64_t)pages - 1;
        fl_buf_reset(&html);
        fl_card_html(&html, &r->shown, 0, (size_t)r->page, FL_REVIEW_PAGE_BYTES, &look_of_page);
    }
    bool is_last = (size_t)r->page + 1 == pages && r->shown.is_whole;
    r->is_read |= is_last;
    struct fl_review_rights rights = rights_of(r);
    if (!r->status)
        r->status = 200;
    fl_review_card_page(&r->body, r, pages, fl_buf_view(&html), &rights);
    r->body.is_failed |= html.is_failed;
    fl_buf_fini(&html);
    if (r->is_head)
        return fl_review_answer(r);
    fl_store_mail_pages(fl_review_tx(r), hash_of(r), r->page + 1, is_last);
    return fl_await(f, &S_shown, fl_tx_submit(&f->op, &r->tx));
}

FL_STEP(shown)
{
    return f->op.code ? fl_fail(f) : fl_review_answer(review_of(f));
}
