/* Table canary: calls that nobody made, and what became of those that were filed. Loop thread. */
#ifndef FLOPINIO_STORE_CANARY_H
#define FLOPINIO_STORE_CANARY_H

#include "runtime/store/audit.h"

struct fl_canary_row {
    struct fl_uuid id;
    struct fl_str name, tool, arguments, zone;
    int per_week, from_minute, to_minute;
    unsigned days;           /* bit 0: Monday */
    int64_t next_us, now_us; /* by the database's clock */
    bool is_waiting;         /* one of the organization's waits for people */
};

/* Who an agent's call would be by, as its newest credential that can be used says it. */
struct fl_canary_who {
    struct fl_uuid agent_id, owner_id, credential_id; /* credential_id zero: there is none */
    struct fl_str agent, state, owner, client, tools; /* patterns joined with commas */
    int64_t hold_ms;
    bool is_owner_active;
    bool is_isolated, was_task; /* as its last call was */
};

/* Columns: name, agent, tool, arguments, per_week, days (mon,tue), from, to, zone, set_by, set_at
 * ms, fired_at ms, note, of those filed since then: caught, approved, missed; may its agent ever
 * call again. */
struct fl_query *fl_store_canaries(struct fl_tx *tx, int64_t since_ms);
/* Of all that were ever filed since then, also for canaries that were removed. Columns: caught,
 * approved, missed. */
struct fl_query *fl_store_canary_totals(struct fl_tx *tx, int64_t since_ms);
/* Columns: person, caught (rejected by them), approved (by them), missed (a card stood in their own
 * chat, and they had not voted when its time was over). */
struct fl_query *fl_store_canary_people(struct fl_tx *tx, int64_t since_ms);

/* 0 or 1 rows. */
struct fl_query *fl_store_canary_agent(struct fl_tx *tx, struct fl_str agent);
/* False: no row, or no memory. */
bool fl_store_canary_who_read(const struct fl_query *q, struct fl_arena *arena,
                              struct fl_canary_who *ret);

/* Makes it, or sets the one of that name anew. */
void fl_store_canary_put(struct fl_tx *tx, const struct fl_canary_row *row,
                         const struct fl_uuid *agent, struct fl_str by,
                         const struct fl_audit_row *audit);
/* Returns a row when there was one. */
struct fl_query *fl_store_canary_remove(struct fl_tx *tx, struct fl_str name,
                                        const struct fl_audit_row *audit);

/* Locks it until the transaction ends: by id, or with id zero by name. 0 or 1 rows, for
 * fl_store_canary_who_read too. */
struct fl_query *fl_store_canary_lock(struct fl_tx *tx, const struct fl_uuid *id,
                                      struct fl_str name);
bool fl_store_canary_read(const struct fl_query *q, struct fl_arena *arena,
                          struct fl_canary_row *ret);
void fl_store_canary_next(struct fl_tx *tx, const struct fl_uuid *id, int64_t next_us);
/* What became of the last try: `note` empty: it was filed. */
void fl_store_canary_note(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str note);
/* Of all organizations, whose time has come. Columns: organization_id, canary_id. */
struct fl_query *fl_store_sweep_canaries(struct fl_tx *tx);

#endif
