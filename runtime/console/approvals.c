/* Approvals: lists, the card, deciding, settling, cancelling. */
#include "runtime/console/approvals.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/approval/cancel.h"
#include "runtime/approval/content.h"
#include "runtime/approval/edit.h"
#include "runtime/approval/reject.h"
#include "runtime/approval/settle.h"
#include "runtime/notify/card_text.h"
#include "runtime/notify/facts.h"
#include "runtime/store/vote.h"

#define LIST_DEFAULT 50
#define LIST_MAX     200
#define NOTHING      ((struct fl_str){ NULL, 0 })

/* ---------------------------------------------------------------- as JSON */
static void put_text(struct fl_buf *out, const char *key, struct fl_str value)
{
    fl_buf_json_key(out, key);
    if (value.p)
        fl_buf_json_str(out, value);
    else
        fl_buf_puts(out, "null");
    fl_buf_putc(out, ',');
}

static void put_time(struct fl_buf *out, const char *key, int64_t at_ms)
{
    char text[FL_TIME_BYTES];
    put_text(out, key, at_ms ? fl_str_of(fl_time_format_s(at_ms, text)) : NOTHING);
}

static void put_flag(struct fl_buf *out, const char *key, bool value)
{
    fl_buf_json_key(out, key);
    fl_buf_puts(out, value ? "true," : "false,");
}

/* Left out where there is none. */
static void put_id(struct fl_buf *out, const char *key, const struct fl_uuid *id)
{
    char text[FL_UUID_TEXT];
    if (!fl_uuid_is_zero(id))
        put_text(out, key, fl_str_of(fl_uuid_format(id, text)));
}

static struct fl_str risk_of(const struct fl_approval_view *v)
{
    static const char *const texts[] = { "low", "normal", "high" };
    return v->ask ? fl_str_of(texts[v->ask->risk]) : NOTHING;
}

/* Members that lists and the single answer share; without the braces, with a comma at the end. */
static void put_head(struct fl_buf *out, const struct fl_api *a, const struct fl_approval_view *v,
                     struct fl_str title)
{
    const struct fl_approval *row = v->row;
    char id[FL_UUID_TEXT];
    struct fl_err err;
    bool may = a->who == FL_WHO_PERSON && (a->auth.scopes & FL_SCOPE_DECIDE) &&
               fl_approval_may_vote(v, &a->auth.id, true, &err) == FL_OK;
    put_text(out, "id", fl_str_of(fl_uuid_format(&row->id, id)));
    put_text(out, "state", fl_str_of(fl_state_text(row->state)));
    put_text(out, "says",
             row->is_unreached ? FL_STR("waiting; nobody was reached")
                               : fl_str_of(fl_state_word(row->state)));
    put_flag(out, "is_unreached", row->is_unreached);
    put_text(out, "title", title);
    put_text(out, "tool", row->tool);
    put_text(out, "server", v->server);
    put_text(out, "agent", row->agent);
    put_text(out, "owner", row->owner);
    put_text(out, "risk", risk_of(v));
    put_text(out, "progress", v->progress[0] ? fl_str_of(v->progress) : NOTHING);
    put_time(out, "created_at", row->created_at_ms);
    put_time(out, "expires_at", row->expires_at_ms);
    put_time(out, "changed_at", row->changed_at_ms);
    put_text(out, "decided_by", row->decided_by.n ? row->decided_by : NOTHING);
    put_text(out, "reason", row->reason.n ? row->reason : NOTHING);
    put_flag(out, "needs_second_factor", v->ask && v->ask->needs_second_factor);
    put_flag(out, "is_isolated", row->is_isolated);
    if (fl_approval_is_canary(row) && fl_state_is_final(row->state))
        put_flag(out, "is_canary", true);
    if (row->review_due_ms) {
        put_flag(out, "is_break_glass", true);
        put_time(out, "review_due_at", row->reviewed_at_ms ? 0 : row->review_due_ms);
        put_time(out, "reviewed_at", row->reviewed_at_ms);
    }
    put_flag(out, "may_decide", may);
}

