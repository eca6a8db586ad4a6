/* Shared by the table files of this folder, the only ones that contain SQL. */
#ifndef FLOPINIO_STORE_SQL_H
#define FLOPINIO_STORE_SQL_H

#include "runtime/io/pg.h"

/* A timestamp column as milliseconds since 1970 (null stays null). */
#define MS(column)   "(extract(epoch FROM " column ") * 1000)::bigint"
#define US(column)   "(extract(epoch FROM " column ") * 1000000)::bigint"
#define AT_US(param) "(timestamptz 'epoch' + " param "::bigint * interval '1 microsecond')"
/* A bigint parameter in milliseconds as a timestamp / an interval. */
#define AT(param)    "to_timestamp(" param "::bigint / 1000.0)"
#define SPAN(param)  "(" param "::bigint * interval '1 millisecond')"

/* For statements that carry their audit row, written only with what they `moved`:
 *   WITH moved AS (UPDATE ... RETURNING x), NOTED_FIRST SELECT x FROM moved
 * where $1..$7 are fl_store_audit_bind's. */
#define NOTED_FIRST                                                                                \
    "noted AS (INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, "   \
    "subject_kind, subject_id, leaf) SELECT org(), $1::uuid, $2, $3, $4::uuid, $5, $6::uuid, "     \
    "$7::bytea FROM moved LIMIT 1) "

/* Behind `WITH old AS (SELECT approval_id ...), `, for `UPDATE ... WHERE ... AND CARDS_LOCKED`: the
 * rows of the outbox that the trigger outbox_change touches one approval at a time, locked before
 * in the one order that there is: by approval and channel. */
#define CARDS_OF_OLD                                                                               \
    "cards AS (SELECT 1 FROM outbox o WHERE o.organization_id = (SELECT org()) AND "               \
    "o.approval_id IN (SELECT approval_id FROM old) ORDER BY o.approval_id, o.channel_id FOR NO "  \
    "KEY UPDATE) "
#define CARDS_LOCKED "(SELECT count(*) FROM cards) >= 0"
/* For `UPDATE outbox o SET ... FROM IN_ORDER(...) WHERE IS_NEXT`. */
#define IN_ORDER(more)                                                                             \
    "(SELECT o.approval_id, o.channel_id FROM outbox o " more                                      \
    " ORDER BY o.approval_id, o.channel_id FOR NO KEY UPDATE OF o) k"
#define IS_NEXT                                                                                    \
    "o.organization_id = (SELECT org()) AND o.approval_id = k.approval_id AND o.channel_id = "     \
    "k.channel_id"

/* A worker's connections are named so (fl_store_worker_name): PostgreSQL knows at once when the
 * process behind them is gone (so does the function approval_repeated). Only where our own name is
 * seen are others' missed: a pooler in between may give another one. */
#define WORKER_NAME "flopinio-"
#define CONNECTED(worker)                                                                          \
    "(current_setting('application_name') NOT LIKE '" WORKER_NAME "%' OR EXISTS (SELECT 1 FROM "   \
    "pg_stat_activity sa WHERE sa.application_name = '" WORKER_NAME "' || " worker "))"

/* Tables with rows of organizations, or of people, that row security does not guard. */
#define FL_SQL_UNPROTECTED                                                                         \
    "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "  \
    "n.nspname = 'flopinio' AND c.relkind IN ('r', 'p', 'm', 'f') AND (c.relname IN ('person', "   \
    "'personal_token') OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND "      \
    "a.attname = 'organization_id' AND NOT a.attisdropped)) AND NOT (c.relrowsecurity AND "        \
    "c.relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)) "      \
    "ORDER BY 1"

/* Does stop s cover approval a? By person and group for who owns the agent now, and who owned it
 * when it asked. */
#define FL_STOP_COVERS                                                                              \
    "(s.scope = 'org' OR (s.scope = 'tool' AND s.name = a.tool) OR (s.scope = 'server' AND EXISTS " \
    "(SELECT 1 FROM server sv WHERE sv.organization_id = a.organization_id AND sv.server_id = "     \
    "a.server_id AND sv.name = s.name)) OR (s.scope IN ('agent', 'person', 'group') AND EXISTS "    \
    "(SELECT 1 FROM agent sg WHERE sg.organization_id = a.organization_id AND sg.agent_id = "       \
    "a.agent_id AND ((s.scope = 'agent' AND sg.name = s.name) OR (s.scope = 'person' AND EXISTS "   \
    "(SELECT 1 FROM person sp WHERE sp.person_id IN (a.owner_id, sg.owner_id) AND sp.name = "       \
    "s.name)) OR (s.scope = 'group' AND EXISTS (SELECT 1 FROM org_group og JOIN group_member gm "   \
    "USING (organization_id, group_id) WHERE og.organization_id = a.organization_id AND og.name "   \
    "= s.name AND gm.person_id IN (a.owner_id, sg.owner_id)))))))"

/* Copies a cell into the arena; null: p NULL. */
static inline struct fl_str fl_cell_copy(const struct fl_query *q, struct fl_arena *arena, int row,
                                         int col)
{
    struct fl_str s = fl_cell(q, row, col);
    return s.p ? fl_arena_str(arena, s) : s;
}

#endif
