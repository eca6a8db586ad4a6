/* Editing what waits. */
#include "runtime/approval/edit.h"

#include "flopinio/base/jcs.h"
#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/alert.h"
#include "runtime/approval/content.h"
#include "runtime/approval/frozen.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/rules.h"
#include "runtime/store/organization.h"
#include "runtime/store/vote.h"

#define REASON_MAX 2000
#define TOLD_MAX   ((size_t)1 << 20)

FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(refused);
FL_STEP_DECLARE(caught);
FL_STEP_DECLARE(moved);
FL_STEP_DECLARE(done);

static struct fl_edit *edit_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_edit, flow);
}

FL_STEP(load)
{
    struct fl_edit *e = edit_of(f);
    e->org = fl_org_peek(e->core->orgs, &e->organization);
    if (e->org)
        return &S_open;
    return fl_await(f, &S_open,
                    fl_org_load_start(&f->op, &e->load, e->core->orgs, &e->organization, &e->org));
}

FL_STEP(open)
{
    struct fl_edit *e = edit_of(f);
    if (!e->org)
        return fl_fail(f);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &e->tx));
}

FL_STEP(opened)
{
    struct fl_edit *e = edit_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_store_stop_gate_pass(&e->tx); /* before the approval, as a stop does */
    fl_store_member_hold(&e->tx, &e->person);
    fl_store_evidence(&e->tx, &e->person, &e->evidence, &e->proof);
    fl_store_approval_agent_lock(&e->tx, &e->approval);
    e->q_row = fl_store_approval_lock(&e->tx, &e->approval);
    e->q_content = fl_store_approval_content(&e->tx, &e->approval);
    e->q_people = fl_store_people(&e->tx);
    e->q_votes = fl_store_votes(&e->tx, &e->approval);
    return fl_await(f, &S_locked, fl_tx_round(&f->op, &e->tx));
}

/* ---------------------------------------------------------------- what speaks against it */
/* Who may reject it may change it. */
static enum fl_code check(struct fl_edit *e, struct fl_err *err)
{
    char hex[2 * FL_DIGEST_BYTES + 1];
    const struct fl_approval *row = &e->row;
    struct fl_quorum_vote vote = { e->person, false, false };
    struct fl_quorum_facts facts;
    enum fl_code code = fl_ballot_read(&e->ballot, e->arena, e->q_people, e->q_votes, row, err);
    if (code)
        return code;
    const struct fl_quorum_person *person = fl_ballot_person(&e->ballot, &e->person);
    if (!person || !person->is_active || !fl_role_may(person->role, FL_ACTION_DECIDE))
        return fl_err_set(err, FL_FORBIDDEN, "your role may not decide approvals");
    if (fl_store_proved(&e->proof, err) != FL_OK)
        return FL_FORBIDDEN;
    if (row->state != FL_APPROVAL_PENDING || row->is_expired)
        return fl_err_set(err, FL_CONFLICT, "it is %s already",
                          row->is_expired ? "expired" : fl_state_word(row->state));
    if (!fl_str_is(row->kind, "tool_call"))
        return fl_err_set(err, FL_CONFLICT, "only calls of tools have arguments to change");
    if (!fl_str_eq_nocase(e->binding,
                          fl_str_of(fl_hex(row->binding_digest.p, row->binding_digest.n, hex))))
        return fl_err_set(err, FL_CONFLICT, "it is not the call that you were shown");
    if ((code = fl_policy_ask_load(row->ask, &e->ask, err)) != FL_OK)
        return code;
    fl_ballot_facts(&e->ballot, e->ask, &facts);
    return fl_quorum_may_vote(&facts, person, &vote, err);
}

