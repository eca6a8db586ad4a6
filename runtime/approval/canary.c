/* Filing canaries. Taking one is a transaction of its own, which moves its time on under the lock
 * of its row: of many nodes one files it, and one that dies in between files none, rather than two.
 */
#include "runtime/approval/canary.h"

#include <string.h>

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "flopinio/base/zone.h"
#include "runtime/approval/call.h"

#define LATE_US  INT64_C(300000000)  /* found so late, it is not filed any more */
#define AGAIN_US INT64_C(3600000000) /* without hours to draw from */

FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(taken);
FL_STEP_DECLARE(file);
FL_STEP_DECLARE(filed);
FL_STEP_DECLARE(noted);

/* One that was filed: it is the caller of its call, until people have decided or the time is over
 * for which the agent's client would have waited. */
struct shot {
    struct fl_principal principal;
    struct fl_call_canary canary;
    struct fl_call *call;
    struct fl_canary_fire *fire; /* to be told what became of it; NULL once it was */
    struct fl_retired retired;
};

static struct fl_canary_fire *fire_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_canary_fire, flow);
}

static bool is_by_hand(const struct fl_canary_fire *c)
{
    return c->name.n > 0;
}

/* ---------------------------------------------------------------- when */
enum fl_code fl_canary_hours(struct fl_arena *arena, const struct fl_canary_row *row,
                             struct fl_hours *ret, struct fl_err *err)
{
    struct fl_buf file = FL_BUF_INIT;
    enum fl_code code = FL_BAD_PARAMS;
    if (fl_zone_name_is_valid(row->zone) && fl_zone_file(NULL, row->zone, &file))
        code = fl_buf_code(&file, err);
    if (code == FL_OK)
        code = fl_zone_new(arena, fl_buf_view(&file), &ret->zone, err);
    fl_buf_fini(&file);
    ret->days = row->days;
    ret->from_minute = row->from_minute;
    ret->to_minute = row->to_minute;
    if (code == FL_BAD_PARAMS)
        fl_err_set(err, code, "'zone' must be a time zone, for instance Europe/Berlin");
    return code;
}

/* 0 to `count` - 1, each as likely as the others. */
static uint64_t uniform(uint64_t count)
{
    uint64_t n, most = UINT64_MAX - UINT64_MAX % count;
    do
        fl_random(&n, sizeof n);
    while (n >= most);
    return n % count;
}

int64_t fl_canary_draw(const struct fl_hours *hours, int per_week, int64_t now_us)
{
    int64_t now_s = now_us / 1000000;
    int minutes = 2 * fl_hours_week(hours, now_s) / per_week;
    int64_t at_s = fl_hours_nth(hours, now_s, minutes > 1 ? (int)uniform((uint64_t)minutes) : 0);
    return at_s < 0 ? -1 : at_s * 1000000 + (int64_t)uniform(60000000);
}

/* ---------------------------------------------------------------- whether it would be held */
enum fl_code fl_canary_check(const struct fl_org *org, const struct fl_canary_who *who,
                             struct fl_str name, struct fl_str arguments, struct fl_err *err)
{
    const struct fl_org_tool *tool = fl_org_tool(org, name);
    struct fl_policy_verdict verdict;
    char id[FL_UUID_TEXT];
    if (!fl_str_is(who->state, "active") || !who->is_owner_active)
        return fl_err_set(err, FL_BAD_PARAMS, "the agent, or the person who owns it, may not act");
    if (fl_uuid_is_zero(&who->credential_id))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "the agent has no credential with which it could call");
    if (!tool || tool->state != FL_TOOL_ACCEPTED)
        return fl_err_set(err, FL_BAD_PARAMS, "there is no accepted tool '%.*s'",
                          (int)fl_utf8_cut(name, 64), name.p);
    json_t *tree = fl_json_parse(arguments, err);
    if (!tree)
        return err->code;
    json_t *call = json_copy(tree);
    if (tool->takes_reason && call)
        json_object_del(call, FL_REASON_ARGUMENT);
    enum fl_code code = call ? fl_org_tool_validate(tool, call, err) : fl_err_code(err, FL_NOMEM);
    struct fl_caller caller = { .agent = who->agent,
                                .agent_id_text = fl_str_of(fl_uuid_format(&who->agent_id, id)),
                                .agent_id = who->agent_id,
                                .owner_id = who->owner_id,
                                .owner = who->owner,
                                .is_isolated = who->is_isolated };
    if (code == FL_OK)
        fl_rules_ask(org, tool, &caller, arguments, fl_real_ms(), &call, &verdict);
    if (code == FL_OK && verdict.effect == FL_EFFECT_DENY)
        code =
            fl_err_set(err, FL_BAD_PARAMS, "the policy denies such a call: %.250s", verdict.text);
    else if (code == FL_OK && verdict.effect != FL_EFFECT_ASK)
        code = fl_err_set(err, FL_BAD_PARAMS, "the policy lets such a call run without asking");
    json_decref(call);
    json_decref(tree);
    return code;
}

