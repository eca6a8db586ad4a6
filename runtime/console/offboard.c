/* A person leaves: in one transaction the membership and its groups end, their undecided votes are
 * withdrawn, their grants revoked, their agents are frozen or get another owner, and, unless they
 * go on in another organization, their tokens end and they cannot sign in any more. Absences that
 * they set for others are named. */
#include "runtime/console/offboard.h"

#include "flopinio/base/clock.h"
#include "runtime/approval/hub.h"
#include "runtime/console/reach.h"
#include "runtime/store/chat.h"
#include "runtime/store/delegation.h"
#include "runtime/store/grant.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/vote.h"

static void put_text(struct fl_buf *out, const char *key, struct fl_str value)
{
    fl_buf_json_key(out, key);
    fl_buf_json_str(out, value);
}

static void answer(struct fl_api *a)
{
    const struct fl_leaving *l = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out,
                  "{\"tokens_revoked\":%lld,\"votes_withdrawn\":%zu,\"grants_revoked\":%zu,"
                  "\"agents\":[",
                  (long long)l->tokens_revoked, l->vote_count, l->grant_count);
    for (size_t i = 0; i < l->agent_count; i++) {
        fl_buf_puts(&out, i ? ",{" : "{");
        put_text(&out, "name", l->agents[i].name);
        fl_buf_putc(&out, ',');
        put_text(&out, "state", l->agents[i].state);
        fl_buf_putc(&out, ',');
        put_text(&out, "owner", l->to.p ? l->to : l->name);
        fl_buf_putc(&out, '}');
    }
    fl_buf_puts(&out, "],\"absences\":[");
    for (size_t i = 0; i < l->absence_count; i++) {
        char until[FL_TIME_BYTES];
        fl_buf_puts(&out, i ? ",{" : "{");
        put_text(&out, "person", l->absences[i].person);
        fl_buf_putc(&out, ',');
        put_text(&out, "delegate", l->absences[i].delegate);
        fl_buf_putc(&out, ',');
        put_text(&out, "until", fl_str_of(fl_time_format_s(l->absences[i].until_ms, until)));
        fl_buf_putc(&out, '}');
    }
    fl_buf_puts(&out, "],");
    fl_reach_put(&out, a);
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void on_committed(struct fl_api *a)
{
    fl_leaving_tell(a, a->user);
    fl_reach_start(a, answer);
}

void fl_leaving_tell(struct fl_api *a, const struct fl_leaving *l)
{
    for (size_t i = 0; i < l->vote_count; i++)
        fl_hub_changed(a->core->hub, &a->organization_id, &l->votes[i].id);
}

bool fl_leaving_read(struct fl_api *a, struct fl_leaving *l)
{
    l->agent_count = (size_t)fl_rows(l->q_agents);
    l->vote_count = (size_t)fl_rows(l->q_votes);
    l->agents = fl_arena_array(a->arena, l->agent_count + 1, sizeof *l->agents);
    l->votes = fl_arena_array(a->arena, l->vote_count + 1, sizeof *l->votes);
    l->grant_count = (size_t)fl_rows(l->q_grants);
    l->grants = fl_arena_array(a->arena, l->grant_count + 1, sizeof *l->grants);
    l->absence_count = (size_t)fl_rows(l->q_absences);
    l->absences = fl_arena_array(a->arena, l->absence_count + 1, sizeof *l->absences);
    if (!l->agents || !l->votes || !l->grants || !l->absences)
        return false;
    for (size_t i = 0; i < l->absence_count; i++)
        l->absences[i] =
            (struct fl_left_absence){ fl_arena_str(a->arena, fl_cell(l->q_absences, (int)i, 0)),
                                      fl_arena_str(a->arena, fl_cell(l->q_absences, (int)i, 1)),
                                      fl_cell_int(l->q_absences, (int)i, 2) };
    for (size_t i = 0; i < l->grant_count; i++)
        l->grants[i] = fl_cell_uuid(l->q_grants, (int)i, 0);
    for (size_t i = 0; i < l->agent_count; i++)
        l->agents[i] =
            (struct fl_left_row){ fl_cell_uuid(l->q_agents, (int)i, 0),
                                  fl_arena_str(a->arena, fl_cell(l->q_agents, (int)i, 1)),
                                  fl_arena_str(a->arena, fl_cell(l->q_agents, (int)i, 2)) };
    for (size_t i = 0; i < l->vote_count; i++)
        l->votes[i].id = fl_cell_uuid(l->q_votes, (int)i, 0);
    if (l->q_tokens)
        l->tokens_revoked = fl_cell_int(l->q_tokens, 0, 0);
    return true;
}