/* The old arguments. */
static enum fl_code open_before(struct fl_edit *e, struct fl_content_call *ret, struct fl_err *err)
{
    struct fl_err why;
    uint64_t failures = fl_mem_failures();
    struct fl_str sealed = fl_cell_bytes(e->q_content, e->arena, 0, 0);
    enum fl_code code =
        fl_content_arguments(e->core, &e->organization, &e->row, sealed, e->arena, ret, &why);
    if (code == FL_OK) {
        e->before = ret->arguments;
        return FL_OK;
    }
    if (fl_mem_failures() != failures)
        return fl_err_code(err, FL_NOMEM);
    e->is_tampered = code == FL_CONFLICT || code == FL_BAD_KEY;
    if (!e->is_tampered)
        return fl_err_set(err, code, "%s", why.text);
    FL_LOG(ERROR, "approval_tampered", FL_KU("org", &e->organization), FL_KU("call", &e->approval),
           FL_KS("reason", why.text));
    return fl_err_set(err, FL_CONFLICT, "it cannot be changed: %s", why.text);
}

/* The tool, if it is the one that was called; NULL: err. */
static const struct fl_org_tool *find_tool(struct fl_edit *e, struct fl_err *err)
{
    struct fl_content_call call;
    const struct fl_approval *old = &e->row;
    const struct fl_org_tool *tool = fl_org_tool(e->org, old->tool);
    if (open_before(e, &call, err) != FL_OK)
        return NULL;
    if (!tool || tool->state != FL_TOOL_ACCEPTED ||
        fl_uuid_cmp(&tool->server->id, &old->server_id) != 0 ||
        !fl_str_eq(tool->digest, old->definition_digest) ||
        memcmp(tool->server->digest, call.server, sizeof call.server) != 0) {
        fl_err_set(err, FL_CONFLICT, "the tool or its server is not what it was");
        return NULL;
    }
    return tool;
}

/* The new arguments, checked as if the agent had sent them. */
static enum fl_code take_arguments(struct fl_edit *e, const struct fl_org_tool *tool,
                                   struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    json_t *tree = fl_json_parse(e->arguments, err);
    enum fl_code code = tree ? FL_OK : FL_BAD_PARAMS;
    if (tree && !json_is_object(tree))
        code = fl_err_set(err, FL_BAD_PARAMS, "'arguments' must be an object");
    if (code == FL_OK && tool->takes_reason && json_object_get(tree, FL_REASON_ARGUMENT))
        code = fl_err_set(err, FL_BAD_PARAMS, "/" FL_REASON_ARGUMENT ": is the agent's to say");
    if (code == FL_OK)
        code = fl_org_tool_validate(tool, tree, err);
    if (code == FL_OK)
        code = fl_jcs(e->arguments, &out, err);
    if (code == FL_OK) {
        e->after = fl_arena_str(e->arena, fl_buf_view(&out));
        if (!e->after.p)
            code = fl_err_code(err, FL_NOMEM);
        else if (fl_str_eq(e->after, e->before))
            code = fl_err_set(err, FL_BAD_PARAMS, "nothing is changed");
    }
    fl_buf_fini(&out);
    json_decref(tree);
    return code;
}

static enum fl_code ask_policy(struct fl_edit *e, const struct fl_org_tool *tool,
                               struct fl_err *err)
{
    const struct fl_approval *old = &e->row;
    char id[FL_UUID_TEXT];
    struct fl_caller caller = { .agent = old->agent,
                                .agent_id_text = fl_str_of(fl_uuid_format(&old->agent_id, id)),
                                .agent_id = old->agent_id,
                                .owner_id = old->owner_id,
                                .owner = old->owner,
                                .is_isolated = old->is_isolated };
    json_t *tree = NULL;
    fl_rules_ask(e->org, tool, &caller, e->after, fl_real_ms(), &tree, &e->verdict);
    json_decref(tree);
    if (e->verdict.effect == FL_EFFECT_DENY)
        return fl_err_set(err, FL_CONFLICT, "the policy does not allow that: %.250s",
                          e->verdict.text);
    if (e->verdict.effect != FL_EFFECT_ASK)
        return fl_err_set(err, FL_CONFLICT,
                          "by the policy that runs without asking: the agent may call it so");
    return FL_OK;
}

