/* The facts of a card. */
#include "runtime/notify/facts.h"

#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/seal.h"

static struct fl_str text_of(struct fl_arena *arena, const json_t *object, const char *name)
{
    struct fl_str s = fl_json_get_str(object, name);
    return s.p ? fl_arena_str(arena, s) : s;
}

static enum fl_code read_frozen(struct fl_approval_view *v, struct fl_arena *arena,
                                struct fl_err *err)
{
    json_t *card = fl_json_parse(v->row->card, err);
    if (!card)
        return err->code == FL_NOMEM ? FL_NOMEM : FL_OK;
    const json_t *secrets = json_object_get(card, "secrets");
    v->server = text_of(arena, card, "server");
    v->environment = text_of(arena, card, "environment");
    v->account = text_of(arena, card, "account");
    v->sentence = text_of(arena, card, "sentence");
    v->rule_reason = text_of(arena, card, "reason");
    v->why_asked = text_of(arena, card, "why_asked");
    v->secrets = fl_arena_array(arena, json_array_size(secrets) + 1, sizeof *v->secrets);
    for (size_t i = 0; v->secrets && i < json_array_size(secrets); i++)
        v->secrets[v->secret_count++] =
            fl_arena_str(arena, fl_json_str(json_array_get(secrets, i)));
    json_decref(card);
    return v->secrets ? FL_OK : fl_err_code(err, FL_NOMEM);
}

static enum fl_code read_progress(struct fl_approval_view *v, struct fl_err *err)
{
    struct fl_quorum_facts facts;
    struct fl_quorum quorum;
    struct fl_buf text = FL_BUF_INIT;
    if (!v->ask || !v->ballot || v->row->state != FL_APPROVAL_PENDING)
        return FL_OK;
    fl_ballot_facts(v->ballot, v->ask, &facts);
    enum fl_code code = fl_quorum_count(&facts, &quorum, err);
    if (code)
        return code;
    fl_ballot_progress(&quorum, &text);
    fl_utf8_format(v->progress, sizeof v->progress, "%s%s", text.p ? text.p : "",
                   quorum.is_impossible ? "; nobody is left who could decide it" : "");
    fl_buf_fini(&text);
    return FL_OK;
}

enum fl_code fl_approval_view_read(struct fl_approval_view *v, struct fl_arena *arena,
                                   const struct fl_approval *row, const struct fl_ballot *ballot,
                                   struct fl_err *err)
{
    *v = (struct fl_approval_view){ .row = row, .ballot = ballot };
    enum fl_code code = read_frozen(v, arena, err);
    if (code == FL_OK && row->ask.n > 2 && fl_policy_ask_load(row->ask, &v->ask, err) == FL_NOMEM)
        code = FL_NOMEM; /* one that cannot be read decides nothing; the card shows the rest */
    if (code == FL_OK)
        code = read_progress(v, err);
    if (code)
        fl_approval_view_fini(v);
    return code;
}

void fl_approval_view_fini(struct fl_approval_view *v)
{
    fl_policy_ask_free(&v->ask);
}

enum fl_code fl_approval_may_vote(const struct fl_approval_view *v, const struct fl_uuid *person,
                                  bool has_second_factor, struct fl_err *err)
{
    struct fl_quorum_facts facts;
    struct fl_quorum_vote vote = { *person, true, has_second_factor };
    const struct fl_quorum_person *p = v->ballot ? fl_ballot_person(v->ballot, person) : NULL;
    if (v->row->state != FL_APPROVAL_PENDING)
        return fl_err_set(err, FL_CONFLICT, "it is %s already", fl_state_word(v->row->state));
    if (!p || !v->ask)
        return fl_err_set(err, FL_FORBIDDEN, "you are not asked");
    if (!p->is_active || !fl_role_may(p->role, FL_ACTION_DECIDE))
        return fl_err_set(err, FL_FORBIDDEN, "your role may not decide approvals");
    fl_ballot_facts(v->ballot, v->ask, &facts);
    return fl_quorum_may_vote(&facts, p, &vote, err);
}

static bool has_open_place(const struct fl_uuid *person, const struct fl_query *identities,
                           const struct fl_query *closed)
{
    for (int i = 0; i < fl_rows(identities); i++) {
        struct fl_uuid whose = fl_cell_uuid(identities, i, 0);
        bool is_open = fl_uuid_cmp(&whose, person) == 0;
        for (int k = 0; is_open && k < fl_rows(closed); k++)
            is_open = !fl_str_eq(fl_cell(closed, k, 0), fl_cell(identities, i, 1));
        if (is_open)
            return true;
    }
    return false;
}