static void append_agent(struct fl_api *a, const struct fl_leaving *l,
                         const struct fl_left_row *agent)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, FL_AUDIT_AGENT_CHANGED, "agent", &agent->id);
    fl_audit_text(&e, "agent", agent->name);
    fl_audit_text(&e, "state", agent->state);
    fl_audit_text(&e, "owner", l->to);
    fl_audit_z(&e, "why", "its owner was offboarded");
    fl_audit_append(&e, &a->tx);
}

static void append_vote(struct fl_api *a, const struct fl_leaving *l,
                        const struct fl_uuid *approval)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, FL_AUDIT_APPROVAL_WITHDRAWN, "approval", approval);
    fl_audit_text(&e, "person", l->name);
    fl_audit_z(&e, "why", "the person was offboarded");
    fl_audit_append(&e, &a->tx);
}

static void append_grant(struct fl_api *a, const struct fl_leaving *l, const struct fl_uuid *grant)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, FL_AUDIT_GRANT_REVOKED, "grant", grant);
    fl_audit_text(&e, "person", l->name);
    fl_audit_z(&e, "why", "the person was offboarded");
    fl_audit_append(&e, &a->tx);
}

void fl_leaving_note(struct fl_api *a, const struct fl_leaving *l)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, FL_AUDIT_PERSON_OFFBOARDED, "person", &l->id);
    fl_audit_text(&e, "person", l->name);
    fl_audit_text(&e, "agents_to", l->to);
    fl_audit_bool(&e, "goes_on_elsewhere", l->is_elsewhere);
    fl_audit_int(&e, "tokens_revoked", l->tokens_revoked);
    fl_audit_int(&e, "votes_withdrawn", (int64_t)l->vote_count);
    fl_audit_int(&e, "grants_revoked", (int64_t)l->grant_count);
    fl_audit_append(&e, &a->tx);
    for (size_t i = 0; i < l->agent_count; i++)
        append_agent(a, l, &l->agents[i]);
    for (size_t i = 0; i < l->vote_count; i++)
        append_vote(a, l, &l->votes[i].id);
    for (size_t i = 0; i < l->grant_count; i++)
        append_grant(a, l, &l->grants[i]);
}

static void on_written(struct fl_api *a)
{
    if (!fl_leaving_read(a, a->user)) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    fl_leaving_note(a, a->user);
    fl_change_commit(a, on_committed);
}

static bool find_heir(struct fl_api *a, struct fl_leaving *l, const struct fl_member *target)
{
    const struct fl_member *heir = l->to.p ? fl_change_member(a, l->to) : NULL;
    if (!l->to.p)
        return true;
    if (!heir || !heir->is_active || heir == target) {
        fl_api_error(a, FL_BAD_PARAMS, "'%.*s' is no other active person here", FL_STR_ARG(l->to));
        return false;
    }
    l->to_id = heir->id;
    return true;
}

static void decide(struct fl_api *a)
{
    struct fl_leaving *l = a->user;
    const struct fl_member *target = fl_change_target(a);
    if (!target ||
        (target->role == FL_ROLE_OWNER &&
         (!fl_change_may(a, FL_ACTION_MANAGE_OWNERS) || !fl_change_keeps_owner(a, target))) ||
        !find_heir(a, l, target))
        return;
    l->id = target->id;
    l->is_elsewhere = fl_rows(a->change->q_theirs) > 1;
    fl_leaving_write(a, l);
    fl_change_round(a, on_written);
}

void fl_leaving_write(struct fl_api *a, struct fl_leaving *l)
{
    fl_store_membership_end(&a->tx, &l->id);
    fl_store_chat_unlink(&a->tx, &l->id, (struct fl_str){ NULL, 0 });
    l->q_agents = fl_store_agents_hand_over(&a->tx, &l->id, l->to.p ? &l->to_id : NULL);
    l->q_votes = fl_store_vote_withdraw_all(&a->tx, &l->id);
    l->q_grants = fl_store_grants_revoke_of(&a->tx, &l->id, fl_api_by(a));
    l->q_absences = fl_store_delegations_set_by(&a->tx, l->name);
    if (!l->is_elsewhere) { /* the person before their tokens, as a new passphrase locks them */
        fl_store_person_active(&a->tx, &l->id, false);
        l->q_tokens = fl_store_token_revoke(&a->tx, &l->id, NULL);
    }
}

static void start_offboard(struct fl_api *a)
{
    struct fl_leaving *l = FL_ARENA_NEW(a->arena, struct fl_leaving);
    if (!l) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (!fl_api_text(a, "to", false, &l->to))
        return;
    l->name = a->params[1];
    a->user = l;
    fl_change_person_start(a, decide);
}

const struct fl_api_route fl_api_offboard[] = {
    { FL_HTTP_POST, "/orgs/{org}/people/{person}/offboard", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_offboard, "to" },
    { .pattern = NULL }
};