/* ---------------------------------------------------------------- the changed call */
/* Is it, or something in it, a secret? */
static bool is_secret(const json_t *secrets, const char *key)
{
    struct fl_buf pointer = FL_BUF_INIT;
    const json_t *item;
    bool found = false;
    size_t i;
    fl_json_pointer_add(&pointer, fl_str_of(key));
    json_array_foreach (secrets, i, item) {
        struct fl_str s = fl_json_str(item);
        bool begins = s.n >= pointer.n && memcmp(s.p, pointer.p, pointer.n) == 0 &&
                      (s.n == pointer.n || s.p[pointer.n] == '/');
        found |= begins || pointer.is_failed || s.n == 0 || (s.n > 1 && s.p[1] == '*');
    }
    fl_buf_fini(&pointer);
    return found;
}

static void put_line(struct fl_buf *out, char mark, const char *key, const json_t *value,
                     bool hides)
{
    if (!value)
        return;
    fl_buf_printf(out, "%s%c %s: ", out->n ? "\n" : "", mark, key);
    if (hides)
        fl_buf_puts(out, "(secret)");
    else
        fl_json_put(out, value);
}

/* What was and what is, argument by argument, for the card. */
static enum fl_code make_diff(struct fl_edit *e, const struct fl_org_tool *tool, struct fl_str *ret,
                              struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    json_t *before = fl_json_parse(e->before, err), *after = fl_json_parse(e->after, err);
    json_t *secrets = tool->secrets.n ? fl_json_parse(tool->secrets, err) : NULL;
    const char *key;
    json_t *value;
    json_object_foreach (before, key, value) {
        const json_t *now = json_object_get(after, key);
        if (json_equal(value, now))
            continue;
        put_line(&out, '-', key, value, is_secret(secrets, key));
        put_line(&out, '+', key, now, is_secret(secrets, key));
    }
    json_object_foreach (after, key, value) {
        if (!json_object_get(before, key))
            put_line(&out, '+', key, value, is_secret(secrets, key));
    }
    bool is_fine = before && after && !out.is_failed;
    enum fl_code code = is_fine ? fl_content_seal(e->core, &e->organization, &e->fresh.id,
                                                  "preview", fl_buf_view(&out), e->arena, ret, err)
                                : fl_err_code(err, FL_NOMEM);
    fl_buf_fini(&out);
    json_decref(before);
    json_decref(after);
    json_decref(secrets);
    return code;
}

static enum fl_code make_fresh(struct fl_edit *e, const struct fl_org_tool *tool,
                               struct fl_err *err)
{
    const struct fl_approval *old = &e->row;
    uint8_t *fingerprint = fl_arena_alloc(e->arena, FL_SHA256_BYTES);
    char id[FL_UUID_TEXT];
    const char *why = fl_arena_printf(e->arena, "%.*s changed the arguments of %s",
                                      FL_STR_ARG(e->person_name), fl_uuid_format(&old->id, id));
    bool is_task = old->wait_mode == FL_WAIT_TASK;
    e->fresh = (struct fl_approval_new){
        .organization = e->organization,
        .id = fl_uuid_new(),
        .agent_id = old->agent_id,
        .credential_id = old->credential_id,
        .owner_id = old->owner_id,
        .server_id = old->server_id,
        .edit_of = old->id,
        .editor_id = e->person,
        .agent = old->agent,
        .owner = old->owner,
        .server = tool->server->name,
        .kind = "tool_call",
        .state = FL_APPROVAL_PENDING,
        .tool = old->tool,
        .tool_name = old->tool_name,
        .definition_digest = old->definition_digest,
        .server_digest = fl_bytes(tool->server->digest, sizeof tool->server->digest),
        .fingerprint = { (const char *)fingerprint, FL_SHA256_BYTES },
        .preview_kind = "diff",
        .is_isolated = old->is_isolated,
        .rule = e->verdict.rule->name,
        .policy_version = e->org->policy_version,
        .wait_mode = is_task ? FL_WAIT_TASK : FL_WAIT_LEFT,
        .task_id = is_task ? fl_arena_strndup(e->arena, old->task_id.p, old->task_id.n) : NULL,
        .after_leave = e->verdict.ask->after_leave == FL_AFTER_LEAVE_CANCEL ? "cancel" : "wait",
        .expires_ms = e->verdict.ask->expires_ms,
        .pending_max = e->core->limits.pending_max,
    };
    e->fresh.card = fl_frozen_card(e->arena, tool, &e->verdict, fl_str_of(why ? why : ""));
    if (!fingerprint || !why || !e->fresh.card.p || (is_task && !e->fresh.task_id))
        return fl_err_code(err, FL_NOMEM);
    fl_call_fingerprint(e->core->keys, &e->organization, &old->agent_id, old->tool, e->after,
                        fingerprint);
    enum fl_code code = fl_frozen_ask(e->arena, &e->verdict, &e->fresh.ask, err);
    if (code == FL_OK)
        code = make_diff(e, tool, &e->fresh.preview, err);
    if (code == FL_OK)
        code = fl_content_bind(e->core, &e->fresh, e->after, e->arena, err);
    return code;
}

