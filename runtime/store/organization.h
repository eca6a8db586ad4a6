/* Tables organization, org_group, group_member, membership, stop, policy, worker, lease,
 * installation. Loop thread. */
#ifndef FLOPINIO_STORE_ORGANIZATION_H
#define FLOPINIO_STORE_ORGANIZATION_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"

struct pg_conn; /* see runtime/io/pg_admin.h */

/* ---- organizations ---- */
/* All of them. Columns: id, name, title, policy_version, revision, created_at ms. */
struct fl_query *fl_store_organizations(struct fl_tx *tx);
/* The one of that name, or no row; the same columns. */
struct fl_query *fl_store_organization_named(struct fl_tx *tx, struct fl_str name);
/* Columns: id, revision, changed_at in microseconds; changed since then. */
struct fl_query *fl_store_organizations_changed(struct fl_tx *tx, int64_t since_us);
/* With its audit row; its id is the transaction's organization. Returns a row, or none if the name
 * is taken; must_be_only: or if there is any. */
struct fl_query *fl_store_organization_create(struct fl_tx *tx, bool must_be_only,
                                              struct fl_str name, struct fl_str title,
                                              const struct fl_audit_row *audit);
/* Columns: name, title, policy_version, revision, settings. */
struct fl_query *fl_store_organization_get(struct fl_tx *tx);
void fl_store_organization_title(struct fl_tx *tx, struct fl_str title);
/* One at a time from here to the commit: the first statement of every change of who has authority,
 * and of what such a change takes away (accounts, grants). */
void fl_store_organization_lock(struct fl_tx *tx);
/* Workers' caches of this organization are out of date: to be appended to every change.
 *
 * Locks are taken in this order, so that nobody waits in a circle: server, tool, organization, the
 * gate of the stops, membership, chat account or token, approval, vote, card, digest, outbox (by
 * approval and channel), channel; a person before their tokens, a mailed link before what it
 * opened; several rows of a table by its key (sql.h). Whoever has the organization may share its
 * memberships and their proof (evidence.h) at the end, too. What locks the organization is never
 * batched with other work, nor what passes the gate with what does not. */
void fl_store_organization_touch(struct fl_tx *tx);

/* ---- groups and membership ---- */
/* Columns: group_id, name, title, member names joined with commas. */
struct fl_query *fl_store_groups(struct fl_tx *tx);
struct fl_query *fl_store_group_create(struct fl_tx *tx, const struct fl_uuid *id,
                                       struct fl_str name, struct fl_str title);
void fl_store_group_describe(struct fl_tx *tx, struct fl_str name, struct fl_str title);
struct fl_query *fl_store_group_remove(struct fl_tx *tx, struct fl_str name);
/* Returns a row if the group and the member exist and something changed. */
struct fl_query *fl_store_group_member_add(struct fl_tx *tx, struct fl_str group,
                                           const struct fl_uuid *person);
struct fl_query *fl_store_group_member_remove(struct fl_tx *tx, struct fl_str group,
                                              const struct fl_uuid *person);
/* Makes a member, brings one back, or sets the role. */
void fl_store_membership_put(struct fl_tx *tx, const struct fl_uuid *person, const char *role);
/* They leave, and all groups with it; the row stays, as agents and votes name them. */
void fl_store_membership_end(struct fl_tx *tx, const struct fl_uuid *person);

/* ---- policy ---- */
/* With its audit row. Returns the new version, or no row when the current version is not `expected`
 * any more. */
struct fl_query *fl_store_policy_apply(struct fl_tx *tx, int64_t expected, struct fl_str document,
                                       struct fl_str digest, struct fl_str applied_by,
                                       struct fl_str note, const struct fl_audit_row *audit);
/* version 0: the active one. Columns: version, document, digest, applied_by, applied_at ms, note.
 */
struct fl_query *fl_store_policy_get(struct fl_tx *tx, int64_t version);
/* Newest first. Columns: version, applied_by, applied_at ms, note. */
struct fl_query *fl_store_policy_list(struct fl_tx *tx, int most);

/* ---- stops ---- */
/* Active ones. Columns: stop_id, scope, name, reason, set_by, set_at ms, until ms. */
struct fl_query *fl_store_stops(struct fl_tx *tx);
/* Active ones, and those that are over while something still stands still by them. Columns as
 * before, and: state (stopped; stopping: not all of it is frozen yet; resuming: not all of it runs
 * on yet), how many are left (of the first FL_STOP_LEFT_MOST that could be). Alone. */
#define FL_STOP_LEFT_MOST 10000
struct fl_query *fl_store_stops_shown(struct fl_tx *tx);
/* Waits until every intake and dispatch marker under way has committed, and holds back new ones
 * until this transaction has: whatever they read, nothing that was taken away by it goes on behind
 * its answer; what was sent is in the list of fl_store_stop_in_flight. Behind the lock of the
 * organization, and in front of what comes behind the gate: each put and lift. Alone. */
