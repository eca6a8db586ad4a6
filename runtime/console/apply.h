/* An organization as one document: people, groups, agents, servers, tools (pins), channels,
 * canaries, policy. Any of its members may be left out. The way of a document:
 *
 *   apply.c         the request: reads it, asks what is needed, locks, plans, writes, answers
 *   apply_read.c    JSON into the structures below; what cannot be meant is refused
 *   apply_people.c  what people and groups come to, from what there is to what is asked for
 *   apply_agents.c  agents
 *   apply_tools.c   servers and pins
 *   apply_channels.c  channels, without their secrets
 *   apply_canaries.c  canaries
 *   apply_policy.c  the policy, held against the organization as it will be
 *   apply_write.c   the plan as statements, each change with its event
 *
 * Everything is decided from what is read under the organization's lock (change.h), and written in
 * that transaction, or not at all. A plan that changes nothing writes nothing. Texts of the
 * document are borrowed from the request's body. Loop thread only. */
#ifndef FLOPINIO_CONSOLE_APPLY_H
#define FLOPINIO_CONSOLE_APPLY_H

#include "runtime/console/canaries.h"
#include "runtime/console/offboard.h"

/* In all of these: a text with p NULL was not said, and stays as it is. */
struct fl_apply_person {
    struct fl_str name, display, email;
    enum fl_role role; /* FL_ROLE_NONE: not said */
    /* found out before the lock: the installation's person of that name */
    struct fl_uuid id; /* zero: none; a new one is made by the plan */
    bool has_secret;
    struct fl_query *q_theirs; /* where else they are a member */
    /* the plan */
    bool is_new, joins, sets_role, describes;
    struct fl_query *q_made;
};

struct fl_apply_group {
    struct fl_str name, title;
    struct fl_str *members;
    size_t member_count;
    bool has_members;
    /* the plan */
    bool is_new, describes;
    struct fl_uuid *add, *remove;
    size_t add_count, remove_count;
    struct fl_str were; /* joined with commas */
};

struct fl_apply_agent {
    struct fl_str name, title, owner, labels; /* labels as JSON */
    const char *state;
    /* the plan */
    bool is_new, is_changed;
    struct fl_uuid id, owner_id;
};

struct fl_apply_server {
    struct fl_str name, plugin, config, environment, account; /* config as JSON */
    int is_enabled;                                           /* -1: not said */
    /* the plan; `becomes` is the configuration that will be */
    bool is_new, is_changed;
    struct fl_uuid id;
    struct fl_str becomes;
    struct fl_query *q;
};

enum fl_apply_pin { FL_PIN_SAME, FL_PIN_TODAY, FL_PIN_KEPT, FL_PIN_COMING };

struct fl_apply_tool {
    struct fl_str name, server, definition, secrets; /* secrets as JSON */
    const char *effects;
    struct fl_str digest; /* SHA-256, 32 bytes */
    /* the plan */
    enum fl_apply_pin pin; /* KEPT: the pin's text is there already; COMING: not offered yet */
    struct fl_str own;     /* COMING: the server's own name for it */
    struct fl_query *q;
};

struct fl_apply_channel {
    struct fl_str name, kind, config, disclose; /* config as JSON */
    int is_enabled;                             /* -1: not said */
    /* the plan */
    bool is_new, is_changed;
    struct fl_uuid id;
    struct fl_query *q;
};

struct fl_apply_canary {
    struct fl_canary_row row;
    struct fl_str agent;
    /* the plan */
    bool is_changed;
    struct fl_uuid agent_id;
};

/* Somebody or something that goes because of `prune`. */
struct fl_apply_gone {
    struct fl_str name;
    struct fl_uuid id;
    struct fl_query *q;
};

struct fl_apply_change {
    struct fl_apply_change *next;
    const char *what, *change; /* "agent"; "created", "changed", "removed" */
    struct fl_str name;
    const char *detail;
};

/* Something that the document leaves as it is, and that does not work. */
struct fl_apply_trouble {
    struct fl_apply_trouble *next;
    const char *text;
};