static enum fl_code prepare(struct fl_edit *e, struct fl_err *err)
{
    enum fl_code code = check(e, err);
    const struct fl_org_tool *tool = code ? NULL : find_tool(e, err);
    if (!tool)
        return code ? code : err->code;
    code = take_arguments(e, tool, err);
    if (code == FL_OK)
        code = ask_policy(e, tool, err);
    return code ? code : make_fresh(e, tool, err);
}

static void event(struct fl_edit *e, struct fl_audit_event *ev, enum fl_audit_kind kind,
                  const struct fl_uuid *approval)
{
    fl_audit_init(ev, &e->organization, kind, FL_ACTOR_PERSON, &e->person, "approval", approval);
    fl_audit_text(ev, "person", e->person_name);
    fl_audit_z(ev, "via", e->via);
}

/* Nobody asked for it, so nothing takes its place: whoever saw that it is wrong has caught it. */
static void write_canary(struct fl_edit *e)
{
    struct fl_audit_event ev;
    struct fl_str reason = e->reason.n ? e->reason : FL_STR("its arguments were to be changed");
    e->q_moved = fl_store_approval_decide(&e->tx, &e->approval, FL_APPROVAL_REJECTED,
                                          e->person_name, reason, false, 0);
    fl_store_vote_put(&e->tx, &e->approval, &e->person, false, reason, e->via, false, false,
                      (struct fl_str){ NULL, 0 });
    event(e, &ev, FL_AUDIT_APPROVAL_REJECTED, &e->approval);
    fl_audit_z(&ev, "what", "edit");
    fl_audit_text(&ev, "reason", reason);
    fl_audit_append(&ev, &e->tx);
    event(e, &ev, FL_AUDIT_CANARY_CAUGHT, &e->approval);
    fl_audit_text(&ev, "agent", e->row.agent);
    fl_audit_text(&ev, "tool", e->row.tool);
    fl_audit_append(&ev, &e->tx);
}