static void put_ended(struct fl_buf *out)
{
    if (out->n && out->p[out->n - 1] == ',')
        out->n--;
    fl_buf_putc(out, '}');
}

static void put_card(struct fl_buf *out, const struct fl_card *card)
{
    static const char *const kinds[] = { "title",   "where", "who",   "status", "arguments",
                                         "preview", "rule",  "votes", "id",     "agent" };
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_json_key(out, "card");
    fl_buf_puts(out, "{\"blocks\":[");
    for (size_t i = 0; i < card->block_count; i++) {
        const struct fl_card_block *b = &card->blocks[i];
        fl_buf_puts(out, i ? ",{" : "{");
        put_text(out, "kind", fl_str_of(kinds[b->kind]));
        put_text(out, "label", fl_str_of(b->label));
        fl_buf_puts(out, "\"lines\":[");
        for (size_t k = 0; k < b->line_count; k++) {
            if (k)
                fl_buf_putc(out, ',');
            fl_buf_json_str(out, b->lines[k]);
        }
        fl_buf_puts(out, "]}");
    }
    fl_buf_puts(out, "],");
    fl_card_text(&text, card);
    put_text(out, "text", text.is_failed ? NOTHING : fl_buf_view(&text));
    fl_buf_fini(&text);
    put_text(out, "push", card->push);
    put_flag(out, "is_whole", card->is_whole);
    put_text(out, "why_not", card->why_not.n ? card->why_not : NOTHING);
    put_flag(out, "can_approve", card->can_approve);
    put_flag(out, "can_reject", card->can_reject);
    put_ended(out);
    fl_buf_putc(out, ',');
}

static void put_votes(struct fl_buf *out, const struct fl_ballot *ballot)
{
    fl_buf_puts(out, "\"votes\":[");
    for (size_t i = 0; i < ballot->vote_count; i++) {
        const struct fl_ballot_vote *v = &ballot->voters[i];
        fl_buf_puts(out, i ? ",{" : "{");
        put_text(out, "person", v->name);
        put_text(out, "verdict", v->approves ? FL_STR("approve") : FL_STR("reject"));
        put_text(out, "reason", v->reason.n ? v->reason : NOTHING);
        put_text(out, "via", v->via);
        put_flag(out, "has_second_factor", v->has_second_factor);
        put_flag(out, "is_owner", v->is_owner);
        put_text(out, "for", v->for_people);
        put_time(out, "at", v->at_ms);
        put_ended(out);
    }
    fl_buf_puts(out, "],");
}

/* ---------------------------------------------------------------- who may look */
/* A person who may only read their own agents' is restricted to those. */
static bool only_own(const struct fl_api *a)
{
    return a->who == FL_WHO_PERSON && !fl_role_may(a->role, FL_ACTION_READ_APPROVALS);
}

static bool read_id(struct fl_api *a, struct fl_uuid *ret)
{
    if (fl_uuid_parse(a->params[1], ret))
        return true;
    fl_api_error(a, FL_NOT_FOUND, "there is no such approval");
    return false;
}

/* ---------------------------------------------------------------- the list */
struct listing {
    struct fl_approval *rows;
    struct fl_query **contents, **votes;
    struct fl_query *people;
    int count;
};

struct fl_str fl_api_sentence(const struct fl_api *a, struct fl_arena *arena,
                              const struct fl_approval_view *view, const struct fl_query *content)
{
    struct fl_err err;
    struct fl_card card;
    struct fl_approval_texts texts = { 0 };
    struct fl_content_call call;
    const struct fl_approval *row = view->row;
    if (!content || fl_rows(content) != 1)
        return row->tool;
    enum fl_code code = fl_content_arguments(
        a->core, &a->organization_id, row, fl_cell_bytes(content, arena, 0, 0), arena, &call, &err);
    texts.is_tampered = code == FL_CONFLICT || code == FL_BAD_KEY;
    if (code && !texts.is_tampered)
        return row->tool;
    if (!code)
        texts.arguments = call.arguments;
    code = fl_card_of(arena, view, &texts, a->core->keys, &a->organization_id, FL_CARD_MIN_BYTES,
                      &card, &err);
    if (texts.arguments.p)
        fl_cleanse((char *)texts.arguments.p, texts.arguments.n);
    return code || !card.push.n ? row->tool : card.push;
}

