/* Making the row of a held call: canonical arguments, preview, digest, sealed contents, and what
 * its card will need, frozen. */
#include <stdio.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/json.h"
#include "flopinio/base/scan.h"
#include "runtime/approval/call_priv.h"
#include "runtime/approval/content.h"
#include "runtime/approval/frozen.h"

enum fl_code fl_call_take_reason(struct fl_call *c, struct fl_err *err)
{
    json_t *reason = c->found->takes_reason ? json_object_get(c->tree, FL_REASON_ARGUMENT) : NULL;
    if (!reason)
        return FL_OK;
    if (!json_is_string(reason))
        return fl_err_set(err, FL_BAD_PARAMS, "/" FL_REASON_ARGUMENT ": must be a string");
    if (!c->justification.n)
        c->justification = fl_arena_str(c->arena, fl_json_str(reason));
    json_object_del(c->tree, FL_REASON_ARGUMENT);
    /* Out of the text too, member by member, so that every other byte stays as it was sent. */
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str key, value;
    fl_buf_putc(&out, '{');
    for (size_t pos = 0; fl_span_next_member(c->arguments, &pos, &key, &value);) {
        if (fl_span_is(key, FL_REASON_ARGUMENT))
            continue;
        if (out.n > 1)
            fl_buf_putc(&out, ',');
        fl_buf_str(&out, key);
        fl_buf_putc(&out, ':');
        fl_buf_str(&out, value);
    }
    fl_buf_putc(&out, '}');
    enum fl_code code = fl_buf_code(&out, err);
    if (code == FL_OK) {
        c->arguments = fl_arena_str(c->arena, fl_buf_view(&out));
        if (!c->arguments.p || !c->justification.p)
            code = fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&out);
    return code;
}

enum fl_code fl_call_canonical(struct fl_call *c, struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    if (c->canonical.p)
        return FL_OK;
    enum fl_code code = fl_jcs(c->arguments, &out, err);
    if (code == FL_OK) {
        c->canonical = fl_arena_str(c->arena, fl_buf_view(&out));
        if (!c->canonical.p)
            code = fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&out);
    return code;
}

void fl_call_take_preview(struct fl_call *c)
{
    const struct fl_host_result *r = &c->host_call.result;
    struct fl_approval_new *row = &c->row;
    row->preview_kind = "none";
    /* A preview that fails, hangs or says that there is none leaves a card without one. */
    if (c->host_call.ran == FL_HOST_ENDED && r->outcome == FLOPINIO_OK) {
        if (r->preview_kind != FL_HOST_PREVIEW_NONE && r->preview.p) {
            row->preview_kind = r->preview_kind == FL_HOST_PREVIEW_DIFF ? "diff" : "text";
            c->preview = fl_arena_str(c->arena, r->preview);
        }
        if (r->precondition.p)
            row->precondition = fl_arena_str(c->arena, r->precondition);
    }
    fl_host_call_fini(&c->host_call);
}

static enum fl_code seal_texts(struct fl_call *c, struct fl_err *err)
{
    struct fl_approval_new *row = &c->row;
    enum fl_code code = FL_OK;
    row->justification = row->preview = (struct fl_str){ NULL, 0 };
    if (c->justification.n)
        code = fl_content_seal(c->core, &row->organization, &row->id, "justification",
                               c->justification, c->arena, &row->justification, err);
    if (code == FL_OK && c->preview.p)
        code = fl_content_seal(c->core, &row->organization, &row->id, "preview", c->preview,
                               c->arena, &row->preview, err);
    return code;
}

static void intake_event(struct fl_call *c)
{
    struct fl_approval_new *row = &c->row;
    bool is_asked = row->state == FL_APPROVAL_PENDING;
    fl_call_event(c, is_asked ? FL_AUDIT_APPROVAL_REQUESTED : FL_AUDIT_APPROVAL_PERMITTED);
    fl_audit_text(&c->event, "rule", row->rule);
    fl_audit_hex(&c->event, "binding", row->binding_digest.p, row->binding_digest.n);
    fl_audit_hex(&c->event, "definition", row->definition_digest.p, row->definition_digest.n);
    if (row->precondition.n)
        fl_audit_text(&c->event, "precondition", row->precondition);
    if (!is_asked)
        fl_audit_bool(&c->event, "standing", row->is_standing);
    if (c->grant) {
        fl_audit_uuid(&c->event, "grant", &c->grant->id, c->arena);
        fl_audit_text(&c->event, "granted_by", c->grant->person_name);
    }
    if (!row->is_isolated)
        fl_audit_bool(&c->event, "isolated", false);
    fl_audit_int(&c->event, "expires_ms", row->expires_ms);
}