/* The old one ends, the new one begins, each with its events. */
static enum fl_code write_both(struct fl_edit *e, struct fl_err *err)
{
    struct fl_audit_event ev;
    char id[FL_UUID_TEXT];
    const char *reason = fl_arena_printf(
        e->arena,
        "%.*s changed its arguments%s%.*s; approval %s takes its place: wait for it with "
        "approval_wait",
        FL_STR_ARG(e->person_name), e->reason.n ? ": " : "", FL_STR_ARG(e->reason),
        fl_uuid_format(&e->fresh.id, id));
    if (!reason)
        return fl_err_code(err, FL_NOMEM);
    event(e, &ev, FL_AUDIT_APPROVAL_REQUESTED, &e->fresh.id);
    fl_audit_text(&ev, "tool", e->fresh.tool);
    fl_audit_text(&ev, "agent", e->fresh.agent);
    fl_audit_text(&ev, "rule", e->fresh.rule);
    fl_audit_uuid(&ev, "edit_of", &e->approval, e->arena);
    fl_audit_hex(&ev, "binding", e->fresh.binding_digest.p, e->fresh.binding_digest.n);
    enum fl_code code = fl_audit_seal(&ev, e->arena, err);
    if (code)
        return code;
    e->q_moved = fl_store_approval_decide(&e->tx, &e->approval, FL_APPROVAL_REJECTED,
                                          e->person_name, fl_str_of(reason), false, 0);
    fl_store_approval_edited(&e->tx, &e->approval, &e->fresh.id);
    fl_store_approval_intake_locks(&e->tx, &e->fresh.agent_id, 1);
    e->q_intake = fl_store_approval_intake(&e->tx, &e->fresh, &ev.row);
    fl_store_approval_succeed(&e->tx, &e->approval, &e->fresh.id, e->core->times.leave_ms);
    event(e, &ev, FL_AUDIT_APPROVAL_REJECTED, &e->approval);
    fl_audit_z(&ev, "reason", reason);
    fl_audit_uuid(&ev, "edited_to", &e->fresh.id, e->arena);
    fl_audit_append(&ev, &e->tx);
    event(e, &ev, FL_AUDIT_APPROVAL_EDITED, &e->approval);
    fl_audit_uuid(&ev, "edited_to", &e->fresh.id, e->arena);
    fl_audit_text(&ev, "reason", e->reason);
    fl_audit_hex(&ev, "before", e->row.binding_digest.p, e->row.binding_digest.n);
    fl_audit_hex(&ev, "after", e->fresh.binding_digest.p, e->fresh.binding_digest.n);
    fl_audit_append(&ev, &e->tx);
    return FL_OK;
}

FL_STEP(locked)
{
    struct fl_edit *e = edit_of(f);
    struct fl_audit_event ev;
    if (f->op.code)
        return fl_fail(f);
    if (!fl_store_approval_read(e->q_row, 0, e->arena, &e->row))
        return fl_fail_with(f, FL_NOT_FOUND, "there is no such approval");
    enum fl_code code = prepare(e, &e->refusal);
    if (code == FL_FORBIDDEN || e->is_tampered) {
        event(e, &ev, e->is_tampered ? FL_AUDIT_APPROVAL_TAMPERED : FL_AUDIT_APPROVAL_REFUSED,
              &e->approval);
        fl_audit_z(&ev, "what", "edit");
        fl_audit_z(&ev, "why", e->refusal.text);
        fl_audit_append(&ev, &e->tx);
        if (e->is_tampered)
            fl_alert_tampered(&e->tx, &e->row);
        return fl_await(f, &S_refused, fl_tx_commit(&f->op, &e->tx));
    }
    if (code == FL_OK && fl_approval_is_canary(&e->row)) {
        write_canary(e);
        return fl_await(f, &S_caught, fl_tx_commit(&f->op, &e->tx));
    }
    if (code == FL_OK)
        code = write_both(e, &e->refusal);
    if (code)
        return fl_fail_with(f, code, "%s", e->refusal.text);
    return fl_await(f, &S_moved, fl_tx_round(&f->op, &e->tx));
}

FL_STEP(caught)
{
    struct fl_edit *e = edit_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(e->q_moved) != 1)
        return fl_fail_with(f, FL_INTERNAL, "the approval changed under its lock");
    e->core->stats.canaries_caught++;
    fl_hub_changed(e->core->hub, &e->organization, &e->approval);
    return fl_fail_with(f, FL_CONFLICT,
                        "this was a test, which is rejected now: thank you; nothing takes its "
                        "place");
}

FL_STEP(refused)
{
    struct fl_edit *e = edit_of(f);
    return f->op.code ? fl_fail(f) : fl_fail_with(f, e->refusal.code, "%s", e->refusal.text);
}