/* ---------------------------------------------------------------- taking it */
FL_STEP(open)
{
    struct fl_canary_fire *c = fire_of(f);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &c->tx));
}

FL_STEP(opened)
{
    struct fl_canary_fire *c = fire_of(f);
    if (f->op.code)
        return fl_fail(f);
    c->q = fl_store_canary_lock(&c->tx, &c->canary, c->name);
    return fl_await(f, &S_locked, fl_tx_round(&f->op, &c->tx));
}

static fl_next take_by_hand(struct fl_canary_fire *c)
{
    if (c->row.is_waiting)
        return fl_fail_with(&c->flow, FL_CONFLICT, "one waits already: it is decided first");
    fl_tx_abandon(&c->tx);
    return &S_file;
}

/* Its time is moved on, whatever comes of this one: nothing piles up. */
static fl_next take_by_time(struct fl_canary_fire *c)
{
    struct fl_hours hours;
    struct fl_err err;
    const struct fl_canary_row *row = &c->row;
    if (row->next_us > row->now_us) { /* somebody else was first */
        fl_tx_abandon(&c->tx);
        return fl_end(&c->flow);
    }
    bool has_hours = fl_canary_hours(c->arena, row, &hours, &err) == FL_OK;
    int64_t next_us = has_hours ? fl_canary_draw(&hours, row->per_week, row->now_us) : -1;
    bool is_time = has_hours && fl_hours_is_open(&hours, row->now_us / 1000000) &&
                   row->now_us - row->next_us < LATE_US;
    fl_store_canary_next(&c->tx, &row->id, next_us < 0 ? row->now_us + AGAIN_US : next_us);
    if (!has_hours)
        fl_utf8_format(c->refusal, sizeof c->refusal, "%s", err.text);
    c->canary = is_time && !row->is_waiting ? row->id : (struct fl_uuid){ { 0 } };
    return fl_await(&c->flow, &S_taken, fl_tx_commit(&c->flow.op, &c->tx));
}

FL_STEP(locked)
{
    struct fl_canary_fire *c = fire_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(c->q) == 0)
        return fl_fail_with(f, FL_NOT_FOUND, "there is no such canary");
    if (!fl_store_canary_read(c->q, c->arena, &c->row) ||
        !fl_store_canary_who_read(c->q, c->arena, &c->who))
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    return is_by_hand(c) ? take_by_hand(c) : take_by_time(c);
}

static fl_next note(struct fl_canary_fire *c);

FL_STEP(taken)
{
    struct fl_canary_fire *c = fire_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (c->refusal[0])
        return note(c);
    return fl_uuid_is_zero(&c->canary) ? fl_end(f) : &S_file;
}

/* ---------------------------------------------------------------- filing it */
static void release(void *owner)
{
    struct shot *s = owner;
    struct fl_arena *arena = s->principal.arena;
    FL_ASSERT(s->principal.refs == 1); /* the call's went in front of this, in the same turn */
    fl_arena_free(&arena);
}