bool fl_approval_is_stood_in_for(const struct fl_approval_view *view, const struct fl_uuid *person,
                                 const struct fl_query *identities, const struct fl_query *closed)
{
    const struct fl_quorum_person *by,
        *away = view->ballot ? fl_ballot_person(view->ballot, person) : NULL;
    struct fl_err err;
    if (!away || fl_uuid_is_zero(&away->delegate))
        return false;
    by = fl_ballot_person(view->ballot, &away->delegate);
    return by && fl_uuid_is_zero(&by->delegate) &&
           fl_approval_may_vote(view, &by->id, true, &err) == FL_OK &&
           has_open_place(&by->id, identities, closed);
}

bool fl_approval_may_withdraw(const struct fl_approval_view *v, const struct fl_uuid *person)
{
    bool can_undo = v->row->state == FL_APPROVAL_APPROVED && v->row->claimable_in_ms > 0;
    if (!v->ballot || (v->row->state != FL_APPROVAL_PENDING && !can_undo))
        return false;
    for (size_t i = 0; i < v->ballot->vote_count; i++) {
        if (fl_uuid_is_zero(person) || fl_uuid_cmp(&v->ballot->votes[i].person, person) == 0)
            return true;
    }
    return false;
}

/* Had nobody else voted. */
static bool is_enough(const struct fl_approval_view *v, const struct fl_quorum_vote *vote)
{
    const struct fl_quorum_person *p = fl_ballot_person(v->ballot, &vote->person);
    struct fl_quorum_facts facts;
    struct fl_quorum quorum;
    struct fl_err err;
    if (!vote->approves || !p || !p->is_active || !fl_role_may(p->role, FL_ACTION_GRANT))
        return false;
    fl_ballot_facts(v->ballot, v->ask, &facts);
    facts.votes = vote;
    facts.vote_count = 1;
    facts.ignores_delegates = true;
    return fl_quorum_count(&facts, &quorum, &err) == FL_OK && quorum.state == FL_QUORUM_APPROVED;
}

bool fl_approval_may_grant(const struct fl_approval_view *v)
{
    const struct fl_approval *row = v->row;
    bool is_approved = row->state == FL_APPROVAL_APPROVED || row->state == FL_APPROVAL_CLAIMED ||
                       row->state == FL_APPROVAL_DISPATCHED || row->state == FL_APPROVAL_SUCCEEDED;
    if (!is_approved || !v->ask || !v->ballot || !fl_str_is(row->kind, "tool_call") ||
        !fl_uuid_is_zero(&row->grant_id) || !fl_uuid_is_zero(&row->broken_by))
        return false;
    for (size_t i = 0; i < v->ballot->vote_count; i++) {
        if (is_enough(v, &v->ballot->votes[i]))
            return true;
    }
    return false;
}

static const char *risk_text(const struct fl_ask *ask)
{
    static const char *const texts[] = { "low", "", "high" }; /* normal goes without saying */
    return ask ? texts[ask->risk] : "";
}

static enum fl_code put_votes(struct fl_arena *arena, const struct fl_ballot *ballot,
                              struct fl_card_facts *facts, struct fl_err *err)
{
    struct fl_card_vote *votes = fl_arena_array(arena, ballot->vote_count + 1, sizeof *votes);
    if (!votes)
        return fl_err_code(err, FL_NOMEM);
    for (size_t i = 0; i < ballot->vote_count; i++) {
        const struct fl_ballot_vote *v = &ballot->voters[i];
        char *with = v->for_people.p
                         ? fl_arena_printf(arena, "%.*s (for %.*s)", FL_STR_ARG(v->name),
                                           FL_STR_ARG(v->for_people))
                         : NULL;
        if (v->for_people.p && !with)
            return fl_err_code(err, FL_NOMEM);
        votes[i] = (struct fl_card_vote){ .who = with ? fl_str_of(with) : v->name,
                                          .via = v->via,
                                          .reason = v->reason,
                                          .is_approve = v->approves,
                                          .at_utc_ms = v->at_ms };
    }
    facts->votes = votes;
    facts->vote_count = ballot->vote_count;
    return FL_OK;
}

/* Who is away and would be asked, and who decides it for them. */
static enum fl_code put_away(struct fl_arena *arena, const struct fl_approval_view *v,
                             struct fl_card_facts *facts, struct fl_err *err)
{
    const struct fl_ballot *b = v->ballot;
    struct fl_quorum_facts quorum;
    enum fl_code code = FL_OK;
    if (!v->ask || v->row->state != FL_APPROVAL_PENDING)
        return FL_OK;
    struct fl_card_away *away = fl_arena_array(arena, b->person_count + 1, sizeof *away);
    if (!away)
        return fl_err_code(err, FL_NOMEM);
    fl_ballot_facts(b, v->ask, &quorum);
    for (size_t i = 0; i < b->person_count && !code; i++) {
        const struct fl_quorum_person *who = &b->people[i];
        const struct fl_quorum_person *by =
            fl_uuid_is_zero(&who->delegate) ? NULL : fl_ballot_person(b, &who->delegate);
        bool is_one = false;
        code = by ? fl_quorum_stands_in(&quorum, by, who, &is_one, err) : FL_OK;
        if (is_one)
            away[facts->away_count++] =
                (struct fl_card_away){ who->name, by->name, b->away_until_ms[i] };
    }
    facts->away = away;
    return code;
}

