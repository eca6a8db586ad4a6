/* Making a grant. With the organization's row locked, so that policy, people and tools are those
 * that its new revision has. */
#include "runtime/approval/grant.h"

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "runtime/approval/content.h"
#include "runtime/approval/frozen.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/rules.h"
#include "runtime/store/organization.h"
#include "runtime/store/vote.h"

#define REASON_MAX  2000
#define RELOADS_MAX 5

FL_STEP_DECLARE(load);
FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(refused);
FL_STEP_DECLARE(done);

static struct fl_grant_make *make_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_grant_make, flow);
}

/* ---------------------------------------------------------------- what is pinned */
static json_t *pinned_tree(json_t *tree, const struct fl_str *pins, size_t pin_count,
                           struct fl_err *err)
{
    json_t *names = json_array(), *at = json_object(), *all = NULL;
    const char *key;
    json_t *value;
    json_object_foreach (tree, key, value)
        json_array_append_new(names, json_string(key));
    for (size_t i = 0; i < pin_count; i++) {
        value = fl_json_pointer(tree, pins[i]);
        if (!value || json_object_setn_new(at, pins[i].p, pins[i].n, json_incref(value)) != 0) {
            fl_err_set(err, FL_NOT_FOUND, "the call has no argument at '%.*s'",
                       FL_STR_ARG(pins[i]));
            goto out;
        }
    }
    all = json_pack("{s:O, s:O}", "at", at, "names", names);
    if (!all)
        fl_err_code(err, FL_NOMEM);
out:
    json_decref(names);
    json_decref(at);
    return all;
}

enum fl_code fl_grant_pinned(const struct fl_keyring *keys, const struct fl_uuid *organization,
                             const struct fl_uuid *agent, struct fl_str tool,
                             struct fl_str canonical, const struct fl_str *pins, size_t pin_count,
                             uint8_t out[FL_SHA256_BYTES], struct fl_err *err)
{
    struct fl_buf text = FL_BUF_INIT;
    json_t *tree = NULL, *pinned = NULL;
    enum fl_code code = FL_OK;
    fl_buf_puts(&text, "grant "); /* no arguments begin so */
    if (pin_count == 1 && pins[0].n == 0) {
        fl_buf_str(&text, canonical);
    } else {
        tree = fl_json_parse(canonical, err);
        pinned = tree ? pinned_tree(tree, pins, pin_count, err) : NULL;
        code = pinned ? fl_json_put_canonical(&text, pinned, err) : err->code;
    }
    if (code == FL_OK && (code = fl_buf_code(&text, err)) == FL_OK)
        fl_call_fingerprint(keys, organization, agent, tool, fl_buf_view(&text), out);
    fl_buf_fini(&text);
    json_decref(pinned);
    json_decref(tree);
    return code;
}

/* ---------------------------------------------------------------- steps */
FL_STEP(load)
{
    struct fl_grant_make *m = make_of(f);
    fl_org_unref(&m->org);
    m->org = fl_org_peek(m->core->orgs, &m->organization);
    if (m->org)
        return &S_open;
    return fl_await(f, &S_open,
                    fl_org_load_start(&f->op, &m->load, m->core->orgs, &m->organization, &m->org));
}

FL_STEP(open)
{
    struct fl_grant_make *m = make_of(f);
    if (!m->org)
        return fl_fail(f);
    fl_tx_fini(&m->tx);
    fl_tx_init(&m->tx, m->core->pg, m->arena, &m->organization);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &m->tx));
}

FL_STEP(opened)
{
    struct fl_grant_make *m = make_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_store_organization_touch(&m->tx);
    fl_store_member_hold(&m->tx, &m->person);
    fl_store_evidence(&m->tx, &m->person, &m->evidence, &m->proof);
    m->q_row = fl_store_approval_get(&m->tx, &m->approval);
    m->q_content = fl_store_approval_content(&m->tx, &m->approval);
    m->q_people = fl_store_people(&m->tx);
    m->q_votes = fl_store_votes(&m->tx, &m->approval);
    m->q_recheck = fl_store_approval_recheck(&m->tx, &m->approval);
    m->q_grants = m->is_once ? fl_store_grants(&m->tx) : NULL;
    return fl_await(f, &S_locked, fl_tx_round(&f->op, &m->tx));
}