static void tell(struct shot *s, const char *lead, const char *why)
{
    struct fl_canary_fire *c = s->fire;
    if (!c)
        return;
    s->fire = NULL;
    c->approval = s->call->approval_id;
    if (fl_uuid_is_zero(&c->approval))
        fl_utf8_format(c->refusal, sizeof c->refusal, "%s%s", lead, why);
    fl_op_finish(&c->flow.op, FL_OK);
}

static void on_waiting(struct fl_call *call)
{
    tell(call->user, "", "");
}

static void on_done(struct fl_call *call)
{
    struct shot *s = call->user;
    char reason[FL_ERR_TEXT_BYTES];
    fl_utf8_format(reason, sizeof reason, "%.*s", FL_STR_ARG(call->reason));
    if (call->end == FL_CALL_INVALID)
        tell(s, "its arguments do not fit: ", call->err.text);
    else if (call->end == FL_CALL_ERROR)
        tell(s, "", call->err.text);
    else
        tell(s, "", reason[0] ? reason : "it was not held");
    fl_call_free(&s->call);
    fl_loop_retire(call->core->loop, &s->retired, release, s);
}

static struct shot *new_shot(struct fl_canary_fire *c)
{
    struct fl_arena *arena = fl_arena_new(2048);
    struct shot *s = arena ? FL_ARENA_NEW(arena, struct shot) : NULL;
    const struct fl_canary_who *w = &c->who;
    if (!s) {
        fl_arena_free(&arena);
        return NULL;
    }
    struct fl_principal *p = &s->principal;
    *p = (struct fl_principal){ .organization_id = c->organization,
                                .credential_id = w->credential_id,
                                .agent_id = w->agent_id,
                                .owner_id = w->owner_id,
                                .agent = fl_arena_str(arena, w->agent),
                                .owner = fl_arena_str(arena, w->owner),
                                .client = fl_arena_str(arena, w->client),
                                .hold_ms = w->hold_ms,
                                .arena = arena,
                                .refs = 1 };
    fl_uuid_format(&p->agent_id, p->agent_id_text);
    s->canary = (struct fl_call_canary){ .id = c->row.id,
                                         .name = fl_arena_str(arena, c->row.name),
                                         .by = fl_arena_str(arena, c->by),
                                         .actor = c->actor,
                                         .actor_id = c->actor_id };
    bool is_made = p->agent.p && p->owner.p && p->client.p && s->canary.name.p && s->canary.by.p &&
                   fl_principal_read_tools(p, w->tools);
    s->call = is_made ? fl_call_new(c->core, p) : NULL;
    if (!s->call) {
        fl_arena_free(&arena);
        return NULL;
    }
    return s;
}

FL_STEP(file)
{
    struct fl_canary_fire *c = fire_of(f);
    const struct fl_canary_who *w = &c->who;
    if (!fl_str_is(w->state, "active") || !w->is_owner_active ||
        fl_uuid_is_zero(&w->credential_id)) {
        fl_utf8_format(c->refusal, sizeof c->refusal,
                       "the agent %.*s may not call: it, its owner or its credentials are not "
                       "active",
                       FL_STR_ARG(w->agent));
        return note(c);
    }
    struct shot *s = new_shot(c);
    if (!s)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    struct fl_call *call = s->call;
    call->canary = &s->canary;
    call->tool = c->row.tool;
    call->arguments = c->row.arguments;
    call->is_isolated = call->caller.is_isolated = w->is_isolated;
    call->can_task = w->was_task;
    call->hold_ms = c->core->is_draining ? 0 : w->hold_ms;
    call->user = s;
    call->on_waiting = on_waiting;
    call->on_done = on_done;
    s->fire = c;
    fl_op_start(&f->op, NULL, c);
    fl_call_start(call);
    return fl_await(f, &S_filed, FL_OK);
}

FL_STEP(filed)
{
    return note(fire_of(f));
}

