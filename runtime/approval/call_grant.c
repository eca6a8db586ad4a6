/* Does a grant cover this call? Looked up in the snapshot of the organization; the intake uses the
 * grant only if the organization is still at the snapshot's revision, and counts the use in its own
 * transaction. What policy denies never gets here. */
#include <string.h>

#include "flopinio/base/clock.h"
#include "runtime/approval/call_priv.h"
#include "runtime/approval/frozen.h"
#include "runtime/approval/grant.h"

/* Would its author's approval be enough now, by the policy and the roles of now? */
static bool is_enough(const struct fl_call *c, const struct fl_org_grant *g)
{
    const struct fl_org *org = c->org;
    struct fl_quorum_person *people =
        fl_arena_array(c->arena, org->person_count + 1, sizeof *people);
    struct fl_quorum_vote vote = { g->person, true, g->has_second_factor };
    struct fl_quorum_excluded owner = { c->principal->owner_id, FL_EXCLUDED_OWNER };
    struct fl_quorum quorum;
    struct fl_err err;
    for (size_t i = 0; people && i < org->person_count; i++)
        people[i] = (struct fl_quorum_person){ .id = org->people[i].id,
                                               .name = org->people[i].name,
                                               .role = org->people[i].role,
                                               .groups = org->people[i].groups,
                                               .group_count = org->people[i].group_count,
                                               .is_active = org->people[i].is_active };
    struct fl_quorum_facts facts = { .ask = c->verdict.ask,
                                     .people = people,
                                     .person_count = org->person_count,
                                     .votes = &vote,
                                     .vote_count = 1,
                                     .excluded = &owner,
                                     .excluded_count = 1 };
    return people && fl_quorum_count(&facts, &quorum, &err) == FL_OK &&
           quorum.state == FL_QUORUM_APPROVED;
}

/* Is it the call that was shown, as far as it is pinned? */
static bool has_pinned(const struct fl_call *c, const struct fl_org_grant *g)
{
    uint8_t pinned[FL_SHA256_BYTES];
    struct fl_err err;
    enum fl_code code =
        fl_grant_pinned(c->core->keys, &c->principal->organization_id, &c->principal->agent_id,
                        c->tool, c->canonical, g->pins, g->pin_count, pinned, &err);
    return code == FL_OK && fl_str_eq(g->pinned, fl_bytes(pinned, sizeof pinned));
}

/* NULL: it covers the call. */
static const char *objection(const struct fl_call *c, const struct fl_org_grant *g,
                             struct fl_str ask)
{
    const struct fl_org_server *server = c->found->server;
    if (g->is_revoked)
        return "was revoked";
    if (g->expires_ms <= fl_real_ms())
        return "is over";
    if (g->used >= g->uses)
        return "is used up";
    if (!fl_str_eq(g->definition_digest, c->found->digest))
        return "was for another definition of the tool";
    if (fl_uuid_cmp(&g->server_id, &server->id) != 0 ||
        !fl_str_eq(g->server_digest, fl_bytes(server->digest, sizeof server->digest)))
        return "was for the tool's server as it was configured before";
    if (!fl_str_eq(g->rule, c->verdict.rule->name) || !fl_str_eq(g->ask, ask))
        return "was made when the policy asked otherwise";
    if (c->verdict.ask->needs_typed)
        return "cannot stand for an approval that is typed";
    if (!is_enough(c, g))
        return "is by somebody whose approval alone is not enough any more";
    if (!has_pinned(c, g))
        return g->pin_count == 1 && g->pins[0].n == 0 ? "was for other arguments"
                                                      : "was for other values of its arguments";
    return NULL;
}

void fl_call_find_grant(struct fl_call *c)
{
    unsigned over = c->grants_over;
    struct fl_str ask = { NULL, 0 };
    struct fl_err err;
    c->grant = NULL;
    c->why_asked = FL_STR("");
    if (c->tries + 1 >= FL_CALL_TRIES)
        return; /* the organization keeps changing: people are asked */
    for (size_t i = 0; i < c->org->grant_count; i++) {
        const struct fl_org_grant *g = &c->org->grants[i];
        if (!fl_str_eq(g->tool, c->tool) || fl_uuid_cmp(&g->agent_id, &c->principal->agent_id) != 0)
            continue;
        if (!ask.p && (fl_call_canonical(c, &err) != FL_OK ||
                       fl_frozen_ask(c->arena, &c->verdict, &ask, &err) != FL_OK))
            return; /* it cannot be held either, and is told so there */
        const char *why = objection(c, g, ask);
        if (!why && over == 0) {
            c->grant = g;
            return;
        }
        if (!why) {
            over--;
            why = "is used up";
        }
        if (!c->why_asked.n) {
            const char *text =
                fl_arena_printf(c->arena, "the grant of %.*s %s", FL_STR_ARG(g->person_name), why);
            c->why_asked = fl_str_of(text ? text : why);
        }
    }
}
