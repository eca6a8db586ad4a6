/* Table audit_event. A row's bytes are made by runtime/audit; here they are only written and read.
 */
#ifndef FLOPINIO_STORE_AUDIT_H
#define FLOPINIO_STORE_AUDIT_H

#include "runtime/io/pg.h"
#include "runtime/io/pg_admin.h"

struct fl_audit_row {
    struct fl_uuid organization, id;
    const char *kind;
    const char *actor_kind;
    struct fl_uuid actor_id; /* zero: none */
    const char *subject_kind;
    struct fl_uuid subject_id; /* zero: none */
    struct fl_str leaf;
};

/* Appends the insert of one row to a transaction. */
void fl_store_audit_insert(struct fl_tx *tx, const struct fl_audit_row *row);
/* One statement for many rows, of any organizations; puts them in another order. */
void fl_store_audit_insert_many(struct fl_tx *tx, const struct fl_audit_row **rows, size_t count);
/* For statements that insert the row themselves, behind a condition: binds seven parameters:
 * event_id, kind, actor_kind, actor_id, subject_kind, subject_id, leaf. */
void fl_store_audit_bind(struct fl_tx *tx, struct fl_query *q, const struct fl_audit_row *row);

/* What to list; zero or NULL members do not restrict. Times are UTC milliseconds. */
struct fl_audit_filter {
    struct fl_uuid actor, subject;
    const char *kind_prefix;               /* "approval." */
    const char *actor_kind, *subject_kind; /* "person" */
    int64_t since_ms, until_ms;
    struct fl_uuid after; /* with after_us: strictly behind this event, for the next page */
    int64_t after_us;
    int most; /* 1..1000 */
    bool newest_first;
    bool only_settled; /* oldest first: nothing will ever appear in front of what is listed */
};
/* Columns: event_id, recorded_at in microseconds, kind, leaf. */
struct fl_query *fl_store_audit_list(struct fl_tx *tx, const struct fl_audit_filter *filter);
/* Columns: how many. */
struct fl_query *fl_store_audit_count(struct fl_tx *tx, const struct fl_uuid *actor,
                                      const char *kind, int64_t since_ms);
/* Makes the partition of this month, or of the next (`months_ahead` 0 or 1), with what was written
 * while it was not there: by itself, not in the transaction of something else. */
void fl_store_audit_partition(struct fl_tx *tx, int months_ahead);
/* Both, on a connection of administration that is in no transaction. */
enum fl_code fl_store_audit_partitions(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;

#endif