static void on_list_detailed(struct fl_api *a)
{
    const struct listing *l = a->user;
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    fl_buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < l->count; i++) {
        struct fl_ballot ballot;
        struct fl_approval_view view;
        bool has_ballot = l->votes[i] && fl_ballot_read(&ballot, a->arena, l->people, l->votes[i],
                                                        &l->rows[i], &err) == FL_OK;
        if (fl_approval_view_read(&view, a->arena, &l->rows[i], has_ballot ? &ballot : NULL,
                                  &err) != FL_OK) {
            fl_buf_fini(&out);
            fl_api_error(a, err.code, "%s", err.text);
            return;
        }
        fl_buf_puts(&out, i ? ",{" : "{");
        put_head(&out, a, &view, fl_api_sentence(a, a->arena, &view, l->contents[i]));
        put_ended(&out);
        fl_approval_view_fini(&view);
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static void on_listed(struct fl_api *a)
{
    struct listing *l = a->user;
    int count = fl_rows(a->q[0]);
    l->rows = fl_arena_array(a->arena, (size_t)count + 1, sizeof *l->rows);
    l->contents = fl_arena_array(a->arena, (size_t)count + 1, sizeof *l->contents);
    l->votes = fl_arena_array(a->arena, (size_t)count + 1, sizeof *l->votes);
    if (!l->rows || !l->contents || !l->votes) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    for (int i = 0; i < count; i++)
        l->count += fl_store_approval_read(a->q[0], i, a->arena, &l->rows[l->count]);
    if (l->count != count) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    l->people = fl_store_people(tx);
    for (int i = 0; i < l->count; i++) {
        if (l->rows[i].arguments_bytes <= FL_API_SENTENCE_MAX)
            l->contents[i] = fl_store_approval_content(tx, &l->rows[i].id);
        if (l->rows[i].state == FL_APPROVAL_PENDING)
            l->votes[i] = fl_store_votes(tx, &l->rows[i].id);
    }
    fl_api_submit(a, false, on_list_detailed);
}

static bool read_states(struct fl_api *a, const char **ret)
{
    struct fl_str text = fl_api_query(a, "state");
    enum fl_approval_state state;
    *ret = NULL;
    for (size_t from = 0; text.n && from <= text.n;) {
        size_t to = from;
        while (to < text.n && text.p[to] != ',')
            to++;
        struct fl_str one = { text.p + from, to - from };
        if (!fl_state_parse(one, &state)) {
            fl_api_error(a, FL_BAD_PARAMS, "there is no state '%.*s'", FL_STR_ARG(one));
            return false;
        }
        from = to + 1;
    }
    if (text.n)
        *ret = fl_arena_strndup(a->arena, text.p, text.n);
    return true;
}

static bool has_agent(const struct fl_org *org, struct fl_str name)
{
    for (size_t i = 0; i < org->agent_count; i++) {
        if (fl_str_eq(org->agents[i], name))
            return true;
    }
    return false;
}

static void start_list(struct fl_api *a)
{
    struct fl_approval_filter filter = { .most = (int)fl_api_query_int(a, "limit", LIST_DEFAULT) };
    struct fl_str agent = fl_api_query(a, "agent"), after = fl_api_query(a, "after");
    if (!read_states(a, &filter.states) || !fl_api_query_since(a, "since", &filter.since_ms))
        return;
    if (filter.most < 1 || filter.most > LIST_MAX) {
        fl_api_error(a, FL_BAD_PARAMS, "'limit' must be 1 to %d", LIST_MAX);
        return;
    }
    if (after.n && !fl_uuid_parse(after, &filter.after)) {
        fl_api_error(a, FL_BAD_PARAMS, "'after' must be the id of an approval");
        return;
    }
    filter.agent_name = agent;
    if (!fl_api_query_flag(a, "review", &filter.needs_review))
        return;
    if (agent.n && !only_own(a) && !has_agent(a->org, agent)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
        return;
    }
    if (only_own(a))
        filter.owner = a->auth.id;
    a->user = FL_ARENA_NEW(a->arena, struct listing);
    if (!a->user) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    a->q[0] = fl_store_approval_list(fl_api_tx(a), &filter);
    fl_api_submit(a, false, on_listed);
}

/* ---------------------------------------------------------------- one */
static enum fl_code make_card(struct fl_arena *arena, const struct fl_look *look,
                              const struct fl_approval_view *view, struct fl_card *ret,
                              struct fl_err *err)
{
    struct fl_approval_texts texts = { look->arguments, look->preview, look->justification,
                                       look->is_tampered };
    return fl_card_of(arena, view, &texts, look->core->keys, &look->organization, 0, ret, err);
}

static void answer_one(struct fl_api *a, struct fl_look *look)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_approval_view view;
    struct fl_card card;
    struct fl_err err;
    char hex[2 * FL_DIGEST_BYTES + 1], words[FL_DECIDE_WORDS];
    const struct fl_approval *row = &look->row;
    enum fl_code code = fl_approval_view_read(&view, a->arena, row, &look->ballot, &err);
    if (code == FL_OK) {
        code = make_card(a->arena, look, &view, &card, &err);
        if (code)
            fl_approval_view_fini(&view);
    }
    if (code) {
        fl_api_error(a, code, "%s", err.text);
        return;
    }
    fl_buf_putc(&out, '{');
    put_head(&out, a, &view, card.push);
    put_card(&out, &card);
    put_text(&out, "binding", fl_str_of(fl_hex(row->binding_digest.p, row->binding_digest.n, hex)));
    put_votes(&out, &look->ballot);
    put_text(&out, "rule", row->rule);
    fl_buf_printf(&out, "\"policy_version\":%lld,\"asked_count\":%lld,\"result_bytes\":%lld,",
                  (long long)row->policy_version, (long long)row->asked_count,
                  (long long)row->result_bytes);
    if (view.ask && view.ask->needs_typed) {
        fl_decide_words(row->tool, words);
        put_text(&out, "typed", fl_str_of(words));
    }
    put_flag(&out, "is_standing", row->is_standing);
    put_id(&out, "grant", &row->grant_id);
    put_id(&out, "edit_of", &row->edit_of);
    put_id(&out, "edited_to", &row->edited_to);
    put_id(&out, "retry_of", &row->retry_of);
    put_id(&out, "retried_to", &row->retried_to);
    put_time(&out, "decided_at", row->decided_at_ms);
    put_time(&out, "sent_at", row->dispatched_at_ms);
    put_time(&out, "settled_at", row->settled_at_ms);
    put_time(&out, "delivered_at", row->delivered_at_ms);
    put_text(&out, "settled_by", row->settled_by.n ? row->settled_by : NOTHING);
    put_text(&out, "outcome", row->outcome.n ? row->outcome : NOTHING);
    put_ended(&out);
    fl_approval_view_fini(&view);
    fl_api_ok(a, &out);
}