static enum fl_code check_row(const struct fl_grant_make *m, struct fl_err *err)
{
    const struct fl_approval *row = &m->row;
    char hex[2 * FL_DIGEST_BYTES + 1];
    if (row->state == FL_APPROVAL_REJECTED || row->state == FL_APPROVAL_EXPIRED ||
        row->state == FL_APPROVAL_CANCELLED || row->state == FL_APPROVAL_VOIDED ||
        row->state == FL_APPROVAL_FAILED || row->state == FL_APPROVAL_UNKNOWN)
        return fl_err_set(err, FL_CONFLICT, "a grant is not made from one that is %s",
                          fl_state_word(row->state));
    if (!fl_str_is(row->kind, "tool_call"))
        return fl_err_set(err, FL_CONFLICT, "a grant is for calls of tools");
    if (!fl_str_eq_nocase(m->binding,
                          fl_str_of(fl_hex(row->binding_digest.p, row->binding_digest.n, hex))))
        return fl_err_set(err, FL_CONFLICT, "it is not the call that you were shown");
    if (!fl_cell_bool(m->q_recheck, 0, 1))
        return fl_err_set(err, FL_CONFLICT, "the tool's definition is not the one that was shown");
    if (!fl_cell_bool(m->q_recheck, 0, 2))
        return fl_err_set(err, FL_CONFLICT,
                          "the agent, or the person who owns it, may not act any more");
    return FL_OK;
}

/* Columns of fl_store_grants: the 19th is the approval, the last but one the state. */
static enum fl_code check_once(const struct fl_grant_make *m, struct fl_err *err)
{
    for (int i = 0; m->q_grants && i < fl_rows(m->q_grants); i++) {
        struct fl_uuid from = fl_cell_uuid(m->q_grants, i, 18);
        if (fl_uuid_cmp(&from, &m->approval) == 0 &&
            fl_str_is(fl_cell(m->q_grants, i, 23), "in force"))
            return fl_err_set(err, FL_CONFLICT, "a grant of %.*s lets such calls run already",
                              FL_STR_ARG(fl_cell(m->q_grants, i, 11)));
    }
    return FL_OK;
}

static enum fl_code ask_policy(struct fl_grant_make *m, const struct fl_org_tool *tool,
                               struct fl_err *err)
{
    const struct fl_approval *row = &m->row;
    char id[FL_UUID_TEXT];
    struct fl_caller caller = { .agent = row->agent,
                                .agent_id_text = fl_str_of(fl_uuid_format(&row->agent_id, id)),
                                .agent_id = row->agent_id,
                                .owner_id = row->owner_id,
                                .owner = row->owner,
                                .is_isolated = row->is_isolated };
    json_t *tree = NULL;
    fl_rules_ask(m->org, tool, &caller, m->arguments, fl_real_ms(), &tree, &m->verdict);
    json_decref(tree);
    if (m->verdict.effect == FL_EFFECT_DENY)
        return fl_err_set(err, FL_CONFLICT, "the policy does not allow such calls: %.250s",
                          m->verdict.text);
    if (m->verdict.effect != FL_EFFECT_ASK)
        return fl_err_set(err, FL_CONFLICT, "by the policy such calls run without asking");
    if (m->verdict.ask->needs_typed)
        return fl_err_set(err, FL_CONFLICT,
                          "the rule wants each approval typed: no grant is made from it");
    return FL_OK;
}

/* Would this person's approval be enough, had nobody else voted? Their own: what somebody else has
 * lent them ends with that one's absence, and no grant is made of it. */
static enum fl_code check_vote(struct fl_grant_make *m, struct fl_err *err)
{
    struct fl_quorum_facts facts;
    struct fl_quorum quorum;
    struct fl_quorum_vote vote = { m->person, true, m->has_second_factor };
    enum fl_code code = fl_ballot_read(&m->ballot, m->arena, m->q_people, m->q_votes, &m->row, err);
    const struct fl_quorum_person *person = code ? NULL : fl_ballot_person(&m->ballot, &m->person);
    if (code)
        return code;
    if (!person || !person->is_active)
        return fl_err_set(err, FL_FORBIDDEN, "you are not a member of this organization");
    if ((code = fl_role_require(person->role, FL_ACTION_GRANT, err)) != FL_OK ||
        (code = fl_store_proved(&m->proof, err)) != FL_OK)
        return code;
    m->ballot.vote_count = 0;
    fl_ballot_facts(&m->ballot, m->verdict.ask, &facts);
    facts.ignores_delegates = true;
    if ((code = fl_quorum_may_vote(&facts, person, &vote, err)) != FL_OK)
        return code;
    fl_ballot_vote(&m->ballot, &m->person, true, m->has_second_factor, (struct fl_str){ NULL, 0 });
    fl_ballot_facts(&m->ballot, m->verdict.ask, &facts);
    facts.ignores_delegates = true;
    if ((code = fl_quorum_count(&facts, &quorum, err)) != FL_OK)
        return code;
    if (quorum.state == FL_QUORUM_APPROVED)
        return FL_OK;
    struct fl_buf progress = FL_BUF_INIT;
    fl_ballot_progress(&quorum, &progress);
    fl_err_set(err, FL_FORBIDDEN, "a grant is one person's approval, which is not enough: %.200s",
               progress.p ? progress.p : "");
    fl_buf_fini(&progress);
    return FL_FORBIDDEN;
}

