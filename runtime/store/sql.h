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

/* Rows are locked in one order, or two statements wait for each other until PostgreSQL ends one, a
 * second later: of several tables in that of fl_store_organization_touch, of one table by its key.
 * An UPDATE or DELETE of several rows locks them as the planner finds them; so they are locked
 * before it, by a SELECT that is sorted, and are its own then. What is only cleared away skips rows
 * that somebody holds (FREE_ONLY), and waits for nobody. */
#define FREE_ONLY " FOR UPDATE SKIP LOCKED"
/* Behind `WITH old AS (SELECT approval_id ...), `, for `UPDATE ... WHERE ... AND CARDS_LOCKED`: the
 * rows of the outbox that the trigger outbox_change touches one approval at a time, locked before
 * in the one order that there is: by approval and channel. */
#define CARDS_OF_OLD                                                                               \
    "cards AS (SELECT 1 FROM outbox o WHERE o.organization_id = (SELECT org()) AND "               \
    "o.approval_id IN (SELECT approval_id FROM old) ORDER BY o.approval_id, o.channel_id FOR NO "  \
    "KEY UPDATE) "
#define CARDS_LOCKED   "(SELECT count(*) FROM cards) >= 0"
/* For `UPDATE outbox o SET ... FROM IN_ORDER(...) WHERE IS_NEXT`; with more columns in the second.
 */
#define IN_ORDER(more) IN_ORDER_WITH("", more)
#define IN_ORDER_WITH(columns, more)                                                               \
    "(SELECT o.approval_id, o.channel_id" columns " FROM outbox o " more                           \
    " ORDER BY o.approval_id, o.channel_id FOR NO KEY UPDATE OF o) k"
#define IS_NEXT                                                                                    \
    "o.organization_id = (SELECT org()) AND o.approval_id = k.approval_id AND o.channel_id = "     \
    "k.channel_id"
/* The rows of the outbox of what was found in `which` (approval_id, channel_id), told anew. */
#define AGAIN(which)                                                                               \
    "UPDATE outbox o SET wanted = o.wanted + 1, next_at = CASE WHEN o.tries > 0 THEN o.next_at "   \
    "ELSE now() END FROM " IN_ORDER(                                                               \
        "WHERE o.organization_id = (SELECT org()) AND (o.approval_id, o.channel_id) IN (SELECT "   \
        "approval_id, channel_id FROM " which ")") " WHERE " IS_NEXT
/* For `UPDATE card_message m SET ... FROM CARDS_IN_ORDER(...) WHERE IS_CARD`, or a DELETE, which
 * locks them whole. */
#define CARDS_IN_ORDER(lock, condition)                                                            \
    "(SELECT card_id FROM card_message WHERE organization_id = (SELECT org()) AND " condition      \
    " ORDER BY card_id FOR " lock ") k"
#define IS_CARD "m.organization_id = (SELECT org()) AND m.card_id = k.card_id"

/* Is the absence `d` of no account any more, as its person set it themselves and has signed out
 * everywhere since? A passphrase that was stolen is changed so, and what it set goes with it. */
#define DISOWNED(d)                                                                                \
    "EXISTS (SELECT 1 FROM person dp WHERE dp.person_id = " d ".person_id AND dp.name = " d        \
    ".set_by AND dp.signed_out_at > " d ".set_at)"

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

/* Is stop s, whose freezing is under way, one of those for which open approval a stands still,
 * frozen or not yet? One that was over before it is not; nor is one that came when it had ended. */
#define FL_STOP_FREEZES                                                                            \
    "s.organization_id = a.organization_id AND s.moving = 'freeze' AND a.state IN ('pending', "    \
    "'approved', 'claimed') AND a.expires_at > s.stands_from AND (a.created_at < "                 \
    "least(s.lifted_at, s.until)) IS NOT FALSE AND " FL_STOP_COVERS
/* The same for statements that lock the approval: since when it stands still so; null: it does not.
 * They ask a function: the second time in a statement that PostgreSQL 15 looks again at a row which
 * was changed while it was waited for, what row security asks in a query within a query is not set
 * unless the first look at some row needed it, and the server crashes. */
#define FL_STANDS_SINCE                                                                            \
    "CASE WHEN a.state IN ('pending', 'approved', 'claimed') AND EXISTS (SELECT 1 FROM stop s "    \
    "WHERE s.organization_id = a.organization_id AND s.moving = 'freeze') THEN "                   \
    "stop_stands_since(a.organization_id, a.agent_id, a.owner_id, a.server_id, a.tool, "           \
    "a.created_at, a.expires_at) END"
#define FL_STANDS "((" FL_STANDS_SINCE ") IS NOT NULL)"

/* Copies a cell into the arena; null: p NULL. */
static inline struct fl_str fl_cell_copy(const struct fl_query *q, struct fl_arena *arena, int row,
                                         int col)
{
    struct fl_str s = fl_cell(q, row, col);
    return s.p ? fl_arena_str(arena, s) : s;
}

#endif