/* ---------------------------------------------------------------- what became of it */
static fl_next note(struct fl_canary_fire *c)
{
    struct fl_flow *f = &c->flow;
    struct fl_audit_event e;
    fl_tx_fini(&c->tx);
    fl_tx_init(&c->tx, c->core->pg, c->arena, &c->organization);
    bool is_filed = !c->refusal[0];
    fl_store_canary_note(&c->tx, &c->row.id, fl_str_of(c->refusal));
    fl_audit_init(&e, &c->organization, is_filed ? FL_AUDIT_CANARY_FIRED : FL_AUDIT_CANARY_REFUSED,
                  c->actor, &c->actor_id, "canary", &c->row.id);
    fl_audit_text(&e, "canary", c->row.name);
    fl_audit_text(&e, "agent", c->who.agent);
    fl_audit_text(&e, "tool", c->row.tool);
    fl_audit_text(&e, "by", c->by);
    if (is_filed)
        fl_audit_uuid(&e, "approval", &c->approval, c->arena);
    else
        fl_audit_z(&e, "why", c->refusal);
    fl_audit_append(&e, &c->tx);
    if (!is_filed)
        FL_LOG(WARN, "canary_refused", FL_KU("org", &c->organization), FL_KV("canary", c->row.name),
               FL_KS("reason", c->refusal));
    return fl_await(f, &S_noted, fl_tx_submit(&f->op, &c->tx));
}

FL_STEP(noted)
{
    struct fl_canary_fire *c = fire_of(f);
    if (f->op.code)
        return fl_fail(f);
    return c->refusal[0] ? fl_fail_with(f, FL_CONFLICT, "it was not sent: %.350s", c->refusal)
                         : fl_end(f);
}

FL_STEP(failed)
{
    fl_tx_abandon(&fire_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_canary_fire *c = fire_of(f);
    struct fl_op *op = c->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&c->tx);
    fl_arena_free(&c->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_canary_fire, post)->flow, &S_open);
}

enum fl_code fl_canary_fire_start(struct fl_op *op, struct fl_canary_fire *c)
{
    c->arena = fl_arena_new(4096);
    if (!c->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&c->tx, c->core->pg, c->arena, &c->organization);
    fl_flow_init(&c->flow, &S_failed, on_ended);
    c->op = op;
    fl_op_start(op, NULL, c);
    c->post = (struct fl_post){ .run = on_start };
    fl_loop_post(c->core->loop, &c->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- with nobody waiting */
struct kick {
    struct fl_op op;
    struct fl_canary_fire fire;
    struct fl_retired retired;
};

static void free_kick(void *owner)
{
    fl_free(owner);
}

static void on_kicked(struct fl_op *op)
{
    struct kick *k = FL_CONTAINER(op, struct kick, op);
    bool is_known = op->code == FL_OK || op->code == FL_CONFLICT || op->code == FL_NOT_FOUND;
    if (!is_known)
        FL_LOG(WARN, "canary_not_filed", FL_KU("org", &k->fire.organization),
               FL_KS("reason", op->err.text));
    fl_loop_retire(k->fire.core->loop, &k->retired, free_kick, k);
}

void fl_canary_kick(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *canary)
{
    struct kick *k = core->is_draining ? NULL : fl_calloc(1, sizeof *k);
    if (!k)
        return; /* the next round finds it again */
    k->op.done = on_kicked;
    k->fire = (struct fl_canary_fire){ .core = core,
                                       .organization = *organization,
                                       .canary = *canary,
                                       .by = FL_STR("the schedule"),
                                       .actor = FL_ACTOR_SYSTEM,
                                       .actor_id = core->worker };
    if (fl_canary_fire_start(&k->op, &k->fire) != FL_OK)
        fl_free(k);
}

void fl_canary_drain(struct fl_core *core)
{
    FL_LIST_FOREACH_SAFE (link, &core->calls) {
        struct fl_call *call = FL_CONTAINER(link, struct fl_call, in_calls);
        if (call->canary)
            fl_call_hold_over(call);
    }
}