static enum fl_code prepare(struct fl_grant_make *m, struct fl_err *err)
{
    struct fl_content_call call;
    uint8_t *pinned = fl_arena_alloc(m->arena, FL_SHA256_BYTES);
    struct fl_buf pins = FL_BUF_INIT;
    if (!pinned)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = check_row(m, err);
    if (code == FL_OK)
        code = check_once(m, err);
    if (code == FL_OK)
        code =
            fl_content_arguments(m->core, &m->organization, &m->row,
                                 fl_cell_bytes(m->q_content, m->arena, 0, 0), m->arena, &call, err);
    if (code)
        return code == FL_BAD_KEY ? fl_err_set(err, FL_CONFLICT, "its arguments cannot be read")
                                  : code;
    m->arguments = call.arguments;
    const struct fl_org_tool *tool = fl_org_tool(m->org, m->row.tool);
    if (!tool || memcmp(tool->server->digest, call.server, sizeof call.server) != 0)
        return fl_err_set(err, FL_CONFLICT, "the tool's server was configured anew since");
    if ((code = ask_policy(m, tool, err)) != FL_OK || (code = check_vote(m, err)) != FL_OK)
        return code;
    if (fl_approval_is_canary(&m->row)) /* which is not to be told before it ends */
        return fl_err_set(err, FL_CONFLICT, "no grant can be made from this call");
    m->grant = (struct fl_grant_new){
        .id = fl_uuid_new(),
        .approval = m->approval,
        .agent_id = m->row.agent_id,
        .server_id = m->row.server_id,
        .person = m->person,
        .tool = m->row.tool,
        .definition_digest = m->row.definition_digest,
        .server_digest = fl_bytes(tool->server->digest, sizeof tool->server->digest),
        .rule = m->verdict.rule->name,
        .pinned = { (const char *)pinned, FL_SHA256_BYTES },
        .reason = m->reason,
        .has_second_factor = m->has_second_factor,
        .uses = m->uses,
        .for_ms = m->for_ms,
    };
    for (size_t i = 0; i < m->pin_count; i++) {
        fl_buf_putc(&pins, i ? ',' : '[');
        fl_buf_json_str(&pins, m->pins[i]);
    }
    fl_buf_putc(&pins, ']');
    m->grant.pins =
        pins.is_failed ? (struct fl_str){ NULL, 0 } : fl_arena_str(m->arena, fl_buf_view(&pins));
    fl_buf_fini(&pins);
    if (!m->grant.pins.p)
        return fl_err_code(err, FL_NOMEM);
    code = fl_frozen_ask(m->arena, &m->verdict, &m->grant.ask, err);
    if (code == FL_OK)
        code = fl_grant_pinned(m->core->keys, &m->organization, &m->row.agent_id, m->row.tool,
                               m->arguments, m->pins, m->pin_count, pinned, err);
    return code == FL_NOT_FOUND ? err->code = FL_BAD_PARAMS : code;
}

static void event(struct fl_grant_make *m, struct fl_audit_event *e, enum fl_audit_kind kind,
                  const char *subject, const struct fl_uuid *id)
{
    fl_audit_init(e, &m->organization, kind, FL_ACTOR_PERSON, &m->person, subject, id);
    fl_audit_text(e, "person", m->person_name);
    fl_audit_z(e, "via", m->via);
    fl_audit_bool(e, "second_factor", m->has_second_factor);
}

