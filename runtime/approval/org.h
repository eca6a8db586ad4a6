/* What a worker knows of an organization: its policy compiled, its tools with their pins, its
 * servers with their plugin instances, its people's groups and its stops. An immutable snapshot,
 * counted; a change of the organization (its revision) brings a new one within a second. Reads go
 * by the snapshot; intake and dispatch compare its versions in their transaction. Loop thread only.
 */
#ifndef FLOPINIO_APPROVAL_ORG_H
#define FLOPINIO_APPROVAL_ORG_H

#include "mcp/headers.h"
#include "mcp/schema.h"
#include "policy/policy.h"
#include "policy/quorum.h"
#include "runtime/approval/core.h"

struct fl_org_server {
    struct fl_uuid id;
    struct fl_str name, plugin, config, environment, account, note;
    bool is_enabled;
    uint8_t digest[FL_SHA256_BYTES]; /* of plugin, configuration, environment and account */
    struct fl_str refusal;           /* why there is no plugin instance; n 0 otherwise */
};

enum fl_tool_state {
    FL_TOOL_ACCEPTED,    /* today's definition is the pinned one */
    FL_TOOL_NEW,         /* never accepted */
    FL_TOOL_CHANGED,     /* the server says something else than what was accepted */
    FL_TOOL_QUARANTINED, /* by a person */
    FL_TOOL_GONE         /* not offered any more, or its server is switched off */
};

/* Added to the input schema of tools that may be held, so that the agent can say why; taken out
 * again before anything else looks at the arguments. */
#define FL_REASON_ARGUMENT "approval_reason"

struct fl_org_tool {
    const struct fl_org_server *server;
    struct fl_str name, published;
    enum fl_tool_state state;
    struct fl_str definition; /* of the pin when accepted, else today's */
    struct fl_str digest;     /* of `definition` */
    bool is_read;             /* an accepted pin says so */
    struct fl_str secrets;    /* JSON array of pointers */
    struct fl_str listed;     /* the definition as agents are shown it */
    bool takes_reason;        /* it has our optional argument, FL_REASON_ARGUMENT */
    /* taken from the definition */
    struct fl_str title, description, card;
    bool destroys, reaches_out, is_slow, has_preview, has_output_schema;
    enum flopinio_task task;
    struct fl_schema *schema;           /* compiled at the first call; borrowed by calls */
    struct fl_err schema_err;           /* why it did not compile */
    struct fl_mcp_param_headers params; /* x-mcp-header declarations */
};

struct fl_org_person {
    struct fl_uuid id;
    struct fl_str name, display;
    enum fl_role role;
    bool is_active;
    struct fl_str *groups;
    size_t group_count;
    struct fl_uuid delegate; /* zero, or they are away: who decides for them */
};

struct fl_org_stop {
    struct fl_uuid id;
    struct fl_str scope, name, reason;
    int64_t until_ms; /* 0: until it is lifted */
};

/* A standing vote (grants.h); also one that ended within the last day, to say why it asks again. */
struct fl_org_grant {
    struct fl_uuid id, agent_id, server_id, person;
    struct fl_str tool, definition_digest, server_digest, rule, ask, pinned, person_name;
    struct fl_str *pins; /* JSON pointers; one "": the arguments as a whole */
    size_t pin_count;
    bool has_second_factor, is_revoked;
    int64_t uses, used; /* `used` is as old as the snapshot: the database counts */
    int64_t expires_ms;
};

struct fl_org {
    struct fl_uuid id;
    struct fl_str name, title;
    int64_t policy_version;
    uint64_t revision;
    struct fl_policy *policy; /* NULL: none, or it does not load; then everything is denied */
    struct fl_str policy_err;
    struct fl_org_server *servers;
    size_t server_count;
    struct fl_org_tool *tools; /* by published name */
    size_t tool_count;
    struct fl_org_person *people;
    size_t person_count;
    struct fl_str *groups, *agents, *channels; /* names of all of them */
    size_t group_count, agent_count, channel_count;
    struct fl_org_stop *stops;
    size_t stop_count;
    struct fl_org_grant *grants; /* newest first */
    size_t grant_count;
    uint64_t list_version; /* changes whenever the published tools do; the same on every worker */
    /* private */
    struct fl_arena *arena;
    unsigned refs;
};

struct fl_orgs;
enum fl_code fl_orgs_new(struct fl_core *core, struct fl_orgs **ret,
                         struct fl_err *err) FL_MUST_CHECK;
void fl_orgs_free(struct fl_orgs **orgs);

/* The snapshot in hand, a new reference; NULL when there is none or it is out of date. */
struct fl_org *fl_org_peek(struct fl_orgs *orgs, const struct fl_uuid *id);
void fl_org_unref(struct fl_org **org);
static inline struct fl_org *fl_org_ref(struct fl_org *org)
{
    org->refs++;
    return org;
}

