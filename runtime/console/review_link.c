/* One-time links: looked at, pressed, or too old. What a press does is one transaction with its row
 * in the audit. */
#include <stdio.h>

#include "runtime/audit/event.h"
#include "runtime/console/review_priv.h"
#include "runtime/store/mail.h"

FL_STEP_DECLARE(known);
FL_STEP_DECLARE(asked_again);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(used);
FL_STEP_DECLARE(committed);

static struct fl_review *review_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_review, flow);
}

static struct fl_str copy(struct fl_review *r, int col)
{
    return fl_arena_str(r->arena, fl_cell(r->q, 0, col));
}

static fl_next not_known(struct fl_review *r)
{
    return fl_review_say(r, 404, "Not known",
                         "This link is not known here (any more). If it came in a mail, copy it as "
                         "a whole.");
}

fl_next fl_review_link_begin(struct fl_review *r)
{
    enum fl_token_kind kind;
    if (!fl_token_parse(r->token, &kind) || kind != FL_TOKEN_LINK)
        return not_known(r);
    fl_token_digest(r->token, r->hash);
    struct fl_tx *tx = fl_review_tx(r);
    if (r->is_post && r->again.n) {
        r->q = fl_store_mail_again(tx, fl_bytes(r->hash, sizeof r->hash), &r->channel_id);
        return fl_await(&r->flow, &S_asked_again, fl_tx_submit(&r->flow.op, tx));
    }
    tx->is_read_only = true;
    r->q = fl_store_mail_link_get(tx, fl_bytes(r->hash, sizeof r->hash), &r->channel_id);
    return fl_await(&r->flow, &S_known, fl_tx_submit(&r->flow.op, tx));
}

FL_STEP(asked_again)
{
    struct fl_review *r = review_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(r->q) != 1)
        return fl_review_say(r, 429, "Look into your mailbox",
                             "The newest link is on its way or was mailed less than a minute ago: "
                             "wait a little before you ask once more. Or this one is too old, is "
                             "not yours any more, or what it was for is over.");
    return fl_review_say(r, 200, "Look into your mailbox", "Another link is on its way to you.");
}

/* Columns of fl_store_mail_link_get: purpose, is it used, is it too old, card_id, place, name. */
FL_STEP(known)
{
    struct fl_review *r = review_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(r->q) != 1)
        return not_known(r);
    struct fl_str purpose = copy(r, 0);
    enum fl_review_link_state state = fl_cell_bool(r->q, 0, 1)   ? FL_REVIEW_USED
                                      : fl_cell_bool(r->q, 0, 2) ? FL_REVIEW_OLD
                                                                 : FL_REVIEW_FRESH;
    r->card = fl_cell_uuid(r->q, 0, 3);
    r->place = copy(r, 4);
    r->person_name = copy(r, 5);
    r->is_address = fl_str_is(purpose, "address");
    if (!r->is_post || state != FL_REVIEW_FRESH) {
        r->status = state == FL_REVIEW_FRESH ? 200 : 410;
        fl_review_link_page(&r->body, r, purpose, state);
        return fl_review_answer(r);
    }
    r->verdict = purpose;
    return fl_await(f, &S_opened, fl_tx_open(&f->op, fl_review_tx(r)));
}

/* ---------------------------------------------------------------- pressed */
FL_STEP(opened)
{
    struct fl_review *r = review_of(f);
    struct fl_str hash = fl_bytes(r->hash, sizeof r->hash);
    uint8_t session[FL_SHA256_BYTES];
    if (f->op.code)
        return fl_fail(f);
    if (r->is_address) {
        r->q = fl_store_mail_address(&r->tx, hash, &r->channel_id);
    } else if (fl_str_is(r->verdict, "test")) {
        r->q = fl_store_mail_tested(&r->tx, hash, &r->channel_id);
    } else {
        if (fl_token_new(FL_TOKEN_SESSION, r->session, session, &f->op.err) != FL_OK)
            return fl_fail_with(f, FL_NOMEM, "out of memory");
        r->q = fl_store_mail_sign_in(&r->tx, hash, &r->channel_id,
                                     fl_bytes(session, sizeof session), FL_REVIEW_SESSION_MS);
    }
    return fl_await(f, &S_used, fl_tx_round(&f->op, &r->tx));
}

/* Columns of fl_store_mail_address: person_id, name, place, was it linked. */
static void note_address(struct fl_review *r)
{
    struct fl_audit_event e;
    r->person = fl_cell_uuid(r->q, 0, 0);
    r->person_name = copy(r, 1);
    r->place = copy(r, 2);
    fl_audit_init(&e, &r->organization_id, FL_AUDIT_IDENTITY_LINKED, FL_ACTOR_PERSON, &r->person,
                  "person", &r->person);
    fl_audit_text(&e, "person", r->person_name);
    fl_audit_z(&e, "kind", "mail");
    fl_audit_text(&e, "channel", r->channel);
    fl_audit_text(&e, "external", r->place);
    fl_audit_text(&e, "from", r->from);
    fl_audit_append(&e, &r->tx);
}

/* Columns of fl_store_mail_sign_in: card_id, approval_id, person_id, person name. */
static void note_sign_in(struct fl_review *r)
{
    struct fl_audit_event e;
    r->card = fl_cell_uuid(r->q, 0, 0);
    r->approval = fl_cell_uuid(r->q, 0, 1);
    r->person = fl_cell_uuid(r->q, 0, 2);
    r->person_name = copy(r, 3);
    fl_audit_init(&e, &r->organization_id, FL_AUDIT_IDENTITY_SIGNED_IN, FL_ACTOR_PERSON, &r->person,
                  "approval", &r->approval);
    fl_audit_text(&e, "person", r->person_name);
    fl_audit_text(&e, "channel", r->channel);
    fl_audit_text(&e, "from", r->from);
    fl_audit_append(&e, &r->tx);
}

FL_STEP(used)
{
    struct fl_review *r = review_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(r->q) != 1) /* at the same moment by another */
        return fl_review_say(r, 410, "Used", "This link was used just now, or is too old.");
    if (r->is_address && !fl_cell_bool(r->q, 0, 3))
        return fl_review_say(r, 409, "Not linked",
                             "This address is linked to somebody else already; have that undone "
                             "first.");
    if (r->is_address)
        note_address(r);
    else if (!fl_str_is(r->verdict, "test"))
        note_sign_in(r);
    return fl_await(f, &S_committed, fl_tx_commit(&f->op, &r->tx));
}

/* A cookie for this one card's address, that no script reads and no other site sends along. */
static fl_next go_in(struct fl_review *r)
{
    bool is_https = r->server->is_https;
    r->location = fl_review_path(r, true);
    if (r->location)
        r->set_cookie = fl_arena_printf(
            r->arena, "%sflopinio-review=%s; Path=%s; Max-Age=%d; HttpOnly; SameSite=Strict%s",
            is_https ? "__Secure-" : "", r->session, r->location, (int)(FL_REVIEW_MOST_MS / 1000),
            is_https ? "; Secure" : "");
    if (!r->set_cookie)
        return fl_fail_with(&r->flow, FL_NOMEM, "out of memory");
    r->status = 303;
    return fl_review_answer(r);
}

FL_STEP(committed)
{
    struct fl_review *r = review_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (r->is_address)
        return fl_review_say(r, 200, "Linked",
                             "This address is linked now. Calls that wait for you are mailed to "
                             "it.");
    if (fl_str_is(r->verdict, "test"))
        return fl_review_say(r, 200, "It works",
                             "Your press arrived: the channel works both ways.");
    return go_in(r);
}
