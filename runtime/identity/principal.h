/* An agent's identity: its credential, looked up by digest, kept while connections use it and for a
 * while after. A revoked credential stops working within a second: the organization's revision
 * changes, and every principal of it is looked up again. One that expires stops at its time. Loop
 * thread only. */
#ifndef FLOPINIO_IDENTITY_PRINCIPAL_H
#define FLOPINIO_IDENTITY_PRINCIPAL_H

#include "flopinio/base/list.h"
#include "runtime/crypto/token.h"
#include "runtime/io/pg.h"

struct fl_principal {
    struct fl_uuid organization_id, credential_id, agent_id, owner_id;
    struct fl_str organization, agent, owner, client;
    char agent_id_text[FL_UUID_TEXT];
    int64_t hold_ms;      /* how long its calls may be held open */
    struct fl_str *tools; /* patterns of the tools that the credential may call */
    size_t tool_count;
    int64_t expires_at_ms; /* 0: never */
    bool is_refused;       /* revoked, expired, frozen: nothing more for whoever holds it */
    char why[80];          /* then */
    unsigned holds;        /* approval_wait calls that are open */
    /* private */
    struct fl_principals *set;
    struct fl_list link;
    uint8_t hash[FL_SHA256_BYTES];
    struct fl_arena *arena;
    unsigned refs;
    int64_t looked_up_ms, idle_since_ms;
    uint64_t revision;  /* of its organization, when it was looked up */
    bool is_stale;      /* to be looked up again before the next use */
    uint64_t unchecked; /* the revision for which the look-up failed, to be made again; 0: none */
    struct fl_timer expiry;
};

struct fl_principals;

enum fl_code fl_principals_new(struct fl_loop *loop, struct fl_pg *pg, struct fl_principals **ret,
                               struct fl_err *err) FL_MUST_CHECK;
void fl_principals_free(struct fl_principals **set);

/* Who presents this token. Completes with FL_OK and *ret (a reference; release with
 * fl_principal_unref), FL_UNAUTHENTICATED (unknown, revoked, expired, frozen: one answer for all),
 * or FL_UNAVAILABLE. `auth` is the caller's memory until then. */
struct fl_agent_auth {
    struct fl_op *op;
    struct fl_principals *set;
    struct fl_principal **ret;
    struct fl_arena *arena;
    struct fl_op db;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_post post;
    uint8_t hash[FL_SHA256_BYTES];
    unsigned tries;
    bool is_cancelled;
};
enum fl_code fl_agent_auth_start(struct fl_op *op, struct fl_agent_auth *auth,
                                 struct fl_principals *set, struct fl_str token,
                                 struct fl_principal **ret) FL_MUST_CHECK;
/* The one in hand, fresh, without a look-up; NULL: use fl_agent_auth_start. A new reference. */
struct fl_principal *fl_principal_peek(struct fl_principals *set, struct fl_str token);
struct fl_principal *fl_principal_ref(struct fl_principal *principal);
void fl_principal_unref(struct fl_principal **principal);

/* The organization has this revision now: looks its older principals up again; those that may not
 * go on are marked refused and told to the listener. */
void fl_principals_recheck(struct fl_principals *set, const struct fl_uuid *organization,
                           uint64_t revision);
void fl_principals_on_refused(struct fl_principals *set,
                              void (*on_refused)(void *ctx, struct fl_principal *principal),
                              void *ctx);
/* The patterns of `tools`, joined with commas, into its arena; false: no memory. */
bool fl_principal_read_tools(struct fl_principal *principal, struct fl_str csv);
/* Does the credential reach this tool? */
bool fl_principal_may_call(const struct fl_principal *principal, struct fl_str tool);

#endif
