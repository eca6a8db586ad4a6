/* Settling an unknown outcome. */
#include "runtime/approval/settle.h"

#include "flopinio/base/log.h"
#include "runtime/approval/content.h"
#include "runtime/approval/frozen.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/rules.h"
#include "runtime/approval/runner.h"
#include "runtime/store/organization.h"
#include "runtime/store/vote.h"

#define REASON_MAX 2000

FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(moved);
FL_STEP_DECLARE(done);

static struct fl_settle *settle_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_settle, flow);
}

FL_STEP(load)
{
    struct fl_settle *s = settle_of(f);
    s->org = fl_org_peek(s->core->orgs, &s->organization);
    if (s->org)
        return &S_open;
    return fl_await(f, &S_open,
                    fl_org_load_start(&f->op, &s->load, s->core->orgs, &s->organization, &s->org));
}

FL_STEP(open)
{
    struct fl_settle *s = settle_of(f);
    if (!s->org)
        return fl_fail(f);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &s->tx));
}

FL_STEP(opened)
{
    struct fl_settle *s = settle_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_store_stop_gate_pass(&s->tx); /* before the approval, as a stop does */
    fl_store_member_hold(&s->tx, &s->person);
    fl_store_evidence(&s->tx, &s->person, &s->evidence, &s->proof);
    if (s->outcome == FL_SETTLE_AGAIN)
        fl_store_approval_agent_lock(&s->tx, &s->approval);
    s->q_row = fl_store_approval_lock(&s->tx, &s->approval);
    s->q_content = fl_store_approval_content(&s->tx, &s->approval);
    s->q_people = fl_store_people(&s->tx);
    return fl_await(f, &S_locked, fl_tx_round(&f->op, &s->tx));
}

/* Columns of fl_store_people: person_id, name, role, is_active. */
static enum fl_role role_of(const struct fl_settle *s)
{
    for (int i = 0; i < fl_rows(s->q_people); i++) {
        struct fl_uuid id = fl_cell_uuid(s->q_people, i, 0);
        if (fl_uuid_cmp(&id, &s->person) == 0)
            return fl_cell_bool(s->q_people, i, 3) ? fl_role_parse(fl_cell(s->q_people, i, 2))
                                                   : FL_ROLE_NONE;
    }
    return FL_ROLE_NONE;
}

static enum fl_code check(struct fl_settle *s, struct fl_err *err)
{
    if (!fl_store_approval_read(s->q_row, 0, s->arena, &s->row))
        return fl_rows(s->q_row) == 1 ? fl_err_code(err, FL_NOMEM)
                                      : fl_err_set(err, FL_NOT_FOUND, "there is no such approval");
    s->state = s->row.state;
    enum fl_code code = fl_role_require(role_of(s), FL_ACTION_SETTLE_UNKNOWN, err);
    if (code || (code = fl_store_proved(&s->proof, err)) != FL_OK)
        return code;
    if (s->row.state != FL_APPROVAL_UNKNOWN)
        return fl_err_set(err, FL_CONFLICT, "its outcome is known: it is %s",
                          fl_state_word(s->row.state));
    if (!s->row.is_unknown_over)
        return fl_err_set(err, FL_CONFLICT, "it could still be running; try again in a minute");
    return FL_OK;
}

/* ---------------------------------------------------------------- asking again */
static enum fl_code ask_policy(struct fl_settle *s, const struct fl_org_tool *tool,
                               struct fl_err *err)
{
    const struct fl_approval *old = &s->row;
    char id[FL_UUID_TEXT];
    struct fl_caller caller = { .agent = old->agent,
                                .agent_id_text = fl_str_of(fl_uuid_format(&old->agent_id, id)),
                                .agent_id = old->agent_id,
                                .owner_id = old->owner_id,
                                .owner = old->owner,
                                .is_isolated = old->is_isolated };
    json_t *tree = NULL;
    fl_rules_ask(s->org, tool, &caller, s->arguments, fl_real_ms(), &tree, &s->verdict);
    json_decref(tree);
    if (s->verdict.effect == FL_EFFECT_DENY)
        return fl_err_set(err, FL_CONFLICT, "the policy does not allow it any more: %.250s",
                          s->verdict.text);
    return FL_OK;
}

static enum fl_code reseal(struct fl_settle *s, int column, const char *name, struct fl_str *ret,
                           struct fl_err *err)
{
    struct fl_str plain, sealed = fl_cell_bytes(s->q_content, s->arena, 0, column);
    *ret = (struct fl_str){ NULL, 0 };
    if (!sealed.p)
        return FL_OK;
    enum fl_code code = fl_content_open(s->core, &s->organization, &s->approval, name, sealed,
                                        s->arena, &plain, err);
    return code ? code
                : fl_content_seal(s->core, &s->organization, &s->fresh.id, name, plain, s->arena,
                                  ret, err);
}