FL_STEP(moved)
{
    struct fl_edit *e = edit_of(f);
    struct fl_intake in;
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(e->q_moved) != 1)
        return fl_fail_with(f, FL_INTERNAL, "the approval changed under its lock");
    fl_store_approval_intake_read(e->q_intake, 0, e->arena, &in);
    if (in.result == FL_INTAKE_STOPPED)
        return fl_fail_with(f, FL_CONFLICT, "stopped: %.*s", FL_STR_ARG(in.stop_reason));
    if (in.result == FL_INTAKE_AGENT_REFUSED)
        return fl_fail_with(f, FL_CONFLICT,
                            "the agent, its credential or its owner may not act any more");
    if (in.result != FL_INTAKE_CREATED) {
        fl_orgs_changed(e->core->orgs, &e->organization, 0);
        return fl_fail_with(f, FL_UNAVAILABLE,
                            "the policy or the tool has just changed; try again");
    }
    return fl_await(f, &S_done, fl_tx_commit(&f->op, &e->tx));
}

FL_STEP(done)
{
    struct fl_edit *e = edit_of(f);
    if (f->op.code)
        return fl_fail(f);
    e->id = e->fresh.id;
    fl_hub_changed(e->core->hub, &e->organization, &e->approval);
    fl_hub_changed(e->core->hub, &e->organization, &e->id);
    return fl_end(f);
}

FL_STEP(failed)
{
    fl_tx_abandon(&edit_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_edit *e = edit_of(f);
    struct fl_op *op = e->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&e->tx);
    fl_org_unref(&e->org);
    fl_policy_ask_free(&e->ask);
    if (e->before.p)
        fl_cleanse((char *)e->before.p, e->before.n);
    if (e->after.p)
        fl_cleanse((char *)e->after.p, e->after.n);
    fl_arena_free(&e->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_edit, post)->flow, &S_load);
}

enum fl_code fl_edit_start(struct fl_op *op, struct fl_edit *e)
{
    if (e->reason.n > REASON_MAX)
        return fl_err_set(&op->err, FL_BAD_PARAMS, "the reason is longer than %d bytes",
                          REASON_MAX);
    e->arena = fl_arena_new(0);
    if (!e->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&e->tx, e->core->pg, e->arena, &e->organization);
    fl_flow_init(&e->flow, &S_failed, on_ended);
    e->op = op;
    fl_op_start(op, NULL, e);
    e->post = (struct fl_post){ .run = on_start };
    fl_loop_post(e->core->loop, &e->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- what the agent is told */
struct fl_str fl_edit_told(struct fl_arena *arena, const struct fl_look *look)
{
    struct fl_err err;
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str told = { NULL, 0 };
    json_t *card = fl_json_parse(look->row.card, &err);
    json_t *now = look->arguments.p ? fl_json_parse(look->arguments, &err) : NULL;
    const json_t *secrets = json_object_get(card, "secrets");
    struct fl_str who = fl_json_get_str(card, "why_asked");
    const char *key;
    json_t *value;
    json_object_foreach (now, key, value) {
        if (is_secret(secrets, key))
            json_object_set_new(now, key, json_string("(secret)"));
    }
    fl_buf_str(&out, who.n ? who : FL_STR("a person changed the arguments"));
    fl_buf_puts(&out, "; the call is now with ");
    if (!now)
        fl_buf_puts(&out, "arguments that cannot be read");
    else if (look->arguments.n > TOLD_MAX)
        fl_buf_printf(&out, "arguments of %zu bytes", look->arguments.n);
    else
        fl_json_put(&out, now);
    if (!out.is_failed)
        told = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    json_decref(card);
    json_decref(now);
    return told;
}

/* Of a JSON array's text. */
static bool has_items(struct fl_str list)
{
    for (size_t i = 1; i + 1 < list.n; i++) {
        if (!strchr(" \t\r\n", list.p[i]))
            return true;
    }
    return false;
}

struct fl_str fl_edit_before(struct fl_arena *arena, struct fl_str told, struct fl_str content)
{
    bool has_more = has_items(content);
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str both = { NULL, 0 };
    fl_buf_puts(&out, "[{\"type\":\"text\",\"text\":");
    fl_buf_json_str(&out, told);
    fl_buf_puts(&out, has_more ? "}," : "}]");
    if (has_more)
        fl_buf_str(&out, (struct fl_str){ content.p + 1, content.n - 1 });
    if (!out.is_failed)
        both = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return both;
}