/* What is said of a canary once it is over; before that it is like any other. */
static struct fl_str next_of(const struct fl_approval *row)
{
    if (!fl_approval_is_canary(row) || !fl_state_is_final(row->state))
        return fl_approval_may_have_run(row) ? FL_STR("it may have run") : FL_STR("");
    switch (row->state) {
    case FL_APPROVAL_REJECTED:
        return FL_STR("this was a test, and rejecting it was right: thank you");
    case FL_APPROVAL_CANCELLED:
        if (row->decided_at_ms)
            return FL_STR("this was a test: nothing ran. No agent asked for it, and it should have "
                          "been rejected");
        break;
    default: break;
    }
    return FL_STR("this was a test that nobody decided: nothing ran, and no agent asked for it");
}

enum fl_code fl_card_of(struct fl_arena *arena, const struct fl_approval_view *v,
                        const struct fl_approval_texts *texts, const struct fl_keyring *keys,
                        const struct fl_uuid *organization, size_t max_bytes, struct fl_card *ret,
                        struct fl_err *err)
{
    const struct fl_approval *row = v->row;
    uint8_t *key = fl_arena_alloc(arena, FL_SHA256_BYTES);
    char *id = fl_arena_alloc(arena, FL_UUID_TEXT);
    if (!key || !id)
        return fl_err_code(err, FL_NOMEM);
    fl_card_key(keys, organization, key);
    struct fl_card_facts facts = {
        .id = fl_str_of(fl_uuid_format(&row->id, id)),
        .sentence = v->sentence,
        .tool = row->tool,
        .server = v->server,
        .environment = v->environment,
        .account = v->account,
        .agent = row->agent,
        .owner = row->owner,
        .is_not_isolated = !row->is_isolated,
        .state = row->state,
        .caller = row->wait_mode == FL_WAIT_TASK   ? FL_CALLER_TASK
                  : row->wait_mode == FL_WAIT_LEFT ? FL_CALLER_GONE
                                                   : FL_CALLER_WAITS,
        .undo_ms = row->claimable_in_ms > 0 ? row->claimable_in_ms : 0,
        .created_utc_ms = row->created_at_ms,
        .expires_utc_ms = row->expires_at_ms,
        .stopped_utc_ms = row->frozen_at_ms,
        .changed_utc_ms = row->state == FL_APPROVAL_PENDING ? 0 : row->changed_at_ms,
        .arguments = texts->arguments,
        .secrets = v->secrets,
        .secret_count = v->secret_count,
        .secret_key = key,
        .disclose = texts->disclose,
        .preview_kind = row->preview_kind,
        .preview = texts->preview,
        .preview_utc_ms = row->preview_at_ms,
        .precondition = row->precondition,
        .rule = row->rule,
        .rule_reason = v->rule_reason,
        .risk = fl_str_of(risk_text(v->ask)),
        .asked_count = (unsigned)row->asked_count,
        .asked_again = fl_uuid_is_zero(&row->retry_of)
                           ? FL_STR("")
                           : FL_STR("an earlier one was found not to have happened"),
        .why_asked = v->why_asked,
        .progress = fl_str_of(v->progress),
        .next = next_of(row),
        .outcome = texts->is_tampered
                       ? FL_STR("the stored approval does not match its digest: it will not run")
                   : row->reason.n ? row->reason
                                   : row->outcome,
        .justification = texts->justification,
    };
    enum fl_code code = v->ballot ? put_votes(arena, v->ballot, &facts, err) : FL_OK;
    if (code == FL_OK && v->ballot)
        code = put_away(arena, v, &facts, err);
    if (code == FL_OK)
        code = fl_card_make(arena, &facts, max_bytes, ret, err);
    if (code == FL_OK && texts->is_tampered) {
        ret->is_whole = ret->can_approve = false;
        ret->why_not = FL_STR("the stored approval does not match its digest");
    }
    fl_cleanse(key, FL_SHA256_BYTES);
    return code;
}

enum fl_code fl_card_check_grant(struct fl_arena *arena, const struct fl_approval_view *view,
                                 const struct fl_look *look, enum fl_disclose disclose,
                                 size_t max_bytes, struct fl_err *err)
{
    struct fl_approval_texts texts = { look->arguments, look->preview, look->justification,
                                       look->is_tampered, disclose };
    struct fl_card card = { .is_whole = false };
    enum fl_code code = fl_card_of(arena, view, &texts, look->core->keys, &look->organization,
                                   max_bytes, &card, err);
    if (code == FL_OK && !card.is_whole)
        code = fl_err_set(err, FL_CONFLICT, "no grant can be made from it: %.*s",
                          FL_STR_ARG(card.why_not));
    return code;
}
