/* Table call_grant: standing votes for calls like one that was shown. Using one is part of the
 * intake (approval.h). Statements are appended to a transaction; loop thread. */
#ifndef FLOPINIO_STORE_GRANT_H
#define FLOPINIO_STORE_GRANT_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"

#define FL_GRANT_USES_MOST 1000
#define FL_GRANT_LEAST_MS  INT64_C(60000)    /* 1 m */
#define FL_GRANT_MOST_MS   INT64_C(86400000) /* 24 h */

struct fl_grant_new {
    struct fl_uuid id, approval, agent_id, server_id, person;
    struct fl_str tool, definition_digest, server_digest, rule, ask;
    struct fl_str pins;   /* JSON array of pointers */
    struct fl_str pinned; /* digest */
    struct fl_str reason; /* p NULL: none */
    bool has_second_factor;
    int64_t uses, for_ms;
};
/* Columns: expires_at in milliseconds. */
struct fl_query *fl_store_grant_put(struct fl_tx *tx, const struct fl_grant_new *grant);
/* Those that count, or ended within the last day; newest first. Columns: id, agent_id, server_id,
 * tool, definition_digest, server_digest, rule, ask, pins, pinned, person_id, person's name,
 * has_second_factor, uses, used, expires_at, is_revoked, created_at, approval_id, agent's name,
 * revoked_at, revoked_by, reason, state in words. */
struct fl_query *fl_store_grants(struct fl_tx *tx);
/* The audit row only with it; 0 rows: there is none, or it was revoked before. Columns: id. */
struct fl_query *fl_store_grant_revoke(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str by,
                                       const struct fl_audit_row *audit);
/* All of a person who leaves. Columns: id. */
struct fl_query *fl_store_grants_revoke_of(struct fl_tx *tx, const struct fl_uuid *person,
                                           struct fl_str by);

#endif
