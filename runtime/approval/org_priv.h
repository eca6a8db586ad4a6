/* Shared by org.c, org_read.c and org_instance.c. */
#ifndef FLOPINIO_APPROVAL_ORG_PRIV_H
#define FLOPINIO_APPROVAL_ORG_PRIV_H

#include "runtime/approval/org.h"

#define FL_ORG_BUCKETS 1024

/* A plugin instance of one server row; replaced when its configuration changes. */
struct fl_org_instance {
    struct fl_list link; /* entry->instances, or orgs->stopping */
    struct fl_uuid server_id;
    uint8_t digest[FL_SHA256_BYTES]; /* of plugin and configuration */
    struct fl_host_instance *host;
    struct fl_op op; /* stopping */
    struct fl_orgs *orgs;
    bool is_stopping;
};

struct fl_org_entry {
    struct fl_list link;
    struct fl_orgs *orgs;
    struct fl_uuid id;
    struct fl_org *org; /* the newest snapshot, or NULL */
    bool is_stale;      /* not to be handed out */
    bool is_loading;
    uint64_t wanted; /* a revision that was told of while the load was under way */
    int behind;      /* loads in a row that were behind it when they ended */
    uint64_t uses;   /* how often it was asked for; 0: whoever wants it reads it anew */
    size_t bytes_in_flight;
    struct fl_list waiting; /* fl_org_load */
    struct fl_list instances;
    struct fl_post post;
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;
    struct fl_query *q_org, *q_policy, *q_servers, *q_tools, *q_people, *q_groups, *q_agents,
        *q_stops, *q_channels, *q_grants;
};

struct fl_orgs {
    struct fl_core *core;
    struct fl_list buckets[FL_ORG_BUCKETS];
    struct fl_list listeners;
    struct fl_op *stop_op; /* fl_orgs_stop_instances */
    size_t stopping;
    struct fl_post stop_post;
};

/* Makes a snapshot out of the entry's results; FL_NOT_FOUND if the organization is gone. */
enum fl_code fl_org_read(struct fl_org_entry *e, struct fl_org **ret,
                         struct fl_err *err) FL_MUST_CHECK;
struct fl_org_entry *fl_org_entry_find(const struct fl_orgs *orgs, const struct fl_uuid *id);
/* Makes the server's instance unless one of the same configuration is in hand. */
void fl_org_instance_find(struct fl_org_entry *e, struct fl_arena *arena,
                          struct fl_org_server *server);
/* Stops instances that no server of the snapshot uses. */
void fl_org_instances_trim(struct fl_org_entry *e, const struct fl_org *org);
void fl_org_instances_stop(struct fl_org_entry *e);
void fl_org_instances_free(struct fl_org_entry *e);

#endif