/* Loads (or joins a load under way): *ret gets a new reference in done with FL_OK; FL_NOT_FOUND if
 * there is no such organization. Cancelling is safe. */
struct fl_org_load {
    struct fl_list link;
    struct fl_op *op;
    struct fl_org **ret;
};
enum fl_code fl_org_load_start(struct fl_op *op, struct fl_org_load *load, struct fl_orgs *orgs,
                               const struct fl_uuid *id, struct fl_org **ret) FL_MUST_CHECK;

/* The organization has this revision now: an older snapshot is not handed out any more, and
 * listeners are told when the new one is there. 0: in any case. */
void fl_orgs_changed(struct fl_orgs *orgs, const struct fl_uuid *id, uint64_t revision);
/* Has anybody asked for it here? */
bool fl_orgs_is_used(const struct fl_orgs *orgs, const struct fl_uuid *id);
/* Lets a snapshot go that nobody but the caller asked for, once: a start that looks into thousands
 * of organizations does not keep them. */
void fl_orgs_forget(struct fl_orgs *orgs, const struct fl_uuid *id);
/* Loads the snapshot unless there is one, for who is interested in changes only: of an organization
 * that nobody asked for, none are told. */
void fl_orgs_want(struct fl_orgs *orgs, const struct fl_uuid *id);
/* Told after a newer snapshot replaced an older one, and after the first (revoked credentials,
 * changed tools, stops). `tools_changed`: the published list is another one. Not from inside a
 * flow's step. */
struct fl_orgs_listener {
    struct fl_list link;
    void (*on_change)(struct fl_orgs_listener *listener, const struct fl_org *org,
                      bool tools_changed);
};
void fl_orgs_listen(struct fl_orgs *orgs, struct fl_orgs_listener *listener);
/* The plugin instance of a server as it is configured now; NULL when there is none (the server's
 * `refusal` says why, or it was removed). Borrowed for the turn: never kept. */
struct fl_host_instance *fl_orgs_instance(struct fl_orgs *orgs, const struct fl_uuid *organization,
                                          const struct fl_uuid *server);
/* The same, but only while it is configured as in this snapshot: what was checked is what runs. */
struct fl_host_instance *fl_orgs_instance_as(struct fl_orgs *orgs,
                                             const struct fl_uuid *organization,
                                             const struct fl_org_server *server);
/* Bytes of arguments that an organization's calls hold at one time; false: over its budget. */
bool fl_orgs_take(struct fl_orgs *orgs, const struct fl_uuid *organization, size_t bytes);
void fl_orgs_give_back(struct fl_orgs *orgs, const struct fl_uuid *organization, size_t bytes);
/* For drain: stops every plugin process; completes when they are gone. */
enum fl_code fl_orgs_stop_instances(struct fl_op *op, struct fl_orgs *orgs) FL_MUST_CHECK;

/* NULL if there is no such published name. */
const struct fl_org_tool *fl_org_tool(const struct fl_org *org, struct fl_str published);
const struct fl_org_server *fl_org_server(const struct fl_org *org, struct fl_str name);
const struct fl_org_person *fl_org_person(const struct fl_org *org, const struct fl_uuid *id);
/* FL_OK, or FL_BAD_PARAMS with place and reason. FL_INTERNAL when the schema does not compile. */
enum fl_code fl_org_tool_validate(const struct fl_org_tool *tool, const json_t *arguments,
                                  struct fl_err *err) FL_MUST_CHECK;
/* True only if the arguments' text is certainly valid, and holds nothing that is ours to take out;
 * else build the tree and ask fl_org_tool_validate. */
bool fl_org_tool_fits(const struct fl_org_tool *tool, struct fl_str arguments);
/* The stop that covers such a call now, or NULL. */
const struct fl_org_stop *fl_org_stopped(const struct fl_org *org, struct fl_str agent,
                                         const struct fl_uuid *owner,
                                         const struct fl_org_tool *tool);
/* Configuration for the host from a server row; borrowed texts. FL_CONFIG: no such plugin file. */
enum fl_code fl_org_host_config(struct fl_core *core, const struct fl_uuid *organization,
                                struct fl_arena *arena, const struct fl_org_server *server,
                                struct fl_host_config *ret, struct fl_err *err) FL_MUST_CHECK;
/* A server's configuration before it is kept. FL_CONFIG: it reaches into what is the runtime's own.
 */
enum fl_code fl_org_config_check(const struct fl_core *core, struct fl_arena *arena,
                                 struct fl_str config, struct fl_err *err) FL_MUST_CHECK;
const char *fl_tool_state_text(enum fl_tool_state state);

#endif