/* The same call once more, as a row of its own; its runner is the runtime, as nobody waits. */
static enum fl_code prepare_again(struct fl_settle *s, struct fl_err *err)
{
    const struct fl_approval *old = &s->row;
    const struct fl_org_tool *tool = fl_org_tool(s->org, old->tool);
    uint8_t *fingerprint = fl_arena_alloc(s->arena, FL_SHA256_BYTES);
    struct fl_content_call call;
    enum fl_code code =
        fl_content_arguments(s->core, &s->organization, old,
                             fl_cell_bytes(s->q_content, s->arena, 0, 0), s->arena, &call, err);
    if (code)
        return code;
    s->arguments = call.arguments;
    if (!tool || tool->state != FL_TOOL_ACCEPTED ||
        fl_uuid_cmp(&tool->server->id, &old->server_id) != 0 ||
        !fl_str_eq(tool->digest, old->definition_digest))
        return fl_err_set(err, FL_CONFLICT,
                          "the tool's definition is not the one that was approved");
    if (memcmp(tool->server->digest, call.server, sizeof call.server) != 0)
        return fl_err_set(err, FL_CONFLICT, "the tool's server was configured anew since");
    if ((code = ask_policy(s, tool, err)) != FL_OK)
        return code;
    bool is_asked = s->verdict.effect == FL_EFFECT_ASK;
    s->fresh = (struct fl_approval_new){
        .organization = s->organization,
        .id = fl_uuid_new(),
        .agent_id = old->agent_id,
        .credential_id = old->credential_id,
        .owner_id = old->owner_id,
        .server_id = old->server_id,
        .retry_of = old->id,
        .edit_of = old->edit_of, /* the changed call once more: its editor does not decide it */
        .editor_id = old->editor_id,
        .agent = old->agent,
        .owner = old->owner,
        .server = tool->server->name,
        .kind = "tool_call",
        .state = is_asked ? FL_APPROVAL_PENDING : FL_APPROVAL_APPROVED,
        .tool = old->tool,
        .tool_name = old->tool_name,
        .definition_digest = old->definition_digest,
        .server_digest = fl_bytes(tool->server->digest, sizeof tool->server->digest),
        .fingerprint = { (const char *)fingerprint, FL_SHA256_BYTES },
        .preview_kind = fl_arena_strndup(s->arena, old->preview_kind.p, old->preview_kind.n),
        .precondition = old->precondition,
        .is_isolated = old->is_isolated,
        .is_standing = s->verdict.is_standing,
        .card = fl_frozen_card(s->arena, tool, &s->verdict,
                               fl_uuid_is_zero(&old->edit_of) ? FL_STR("")
                                                              : fl_frozen_why(s->arena, old->card)),
        .rule = s->verdict.rule ? s->verdict.rule->name : FL_STR(""),
        .policy_version = s->org->policy_version,
        .wait_mode = FL_WAIT_TASK,
        .task_id = fl_frozen_task_id(s->arena),
        .after_leave = "wait",
        .expires_ms = is_asked ? s->verdict.ask->expires_ms : FL_STANDING_MS,
        .pending_max = s->core->limits.pending_max,
    };
    if (!fingerprint || !s->fresh.preview_kind || !s->fresh.card.p || !s->fresh.task_id)
        return fl_err_code(err, FL_NOMEM);
    fl_call_fingerprint(s->core->keys, &s->organization, &old->agent_id, old->tool, s->arguments,
                        fingerprint);
    code = fl_frozen_ask(s->arena, &s->verdict, &s->fresh.ask, err);
    if (code == FL_OK)
        code = fl_content_bind(s->core, &s->fresh, s->arguments, s->arena, err);
    if (code == FL_OK)
        code = reseal(s, 1, "justification", &s->fresh.justification, err);
    if (code == FL_OK)
        code = reseal(s, 2, "preview", &s->fresh.preview, err);
    return code;
}

static enum fl_code add_again(struct fl_settle *s, struct fl_err *err)
{
    struct fl_audit_event e;
    bool is_asked = s->fresh.state == FL_APPROVAL_PENDING;
    fl_audit_init(&e, &s->organization,
                  is_asked ? FL_AUDIT_APPROVAL_REQUESTED : FL_AUDIT_APPROVAL_PERMITTED,
                  FL_ACTOR_PERSON, &s->person, "approval", &s->fresh.id);
    fl_audit_text(&e, "tool", s->fresh.tool);
    fl_audit_text(&e, "agent", s->fresh.agent);
    fl_audit_text(&e, "rule", s->fresh.rule);
    fl_audit_uuid(&e, "retry_of", &s->approval, s->arena);
    fl_audit_hex(&e, "binding", s->fresh.binding_digest.p, s->fresh.binding_digest.n);
    enum fl_code code = fl_audit_seal(&e, s->arena, err);
    if (code)
        return code;
    fl_store_approval_intake_locks(&s->tx, &s->fresh.agent_id, 1);
    s->q_intake = fl_store_approval_intake(&s->tx, &s->fresh, &e.row);
    return FL_OK;
}