static void on_looked(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct fl_look *look = a->user;
    enum fl_code code = op->code;
    bool is_theirs =
        code == FL_OK && (!only_own(a) || fl_uuid_cmp(&look->row.owner_id, &a->auth.id) == 0);
    if (code == FL_OK && !is_theirs)
        op->code = fl_err_set(&op->err, FL_NOT_FOUND, "there is no such approval");
    if (fl_api_flow_done(a))
        answer_one(a, look);
    fl_look_fini(look);
}

static void start_get(struct fl_api *a)
{
    struct fl_look *look = FL_ARENA_NEW(a->arena, struct fl_look);
    struct fl_uuid id;
    if (!read_id(a, &id))
        return;
    if (!look) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    *look = (struct fl_look){ .core = a->core,
                              .organization = a->organization_id,
                              .id = id,
                              .wants_arguments = true,
                              .wants_ballot = true };
    a->user = look;
    a->op = (struct fl_op){ .done = on_looked };
    if (fl_look_start(&a->op, look) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- deciding */
static void put_state(struct fl_buf *out, enum fl_approval_state state)
{
    put_text(out, "state", fl_str_of(fl_state_text(state)));
    put_text(out, "says", fl_str_of(fl_state_word(state)));
}

void fl_api_put_decided(struct fl_buf *out, const struct fl_decide *d)
{
    put_state(out, d->state);
    put_flag(out, "is_decided", d->is_decided);
    put_text(out, "progress", d->is_decided ? NOTHING : fl_str_of(d->progress));
    fl_buf_json_key(out, "text");
    fl_buf_json_str(out, fl_str_of(d->text));
}

static void on_decided(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_decide *d = a->user;
    struct fl_buf out = FL_BUF_INIT;
    if (!fl_api_flow_done(a))
        return;
    fl_buf_putc(&out, '{');
    fl_api_put_decided(&out, d);
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static bool read_verdict(struct fl_api *a, enum fl_verdict *ret)
{
    struct fl_str text;
    if (!fl_api_text(a, "verdict", true, &text))
        return false;
    if (fl_verdict_parse(text, ret))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'verdict' must be approve, reject or withdraw");
    return false;
}

/* The card goes at once: a request may decide fifty, each of megabytes. */
enum fl_code fl_api_is_shown(const struct fl_decide *d, const struct fl_look *look,
                             struct fl_err *err)
{
    struct fl_approval_view view;
    struct fl_card card;
    FL_UNUSED(d);
    struct fl_arena *scratch = fl_arena_new(0);
    if (!scratch)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = fl_approval_view_read(&view, scratch, &look->row, &look->ballot, err);
    if (code == FL_OK) {
        code = make_card(scratch, look, &view, &card, err);
        if (code == FL_OK && card.can_reject && !card.can_approve)
            code = fl_err_set(err, FL_CONFLICT, "it cannot be approved: %.*s",
                              FL_STR_ARG(card.why_not));
        fl_approval_view_fini(&view);
    }
    fl_arena_free(&scratch);
    return code;
}

static void decide(struct fl_api *a)
{
    a->op = (struct fl_op){ .done = on_decided };
    if (fl_decide_start(&a->op, a->user) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* Who decides, about which approval and why; what is asked for beside it the route reads into the
 * result. NULL: answered. */
static struct fl_decide *new_decision(struct fl_api *a, enum fl_verdict verdict)
{
    struct fl_decide *d = FL_ARENA_NEW(a->arena, struct fl_decide);
    struct fl_str reason;
    struct fl_uuid id;
    if (!d) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return NULL;
    }
    if (!read_id(a, &id) || !fl_api_text(a, "reason", false, &reason))
        return NULL;
    *d = (struct fl_decide){ .core = a->core,
                             .organization = a->organization_id,
                             .approval = id,
                             .person = a->auth.id,
                             .person_name = a->auth.person,
                             .evidence = fl_api_evidence(a),
                             .has_second_factor = a->auth.has_second_factor,
                             .verdict = verdict,
                             .reason = reason.n ? reason : NOTHING,
                             .via = a->is_control ? "cli" : "api",
                             .is_shown = fl_api_is_shown };
    a->user = d;
    return d;
}

static void start_decide(struct fl_api *a)
{
    enum fl_verdict verdict;
    struct fl_decide *d = read_verdict(a, &verdict) ? new_decision(a, verdict) : NULL;
    if (!d || !fl_api_text(a, "binding", false, &d->binding) ||
        !fl_api_text(a, "typed", false, &d->typed) ||
        !fl_api_flag(a, "may_ask_again", &d->may_ask_again))
        return;
    d->binding = d->binding.n ? d->binding : NOTHING;
    decide(a);
}

static void start_reopen(struct fl_api *a)
{
    if (new_decision(a, FL_VERDICT_REOPEN))
        decide(a);
}

static void start_break(struct fl_api *a)
{
    struct fl_decide *d = new_decision(a, FL_VERDICT_BREAK_GLASS);
    if (d && fl_api_text(a, "binding", true, &d->binding) &&
        fl_api_text(a, "typed", false, &d->typed))
        decide(a);
}

static void start_review(struct fl_api *a)
{
    if (new_decision(a, FL_VERDICT_REVIEW))
        decide(a);
}

/* ---------------------------------------------------------------- rejecting many */
static void on_rejected(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_reject *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    if (!fl_api_flow_done(a))
        return;
    fl_buf_printf(&out, "{\"rejected\":%zu,\"voted\":%zu,\"refused\":%zu,", r->rejected, r->voted,
                  r->refused);
    put_text(&out, "why", r->refusal.code ? fl_str_of(r->refusal.text) : NOTHING);
    put_ended(&out);
    fl_api_ok(a, &out);
}

static void start_reject(struct fl_api *a)
{
    struct fl_reject *r = FL_ARENA_NEW(a->arena, struct fl_reject);
    if (!r) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    *r = (struct fl_reject){ .core = a->core,
                             .organization = a->organization_id,
                             .person = a->auth.id,
                             .person_name = a->auth.person,
                             .evidence = fl_api_evidence(a),
                             .has_second_factor = a->auth.has_second_factor,
                             .via = a->is_control ? "cli" : "api" };
    if (!fl_api_text(a, "agent", true, &r->agent) || !fl_api_text(a, "reason", true, &r->reason) ||
        !fl_api_flag(a, "may_ask_again", &r->may_ask_again))
        return;
    if (!fl_role_may(a->role, FL_ACTION_DECIDE)) {
        fl_api_refuse(a, "your role may not decide approvals");
        return;
    }
    if (!has_agent(a->org, r->agent)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
        return;
    }
    a->user = r;
    a->op = (struct fl_op){ .done = on_rejected };
    if (fl_reject_start(&a->op, r) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- editing */
static void on_edited(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_edit *e = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT];
    if (!fl_api_flow_done(a))
        return;
    fl_buf_printf(&out, "{\"new_id\":\"%s\"}", fl_uuid_format(&e->id, id));
    fl_api_created(a, &out);
}

static bool read_arguments(struct fl_api *a, struct fl_str *ret)
{
    const json_t *arguments = json_object_get(a->body, "arguments");
    struct fl_buf text = FL_BUF_INIT;
    if (!json_is_object(arguments)) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "'arguments' must be an object: all of them, as they are to be");
        return false;
    }
    fl_json_put(&text, arguments);
    *ret = text.is_failed ? NOTHING : fl_arena_str(a->arena, fl_buf_view(&text));
    fl_buf_fini(&text);
    if (!ret->p)
        fl_api_error(a, FL_NOMEM, "out of memory");
    return ret->p != NULL;
}

static void start_edit(struct fl_api *a)
{
    struct fl_edit *e = FL_ARENA_NEW(a->arena, struct fl_edit);
    struct fl_uuid id;
    if (!e) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (!read_id(a, &id) || !fl_api_text(a, "binding", true, &e->binding) ||
        !fl_api_text(a, "reason", false, &e->reason) || !read_arguments(a, &e->arguments))
        return;
    e->core = a->core;
    e->organization = a->organization_id;
    e->approval = id;
    e->person = a->auth.id;
    e->person_name = a->auth.person;
    e->evidence = fl_api_evidence(a);
    e->via = a->is_control ? "cli" : "api";
    a->user = e;
    a->op = (struct fl_op){ .done = on_edited };
    if (fl_edit_start(&a->op, e) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- settling */
static void on_settled(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_settle *s = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT];
    if (!fl_api_flow_may(a))
        return;
    fl_buf_putc(&out, '{');
    put_state(&out, s->state);
    if (!fl_uuid_is_zero(&s->again))
        put_text(&out, "new_id", fl_str_of(fl_uuid_format(&s->again, id)));
    put_ended(&out);
    fl_api_ok(a, &out);
}

static void start_settle(struct fl_api *a)
{
    static const char *const outcomes[] = { "succeeded", "failed", "again" };
    struct fl_settle *s = FL_ARENA_NEW(a->arena, struct fl_settle);
    struct fl_str reason, outcome;
    struct fl_uuid id;
    size_t at = 0;
    if (!s) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (!read_id(a, &id) || !fl_api_text(a, "outcome", true, &outcome) ||
        !fl_api_text(a, "reason", false, &reason))
        return;
    while (at < FL_COUNTOF(outcomes) && !fl_str_is(outcome, outcomes[at]))
        at++;
    if (at == FL_COUNTOF(outcomes)) {
        fl_api_error(a, FL_BAD_PARAMS, "'outcome' must be succeeded, failed or again");
        return;
    }
    *s = (struct fl_settle){ .core = a->core,
                             .organization = a->organization_id,
                             .approval = id,
                             .person = a->auth.id,
                             .person_name = a->auth.person,
                             .evidence = fl_api_evidence(a),
                             .outcome = (enum fl_settle_outcome)at,
                             .reason = reason,
                             .via = a->is_control ? "cli" : "api" };
    a->user = s;
    a->op = (struct fl_op){ .done = on_settled };
    if (fl_settle_start(&a->op, s) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- cancelling */
static void on_cancelled(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_cancel *c = a->user;
    struct fl_buf out = FL_BUF_INIT;
    if (op->code == FL_OK && !c->is_cancelled)
        op->code = fl_err_set(&op->err, FL_CONFLICT, "it is %s already", fl_state_word(c->state));
    if (!fl_api_flow_done(a))
        return;
    fl_buf_putc(&out, '{');
    put_state(&out, c->state);
    put_ended(&out);
    fl_api_ok(a, &out);
}

static void start_cancel(struct fl_api *a)
{
    struct fl_cancel *c = FL_ARENA_NEW(a->arena, struct fl_cancel);
    struct fl_str reason;
    struct fl_uuid id;
    if (!c) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (!read_id(a, &id) || !fl_api_text(a, "reason", false, &reason))
        return;
    *c = (struct fl_cancel){ .core = a->core,
                             .organization = a->organization_id,
                             .id = id,
                             .actor = FL_ACTOR_PERSON,
                             .actor_id = a->auth.id,
                             .only_owner = a->auth.id,
                             .reason =
                                 reason.n ? fl_arena_strndup(a->arena, reason.p, reason.n) : NULL };
    a->user = c;
    a->op = (struct fl_op){ .done = on_cancelled };
    if (fl_cancel_start(&a->op, c) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

const struct fl_api_route fl_api_approvals[] = {
    { FL_HTTP_GET, "/orgs/{org}/approvals", FL_NEED_ROLE, FL_ACTION_READ_OWN_APPROVALS, start_list,
      "state agent since after limit review" },
    { FL_HTTP_GET, "/orgs/{org}/approvals/{id}", FL_NEED_ROLE, FL_ACTION_READ_OWN_APPROVALS,
      start_get },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/decision", FL_NEED_DECIDER, FL_ACTION_DECIDE,
      start_decide, "verdict reason may_ask_again binding typed" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/settle", FL_NEED_DECIDER, FL_ACTION_SETTLE_UNKNOWN,
      start_settle, "outcome reason" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/cancel", FL_NEED_DECIDER,
      FL_ACTION_CANCEL_OWN_APPROVALS, start_cancel, "reason" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/reject", FL_NEED_DECIDER, FL_ACTION_DECIDE, start_reject,
      "agent reason may_ask_again" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/reopen", FL_NEED_DECIDER, FL_ACTION_DECIDE,
      start_reopen, "reason" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/break-glass", FL_NEED_DECIDER,
      FL_ACTION_BREAK_GLASS, start_break, "reason binding typed" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/review", FL_NEED_DECIDER, FL_ACTION_DECIDE,
      start_review, "reason" },
    { FL_HTTP_POST, "/orgs/{org}/approvals/{id}/edit", FL_NEED_DECIDER, FL_ACTION_DECIDE,
      start_edit, "arguments binding reason" },
    { .pattern = NULL }
};
