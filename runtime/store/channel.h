/* Table channel: where cards go beside the inbox. `secret` is a sealed JSON object. `audit`: a
 * sealed row, written only with the change. Loop thread. */
#ifndef FLOPINIO_STORE_CHANNEL_H
#define FLOPINIO_STORE_CHANNEL_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"

#define FL_CHANNEL_LEASE "channel " /* with the channel's id: who looks after it */

/* Columns: channel_id, name, kind, config, disclose, is_enabled, has a secret, facts, trouble,
 * delivered_at ms, paused_until ms (null: not paused), how many approvals wait to be told there,
 * tested_at ms, of mail: how many linked addresses take none any more (null: all do). */
struct fl_query *fl_store_channels(struct fl_tx *tx);
/* One, for whoever speaks for it. Columns: name, kind, config, disclose, is_enabled, secret, facts,
 * cursor, revision, paused_until ms (null: not now), failures. */
struct fl_query *fl_store_channel_get(struct fl_tx *tx, const struct fl_uuid *id);
/* By organization and name, without an organization set. Columns: organization_id, channel_id,
 * kind, is_enabled. */
struct fl_query *fl_store_channel_by_name(struct fl_tx *tx, struct fl_str organization,
                                          struct fl_str name);
/* Returns channel_id, or no row when the name is taken. */
struct fl_query *fl_store_channel_create(struct fl_tx *tx, const struct fl_uuid *id,
                                         struct fl_str name, struct fl_str kind,
                                         struct fl_str config_json, struct fl_str secret,
                                         struct fl_str disclose, const struct fl_audit_row *audit);
/* p NULL leaves that as it is; is_enabled < 0 too. Returns channel_id. Whatever paused it is over,
 * and what failed there is tried at once. Alone in its transaction, as it locks rows of the outbox.
 */
struct fl_query *fl_store_channel_update(struct fl_tx *tx, struct fl_str name,
                                         struct fl_str config_json, struct fl_str secret,
                                         struct fl_str disclose, int is_enabled,
                                         const struct fl_audit_row *audit);
struct fl_query *fl_store_channel_remove(struct fl_tx *tx, struct fl_str name,
                                         const struct fl_audit_row *audit);
/* What it does: it took something, or did not; `pause_ms` 0: it goes on. What fails
 * with a `revision` that is not the channel's any more says nothing about it. */
void fl_store_channel_works(struct fl_tx *tx, const struct fl_uuid *id);
void fl_store_channel_fails(struct fl_tx *tx, const struct fl_uuid *id, int64_t revision,
                            int failures, struct fl_str trouble, int64_t pause_ms);
void fl_store_channel_tested(struct fl_tx *tx, const struct fl_uuid *id);
/* Cards of a test are about to be sent there; noted in its facts, as `test_sent`. */
void fl_store_channel_testing(struct fl_tx *tx, const struct fl_uuid *id);
/* How long ago that was. Columns: ms, or null: never. */
struct fl_query *fl_store_channel_test_age(struct fl_tx *tx, const struct fl_uuid *id);
/* Members that `facts_json` has not stay as they are. */
void fl_store_channel_facts(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str facts_json);
/* Events before `cursor` were handled; never back. */
void fl_store_channel_cursor(struct fl_tx *tx, const struct fl_uuid *id, int64_t cursor);
/* The same for a chat that numbers its updates itself, and may go back. A change of the channel
 * that has a secret or another base_url begins at 0: with a `revision` from before that, and a
 * place that is not the one `noted` last, it says nothing, as these are another bot's numbers. */
void fl_store_channel_next_update(struct fl_tx *tx, const struct fl_uuid *id, int64_t revision,
                                  int64_t noted, int64_t next);
/* Of all organizations, those that this worker may look after now. Columns: organization_id,
 * channel_id, revision. */
struct fl_query *fl_store_sweep_channels(struct fl_tx *tx, const struct fl_uuid *worker);
/* A row the first time that this name is given within so long, in the whole installation. */
struct fl_query *fl_store_once(struct fl_tx *tx, struct fl_str name, int64_t for_ms);
void fl_store_lease_end(struct fl_tx *tx, const char *name, const struct fl_uuid *owner);

#endif