/* What the agent and the card of the one that did not happen are told. */
static struct fl_str and_again(struct fl_settle *s, struct fl_str reason)
{
    char id[FL_UUID_TEXT];
    const char *text = fl_arena_printf(
        s->arena, "%.*s; approval %s takes its place: wait for it with approval_wait",
        FL_STR_ARG(reason), fl_uuid_format(&s->fresh.id, id));
    return text ? fl_str_of(text) : (struct fl_str){ NULL, 0 };
}

FL_STEP(locked)
{
    struct fl_settle *s = settle_of(f);
    struct fl_audit_event e;
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    enum fl_code code = check(s, &err);
    if (code == FL_OK && s->outcome == FL_SETTLE_AGAIN)
        code = prepare_again(s, &err);
    if (code)
        return fl_fail_with(f, code, "%s", err.text);
    enum fl_approval_state to =
        s->outcome == FL_SETTLE_SUCCEEDED ? FL_APPROVAL_SUCCEEDED : FL_APPROVAL_FAILED;
    struct fl_str reason = s->reason.n                     ? s->reason
                           : s->outcome == FL_SETTLE_AGAIN ? FL_STR("it did not happen")
                                                           : FL_STR("");
    struct fl_str said = s->outcome == FL_SETTLE_AGAIN ? and_again(s, reason) : reason;
    if (!said.p)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    s->q_moved = fl_store_approval_settle_by(&s->tx, &s->approval, to, s->person_name, said);
    s->state = to;
    fl_audit_init(&e, &s->organization, FL_AUDIT_APPROVAL_SETTLED, FL_ACTOR_PERSON, &s->person,
                  "approval", &s->approval);
    fl_audit_text(&e, "person", s->person_name);
    fl_audit_z(&e, "via", s->via);
    fl_audit_z(&e, "outcome", fl_state_text(to));
    fl_audit_text(&e, "reason", reason);
    if (s->outcome == FL_SETTLE_AGAIN)
        fl_audit_uuid(&e, "again", &s->fresh.id, s->arena);
    fl_audit_append(&e, &s->tx);
    if (s->outcome == FL_SETTLE_AGAIN && (code = add_again(s, &err)) != FL_OK)
        return fl_fail_with(f, code, "%s", err.text);
    return fl_await(f, &S_moved, fl_tx_round(&f->op, &s->tx));
}

FL_STEP(moved)
{
    struct fl_settle *s = settle_of(f);
    struct fl_intake in;
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(s->q_moved) != 1)
        return fl_fail_with(f, FL_CONFLICT, "it could still be running; try again in a minute");
    if (s->outcome == FL_SETTLE_AGAIN) {
        fl_store_approval_intake_read(s->q_intake, 0, s->arena, &in);
        if (in.result == FL_INTAKE_STOPPED)
            return fl_fail_with(f, FL_CONFLICT, "stopped: %.*s", FL_STR_ARG(in.stop_reason));
        if (in.result == FL_INTAKE_TOO_MANY)
            return fl_fail_with(f, FL_CONFLICT, "too many of the agent's calls are waiting");
        if (in.result == FL_INTAKE_AGENT_REFUSED)
            return fl_fail_with(f, FL_CONFLICT,
                                "the agent, its credential or its owner may not act any more");
        if (in.result != FL_INTAKE_CREATED) {
            fl_orgs_changed(s->core->orgs, &s->organization, 0);
            return fl_fail_with(f, FL_UNAVAILABLE,
                                "the policy or the tool has just changed; try again");
        }
        s->again = s->fresh.id;
    }
    return fl_await(f, &S_done, fl_tx_commit(&f->op, &s->tx));
}

FL_STEP(done)
{
    struct fl_settle *s = settle_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_hub_changed(s->core->hub, &s->organization, &s->approval);
    if (!fl_uuid_is_zero(&s->again)) {
        fl_hub_changed(s->core->hub, &s->organization, &s->again);
        if (s->fresh.state == FL_APPROVAL_APPROVED)
            fl_runner_kick(s->core, &s->organization, &s->fresh.server_id, &s->again);
    }
    return fl_end(f);
}

FL_STEP(failed)
{
    fl_tx_abandon(&settle_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_settle *s = settle_of(f);
    struct fl_op *op = s->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&s->tx);
    fl_org_unref(&s->org);
    if (s->arguments.p)
        fl_cleanse((char *)s->arguments.p, s->arguments.n);
    fl_arena_free(&s->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_settle, post)->flow, &S_load);
}

enum fl_code fl_settle_start(struct fl_op *op, struct fl_settle *s)
{
    if (s->reason.n > REASON_MAX)
        return fl_err_set(&op->err, FL_BAD_PARAMS, "the reason is longer than %d bytes",
                          REASON_MAX);
    s->arena = fl_arena_new(0);
    if (!s->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&s->tx, s->core->pg, s->arena, &s->organization);
    fl_flow_init(&s->flow, &S_failed, on_ended);
    s->op = op;
    fl_op_start(op, NULL, s);
    s->post = (struct fl_post){ .run = on_start };
    fl_loop_post(s->core->loop, &s->post);
    return FL_OK;
}