void fl_store_stop_gate(struct fl_tx *tx);
/* First in intakes and dispatch markers, which do not wait for each other. */
void fl_store_stop_gate_pass(struct fl_tx *tx);
/* From its commit on what it covers stands still, frozen or not yet; fl_store_stop_move freezes. */
void fl_store_stop_put(struct fl_tx *tx, const struct fl_uuid *id, const char *scope,
                       struct fl_str name, struct fl_str reason, struct fl_str set_by,
                       int64_t for_ms);
/* What stood still by it, and is moved by fl_store_stop_move, runs on from then. The audit row only
 * with it. Columns: stop_id. */
struct fl_query *fl_store_stop_lift(struct fl_tx *tx, const struct fl_uuid *id,
                                    struct fl_str lifted_by, const struct fl_audit_row *audit);
/* What was sent already and is covered by the stop, set in this transaction. Columns: approval_id,
 * tool, agent, dispatched_at ms. */
struct fl_query *fl_store_stop_in_flight(struct fl_tx *tx, const struct fl_uuid *id);
/* Behind changes of who is in which group and whose which agent is, and the touch: active stops may
 * cover others now. With the gate. */
void fl_store_stop_cover_again(struct fl_tx *tx);
/* Whose time is up, in organizations behind that one (zero: in any), in the order of those.
 * Columns: organization_id, stop_id. */
struct fl_query *fl_store_stops_ended(struct fl_tx *tx, const struct fl_uuid *behind, int most);
/* No lock of the transaction is waited for longer than that. In front. */
void fl_store_stop_patience(struct fl_tx *tx, int ms);
/* Organizations in which deadlines are to be moved. Columns: organization_id. */
struct fl_query *fl_store_stops_moving(struct fl_tx *tx);

/* Deadlines are moved in passes over all that waits in the organization, so many at a time, by one
 * at a time: this lock first, waited for or only tried, and for no lock of the transaction longer
 * than that. Columns: is it ours until the end of the transaction. */
struct fl_query *fl_store_stop_move_lock(struct fl_tx *tx, int patience_ms, bool waits);
/* Columns: the database's clock, as text; does any stop ask for a pass? Behind the lock and the
 * gate (fl_store_stop_gate_pass) the time is that from which on a pass sees every stop that began
 * to move before it. */
struct fl_query *fl_store_stop_move_now(struct fl_tx *tx);
/* The next `most` behind `at` and `id` (p NULL and zero: from the first one). Columns: approval_id,
 * created_at as text, is it to be moved as the stops are now, since when it stands still then, as
 * text (null: it goes on), may a call wait that could run it (fl_store_stop_stir). */
struct fl_query *fl_store_stop_move_look(struct fl_tx *tx, struct fl_str at,
                                         const struct fl_uuid *id, int most);
/* Freezes those that have a time there (text), and lets the others go on with a deadline that is
 * later by as long as they stood. A row for each; none for those that were left, which are looked
 * at again when the pass is over. */
struct fl_query *fl_store_stop_move(struct fl_tx *tx, struct fl_array *ids, struct fl_array *since);
/* Of those: what is approved and held, and runs on without having been frozen, changes, so that the
 * call that holds it looks again: it may sleep since it stood still. What changed since the pass
 * began was looked at since. Columns: how many somebody has, which are left. */
struct fl_query *fl_store_stop_stir(struct fl_tx *tx, struct fl_array *ids, struct fl_str began);
/* A pass is through that began at that time: each stop that moves since then or longer is done. */
void fl_store_stop_moved(struct fl_tx *tx, struct fl_str began);

/* ---- workers, leases, the installation ---- */
/* The application_name of the worker's connections, by which others see that it lives. */
#define FL_WORKER_NAME_BYTES (FL_UUID_TEXT + 16)
const char *fl_store_worker_name(const struct fl_uuid *id, char out[FL_WORKER_NAME_BYTES]);
/* Registers, or tells that it is alive; removes workers that were silent for a minute or have no
 * connection any more. */
void fl_store_worker_beat(struct fl_tx *tx, const struct fl_uuid *id, const char *node, int pid,
                          const char *version);
void fl_store_worker_gone(struct fl_tx *tx, const struct fl_uuid *id);
/* Takes or renews; returns a row (fence) if it is ours now. is_inner: what it is for is done in the
 * database alone, so that an owner without any connection there does nothing: it is taken at once.
 */
struct fl_query *fl_store_lease(struct fl_tx *tx, const char *name, const struct fl_uuid *owner,
                                int64_t for_ms, bool is_inner);
/* All of these workers. A transaction that takes several does so in the order of their names. */
void fl_store_leases_drop(struct fl_tx *tx, const struct fl_uuid *owners, size_t count);
/* A table that has rows of organizations and no forced row security with a policy. Columns: name.
 */
struct fl_query *fl_store_unprotected(struct fl_tx *tx);
/* Columns: schema version. */
struct fl_query *fl_store_schema_version(struct fl_tx *tx);
/* Columns: milliseconds of the database's clock. */
struct fl_query *fl_store_clock(struct fl_tx *tx);

/* At start-up, with the app role. */
enum fl_code fl_organizations_count(struct pg_conn *pg, long long *ret,
                                    struct fl_err *err) FL_MUST_CHECK;

#endif