FL_STEP(locked)
{
    struct fl_grant_make *m = make_of(f);
    struct fl_audit_event e;
    if (f->op.code)
        return fl_fail(f);
    if (!fl_store_approval_read(m->q_row, 0, m->arena, &m->row))
        return fl_rows(m->q_row) == 1 ? fl_fail_with(f, FL_NOMEM, "out of memory")
                                      : fl_fail_with(f, FL_NOT_FOUND, "there is no such approval");
    /* The touch made the next revision of what is in the snapshot, if that is today's. */
    if ((uint64_t)fl_cell_int(m->q_recheck, 0, 0) != m->org->revision + 1) {
        fl_tx_abandon(&m->tx);
        if (++m->tries > RELOADS_MAX)
            return fl_fail_with(f, FL_UNAVAILABLE, "the organization keeps changing");
        fl_orgs_changed(m->core->orgs, &m->organization, 0);
        return &S_load;
    }
    enum fl_code code = prepare(m, &m->refusal);
    if (code == FL_FORBIDDEN) {
        event(m, &e, FL_AUDIT_APPROVAL_REFUSED, "approval", &m->approval);
        fl_audit_z(&e, "what", "grant");
        fl_audit_z(&e, "why", m->refusal.text);
        fl_audit_append(&e, &m->tx);
        return fl_await(f, &S_refused, fl_tx_commit(&f->op, &m->tx));
    }
    if (code)
        return fl_fail_with(f, code, "%s", m->refusal.text);
    m->q_put = fl_store_grant_put(&m->tx, &m->grant);
    event(m, &e, FL_AUDIT_GRANT_CREATED, "grant", &m->grant.id);
    fl_audit_uuid(&e, "approval", &m->approval, m->arena);
    fl_audit_text(&e, "agent", m->row.agent);
    fl_audit_text(&e, "tool", m->row.tool);
    fl_audit_text(&e, "rule", m->grant.rule);
    fl_audit_raw(&e, "pins", m->grant.pins);
    fl_audit_int(&e, "uses", m->uses);
    fl_audit_int(&e, "for_ms", m->for_ms);
    fl_audit_text(&e, "reason", m->reason);
    fl_audit_hex(&e, "binding", m->row.binding_digest.p, m->row.binding_digest.n);
    fl_audit_hex(&e, "definition", m->row.definition_digest.p, m->row.definition_digest.n);
    fl_audit_append(&e, &m->tx);
    return fl_await(f, &S_done, fl_tx_commit(&f->op, &m->tx));
}

FL_STEP(refused)
{
    struct fl_grant_make *m = make_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_hub_organization_changed(m->core->hub, &m->organization);
    return fl_fail_with(f, m->refusal.code, "%s", m->refusal.text);
}

FL_STEP(done)
{
    struct fl_grant_make *m = make_of(f);
    if (f->op.code)
        return fl_fail(f);
    m->id = m->grant.id;
    m->expires_at_ms = fl_cell_int(m->q_put, 0, 0);
    fl_hub_organization_changed(m->core->hub, &m->organization);
    return fl_end(f);
}

FL_STEP(failed)
{
    fl_tx_abandon(&make_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_grant_make *m = make_of(f);
    struct fl_op *op = m->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&m->tx);
    fl_org_unref(&m->org);
    if (m->arguments.p)
        fl_cleanse((char *)m->arguments.p, m->arguments.n);
    fl_arena_free(&m->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_grant_make, post)->flow, &S_load);
}

static enum fl_code check_inputs(struct fl_grant_make *m, struct fl_err *err)
{
    static const struct fl_str whole = { "", 0 };
    if (m->reason.n > REASON_MAX)
        return fl_err_set(err, FL_BAD_PARAMS, "the reason is longer than %d bytes", REASON_MAX);
    if (m->for_ms < FL_GRANT_LEAST_MS || m->for_ms > FL_GRANT_MOST_MS)
        return fl_err_set(err, FL_BAD_PARAMS, "a grant is for 1m to 24h");
    if (m->uses < 1 || m->uses > FL_GRANT_USES_MOST)
        return fl_err_set(err, FL_BAD_PARAMS, "a grant is for 1 to %d uses", FL_GRANT_USES_MOST);
    if (m->pin_count > FL_GRANT_PINS_MOST)
        return fl_err_set(err, FL_BAD_PARAMS, "at most %d arguments are pinned one by one",
                          FL_GRANT_PINS_MOST);
    for (size_t i = 0; i < m->pin_count; i++) {
        if (m->pins[i].n && m->pins[i].p[0] != '/')
            return fl_err_set(err, FL_BAD_PARAMS,
                              "'%.*s' is no JSON pointer to an argument, as in /path",
                              FL_STR_ARG(m->pins[i]));
        if (!m->pins[i].n) /* the whole has every part in it */
            m->pin_count = 0;
    }
    if (m->pin_count == 0) {
        m->pins = &whole;
        m->pin_count = 1;
    }
    return FL_OK;
}

enum fl_code fl_grant_make_start(struct fl_op *op, struct fl_grant_make *m)
{
    enum fl_code code = check_inputs(m, &op->err);
    if (code)
        return code;
    m->arena = fl_arena_new(0);
    if (!m->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&m->tx, m->core->pg, m->arena, &m->organization);
    fl_flow_init(&m->flow, &S_failed, on_ended);
    m->op = op;
    fl_op_start(op, NULL, m);
    m->post = (struct fl_post){ .run = on_start };
    fl_loop_post(m->core->loop, &m->post);
    return FL_OK;
}
