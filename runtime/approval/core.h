/* What one worker has: the loop, the database, keys, plugin processes, and the caches and lists of
 * this folder. Made by the worker's main, handed to every flow. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_CORE_H
#define FLOPINIO_APPROVAL_CORE_H

#include "runtime/audit/batch.h"
#include "runtime/crypto/seal.h"
#include "runtime/host/host.h"
#include "runtime/io/pg.h"

struct fl_hub;
struct fl_intakes;
struct fl_orgs;
struct fl_people;
struct fl_sweep;

/* Times of the life of a call, in milliseconds. Tests make them short. */
struct fl_core_times {
    int64_t lease_ms;    /* a claim that is not dispatched goes back; 15 s */
    int64_t dispatch_ms; /* from the dispatch marker to the first byte at most; 5 s */
    int64_t execute_ms;  /* whole time of a tool's run; 60 s */
    int64_t grace_ms;    /* added before an outcome is called unknown; 5 s */
    int64_t leave_ms;    /* a broken stream's caller may come back for so long; 120 s */
    int64_t preview_ms;  /* 5 s */
    int64_t sweep_ms;    /* 1 s */
    int64_t
        settle_retry_ms; /* between tries to record an outcome while the database is away; 1 s */
};

struct fl_core_limits {
    int pending_max;         /* waiting approvals of one agent; 20 */
    size_t result_max_bytes; /* kept for a caller who comes later; 1 MiB */
    size_t in_flight_bytes;  /* arguments of an organization's calls at one time; 64 MiB */
};

struct fl_core_plugins {
    const char *const *dirs;   /* where plugins are looked up by name; NULL-terminated */
    const char *user;          /* OS user of plugin processes when started as root; NULL = nobody */
    const char *const *closed; /* the runtime's own files, which no plugin may reach; absolute */
    bool in_process;           /* plugins inside the worker: one organization only */
    struct fl_uuid in_process_of; /* that one, once it is known */
};

struct fl_core {
    struct fl_loop *loop;
    struct fl_pg *pg;
    struct fl_audit_batch *audit;
    struct fl_intakes *intakes;
    struct fl_keyring *keys;
    struct fl_host *host;
    struct fl_people *people; /* for chats in which a second factor is proved; NULL: nowhere */
    struct fl_uuid worker;    /* this process, for leases and held calls */
    struct fl_core_times times;
    struct fl_core_limits limits;
    struct fl_core_plugins plugins;
    struct fl_hub *hub;
    struct fl_orgs *orgs;
    struct fl_sweep *sweep;
    struct fl_registry *registry;
    struct fl_list calls; /* fl_call, for drain and the admin page */
    size_t call_count;
    struct fl_list runs; /* of tasks */
    size_t run_count;
    struct fl_list sent;   /* fl_run whose tool is at work */
    struct fl_list doubts; /* cancellations that go on until the database can say (cancel.c) */
    bool is_draining;      /* no new work is begun */
    struct fl_core_stats {
        uint64_t reads, denied, invalid, held, permitted, repeats;
        uint64_t dispatched, succeeded, failed, unknown, voided, decided;
        uint64_t approved, decided_fast; /* of `decided`; fast: within two seconds */
        uint64_t decide_ms; /* from the call to the decision, of all of them together */
        uint64_t canaries_caught, canaries_approved, canaries_missed; /* in none of the others */
    } stats;
};

extern const struct fl_core_times fl_core_times_default;
extern const struct fl_core_limits fl_core_limits_default;

/* Fills `core`, whose loop, pg, keys, host, worker, times, limits and plugins the caller has set.
 */
enum fl_code fl_core_open(struct fl_core *core, struct fl_err *err) FL_MUST_CHECK;
/* After fl_pg_free has completed every statement. */
void fl_core_close(struct fl_core *core);

/* The place of a sealed column of an approval, for fl_seal and fl_unseal. `text` holds the id. */
struct fl_place fl_core_place(const struct fl_uuid *organization, const struct fl_uuid *approval,
                              const char *column, char text[FL_UUID_TEXT]);

#endif