enum fl_code fl_call_intake_start(struct fl_call *c, bool is_task, int64_t expires_ms)
{
    struct fl_err *err = &c->flow.op.err;
    struct fl_principal *p = c->principal;
    struct fl_approval_new *row = &c->row;
    uint8_t *fingerprint = fl_arena_alloc(c->arena, FL_SHA256_BYTES);
    if (!fingerprint)
        return fl_err_code(err, FL_NOMEM);
    if (c->canary) /* nothing that the agent asks for is like it */
        fl_random(fingerprint, FL_SHA256_BYTES);
    else
        fl_call_fingerprint(c->core->keys, &p->organization_id, &p->agent_id, c->tool, c->canonical,
                            fingerprint);
    const char *preview_kind = row->preview_kind ? row->preview_kind : "none";
    struct fl_str precondition = row->precondition;
    *row = (struct fl_approval_new){
        .organization = p->organization_id,
        .id = fl_uuid_new(),
        .agent_id = p->agent_id,
        .credential_id = p->credential_id,
        .owner_id = p->owner_id,
        .server_id = c->found->server->id,
        .agent = p->agent,
        .owner = p->owner,
        .server = c->found->server->name,
        .kind = "tool_call",
        .state = fl_call_is_asked(c) ? FL_APPROVAL_PENDING : FL_APPROVAL_APPROVED,
        .tool = c->tool,
        .tool_name = c->found->name,
        .definition_digest = c->found->digest,
        .server_digest = fl_bytes(c->found->server->digest, sizeof c->found->server->digest),
        .fingerprint = { (const char *)fingerprint, FL_SHA256_BYTES },
        .idempotency_key = c->idempotency_key,
        .preview_kind = preview_kind,
        .precondition = precondition,
        .is_isolated = c->caller.is_isolated,
        .is_standing = c->verdict.is_standing,
        .rule = c->verdict.rule ? c->verdict.rule->name : FL_STR(""),
        .policy_version = c->org->policy_version,
        .wait_mode = is_task ? FL_WAIT_TASK : FL_WAIT_HELD,
        .mcp_session = c->mcp_session,
        .mcp_request = c->mcp_request,
        .mcp_stream = c->mcp_stream,
        .expires_ms = expires_ms,
        .pending_max = c->core->limits.pending_max,
        .grant_id = c->grant ? c->grant->id : (struct fl_uuid){ { 0 } },
        .canary_id = c->canary ? c->canary->id : (struct fl_uuid){ { 0 } },
        .revision = c->org->revision,
    };
    if (is_task)
        row->task_id = fl_frozen_task_id(c->arena);
    else
        row->holder = c->core->worker;
    c->after_leave =
        c->verdict.ask && c->verdict.ask->after_leave == FL_AFTER_LEAVE_CANCEL ? "cancel" : "wait";
    row->after_leave = c->after_leave;
    row->break_cancels = c->is_break_cancelling;
    row->card = fl_frozen_card(c->arena, c->found, &c->verdict, c->why_asked);
    if (!row->card.p || (is_task && !row->task_id))
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = fl_frozen_ask(c->arena, &c->verdict, &row->ask, err);
    if (code == FL_OK)
        code = fl_content_bind(c->core, row, c->canonical, c->arena, err);
    if (code == FL_OK)
        code = seal_texts(c, err);
    if (code)
        return code;
    intake_event(c);
    if ((code = fl_audit_seal(&c->event, c->arena, err)) != FL_OK)
        return code;
    return fl_call_intake_again(c);
}

enum fl_code fl_call_intake_again(struct fl_call *c)
{
    bool looks = !c->canary && c->twin_looks < FL_CALL_TWIN_LOOKS;
    c->row.seeker = looks ? c->core->worker : (struct fl_uuid){ { 0 } };
    c->taken =
        (struct fl_intake_entry){ .row = &c->row, .audit = &c->event.row, .arena = c->arena };
    return fl_intakes_add(&c->flow.op, c->core->intakes, &c->taken);
}
