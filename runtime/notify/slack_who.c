/* Who somebody is in Slack, and whether Slack vouches for them: full members of this installation's
 * own workspace or enterprise. The same user id in another team is another person. */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "runtime/notify/slack_priv.h"

#define TRUSTED_MS    30000 /* how long an answer of users.info is believed */
#define TRUSTED_COUNT 128

struct fl_str fl_slack_external(const struct fl_channel *ch, struct fl_arena *arena,
                                struct fl_str team, struct fl_str user)
{
    struct fl_str enterprise = fl_json_get_str(ch->facts, "enterprise");
    char *id = fl_arena_printf(arena, "%.*s%s%.*s/%.*s", FL_STR_ARG(enterprise),
                               enterprise.n ? "/" : "", FL_STR_ARG(team), FL_STR_ARG(user));
    return fl_str_of(id ? id : "");
}

bool fl_slack_is_org_wide(const struct fl_channel *ch)
{
    return json_is_true(json_object_get(ch->facts, "is_enterprise_install")) &&
           fl_json_get_str(ch->facts, "enterprise").n;
}

bool fl_slack_is_known(const struct fl_channel *ch)
{
    return fl_json_get_str(ch->facts, "team").n || fl_slack_is_org_wide(ch);
}

bool fl_slack_is_ours(const struct fl_channel *ch, struct fl_str team, struct fl_str enterprise)
{
    struct fl_str ours = fl_json_get_str(ch->facts, "team");
    struct fl_str grid = fl_json_get_str(ch->facts, "enterprise");
    bool is_grid = grid.n && fl_str_eq(enterprise, grid);
    if (fl_slack_is_org_wide(ch))
        return is_grid;
    return ours.n && (team.n ? fl_str_eq(team, ours) : is_grid);
}

/* Accounts that were found to be full members, by channel, team and user; one loop thread. */
static struct trusted {
    struct fl_uuid channel;
    char account[96]; /* "T1/U1" */
    int64_t until_ms;
} trusted[TRUSTED_COUNT];

static struct trusted *slot(const struct fl_channel *ch, struct fl_str team, struct fl_str user,
                            char account[96])
{
    uint32_t hash = 2166136261u;
    int n = snprintf(account, 96, "%.*s/%.*s", FL_STR_ARG(team), FL_STR_ARG(user));
    for (int i = 0; i < n && i < 95; i++)
        hash = (hash ^ (unsigned char)account[i]) * 16777619u;
    for (size_t i = 0; i < sizeof ch->id.b; i++)
        hash = (hash ^ ch->id.b[i]) * 16777619u;
    return &trusted[hash % TRUSTED_COUNT];
}

static bool is_of(const struct trusted *t, const struct fl_channel *ch, const char *account)
{
    return fl_uuid_cmp(&t->channel, &ch->id) == 0 && strcmp(t->account, account) == 0;
}

bool fl_slack_is_trusted(const struct fl_channel *ch, struct fl_str team, struct fl_str user)
{
    char account[96];
    const struct trusted *t = slot(ch, team, user, account);
    return is_of(t, ch, account) && t->until_ms > fl_mono_ms();
}

void fl_slack_trust(const struct fl_channel *ch, struct fl_str team, struct fl_str user)
{
    char account[96];
    struct trusted *t = slot(ch, team, user, account);
    memcpy(t->account, account, sizeof account);
    t->channel = ch->id;
    t->until_ms = fl_mono_ms() + TRUSTED_MS;
}

void fl_slack_distrust(const struct fl_channel *ch, struct fl_str team, struct fl_str user)
{
    char account[96];
    struct trusted *t = slot(ch, team, user, account);
    if (is_of(t, ch, account))
        t->until_ms = 0;
}

/* On a Grid a person is of several workspaces of the enterprise. */
static bool is_of_team(const json_t *user, struct fl_str team)
{
    const json_t *teams = json_object_get(json_object_get(user, "enterprise_user"), "teams");
    if (fl_str_eq(fl_json_get_str(user, "team_id"), team))
        return true;
    for (size_t i = 0; i < json_array_size(teams); i++) {
        if (fl_str_eq(fl_json_str(json_array_get(teams, i)), team))
            return true;
    }
    return false;
}

const char *fl_slack_why_not(const struct fl_channel *ch, struct fl_str team, struct fl_str id,
                             const json_t *user)
{
    struct fl_str enterprise = fl_json_get_str(ch->facts, "enterprise");
    struct fl_str grid = fl_json_get_str(json_object_get(user, "enterprise_user"), "enterprise_id");
    bool is_ours = is_of_team(user, fl_json_get_str(ch->facts, "team")) ||
                   (enterprise.n && fl_str_eq(grid, enterprise));
    if (!fl_str_eq(fl_json_get_str(user, "id"), id))
        return "Slack does not know you; nothing was decided";
    if (json_is_true(json_object_get(user, "deleted")))
        return "your Slack account is deactivated; nothing was decided";
    if (json_is_true(json_object_get(user, "is_bot")) ||
        json_is_true(json_object_get(user, "is_workflow_bot")) || fl_str_is(id, "USLACKBOT"))
        return "a bot decides nothing";
    if (!is_ours || !is_of_team(user, team) || json_is_true(json_object_get(user, "is_stranger")))
        return "you are of another workspace: nothing can be decided from there";
    if (json_is_true(json_object_get(user, "is_restricted")) ||
        json_is_true(json_object_get(user, "is_ultra_restricted")))
        return "a guest of this workspace decides nothing";
    return NULL;
}