struct fl_apply {
    bool is_dry_run, prunes;
    bool has_people, has_groups, has_agents, has_servers, has_tools, has_channels, has_canaries,
        has_policy;
    struct fl_apply_person *people;
    struct fl_apply_group *groups;
    struct fl_apply_agent *agents;
    struct fl_apply_server *servers;
    struct fl_apply_tool *tools;
    struct fl_apply_channel *channels;
    struct fl_apply_canary *canaries;
    size_t person_count, group_count, agent_count, server_count, tool_count, channel_count,
        canary_count;
    struct fl_str policy;
    /* what there is; results are gone with the first statement appended */
    struct fl_query **q_names; /* before the lock: document's people, then today's administrators */
    struct fl_str *admins;
    bool *admin_has_secret;
    size_t admin_count;
    struct fl_query *q_groups, *q_agents, *q_servers, *q_tools, *q_channels, *q_canaries, *q_policy,
        *q_mine, *q_owners, *q_admins;
    struct fl_query **q_leaving; /* by the snapshot's people: where else they are a member */
    int64_t policy_version;
    /* the plan */
    struct fl_leaving *leaving; /* people */
    struct fl_apply_gone *gone_groups, *gone_agents, *gone_servers, *gone_pins, *gone_channels,
        *gone_canaries;
    size_t leaving_count, gone_group_count, gone_agent_count, gone_server_count, gone_pin_count,
        gone_channel_count, gone_canary_count;
    bool sets_policy;
    struct fl_query *q_policy_set;
    struct fl_apply_change *first, *last;
    struct fl_apply_trouble *troubles;
};

/* ---- apply_read.c ---- */
/* The body into a->user; false: answered. */
bool fl_apply_read(struct fl_api *a);
/* Answers "agent 'bot': its owner is unknown"; returns false. */
bool fl_apply_refuse(struct fl_api *a, enum fl_code code, const char *what, struct fl_str name,
                     const char *fmt, ...) FL_PRINTF(5, 6);
/* Answers that there is none; returns false. */
bool fl_apply_no_memory(struct fl_api *a);

/* ---- planning; false: answered ---- */
bool fl_apply_plan_people(struct fl_api *a);
bool fl_apply_plan_groups(struct fl_api *a);
bool fl_apply_plan_agents(struct fl_api *a);
bool fl_apply_plan_servers(struct fl_api *a);
bool fl_apply_plan_tools(struct fl_api *a);
bool fl_apply_plan_channels(struct fl_api *a);
bool fl_apply_plan_canaries(struct fl_api *a);
bool fl_apply_plan_policy(struct fl_api *a);
/* Notes a change for the answer; `detail` is copied and freed. */
void fl_apply_note(struct fl_api *a, const char *what, struct fl_str name, const char *change,
                   struct fl_buf *detail);
/* "role member -> admin" behind what stands there already. */
void fl_apply_detail(struct fl_buf *detail, const char *key, struct fl_str from, struct fl_str to);
/* An active person after this document; false: none of that name. */
bool fl_apply_will_be_here(const struct fl_api *a, struct fl_str name, struct fl_uuid *ret_id);
/* Does this document end their membership? */
bool fl_apply_leaves(const struct fl_apply *ap, const struct fl_uuid *person);
const struct fl_apply_server *fl_apply_server(const struct fl_apply *ap, struct fl_str name);
bool fl_apply_removes_server(const struct fl_apply *ap, struct fl_str name);
/* The pin's row in fl_store_tools, or -1. */
int fl_apply_tool_row(const struct fl_query *tools, struct fl_str published);

/* ---- apply_channels.c ---- */
void fl_apply_write_channels(struct fl_api *a);
/* The names that there will be into `w`; false: no memory. */
bool fl_apply_put_channels(const struct fl_api *a, struct fl_org *w);

/* ---- apply_canaries.c ---- */
void fl_apply_write_canaries(struct fl_api *a);

/* ---- apply_write.c ---- */
/* Appends the plan. false: answered. */
bool fl_apply_write(struct fl_api *a);
/* After its round: did every statement do what it was to? Then appends what follows from the
 * results. false: answered. */
bool fl_apply_follow_up(struct fl_api *a);
/* After the commit. */
void fl_apply_tell(struct fl_api *a);

#endif
