/* Stopping and resuming: within a second on all workers, reads too; deadlines stand still. However
 * many wait, it takes one short transaction and one batch of deadlines (freeze.h); the rest is
 * moved beside the sweep. Anyone who may decide may stop, resuming needs an administrator (checked
 * by the caller, and where it is written: a stop only takes away). Loop thread. */
#ifndef FLOPINIO_APPROVAL_STOP_H
#define FLOPINIO_APPROVAL_STOP_H

#include "runtime/approval/freeze.h"
#include "runtime/store/evidence.h"

#define FL_STOP_MOST_MS (366 * 86400000LL) /* the longest time that a stop may be set for */

/* "org", "group", "server", "agent", "person", "tool"; NULL if it is none. */
const char *fl_stop_scope(struct fl_str text);

/* A call that the stop covers and that was sent before it: nobody can hold it back any more. */
struct fl_in_flight {
    struct fl_uuid approval;
    struct fl_str tool, agent;
    int64_t sent_at_ms;
};

struct fl_stop_set {
    struct fl_core *core;
    struct fl_arena *arena; /* the caller's; the list of calls in flight lives in it */
    struct fl_uuid organization;
    const char *scope;
    struct fl_str name, reason, by;
    int64_t for_ms; /* 0: until it is lifted */
    enum fl_actor actor;
    struct fl_uuid actor_id;
    const char *via;
    struct fl_uuid id; /* out */
    struct fl_in_flight *in_flight;
    size_t in_flight_count;
    bool is_moving; /* out: not all of what waits is frozen yet, though it stands still */
    /* private */
    struct fl_op *op;
    struct fl_op db;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_freeze freeze;
};
/* FL_BAD_PARAMS, FL_UNAVAILABLE. */
enum fl_code fl_stop_set_start(struct fl_op *op, struct fl_stop_set *set) FL_MUST_CHECK;

/* One of the stops to lift; scope and name are for the audit. */
struct fl_stop_named {
    struct fl_uuid id;
    struct fl_str scope, name;
};

struct fl_stop_lift {
    struct fl_core *core;
    struct fl_uuid organization;
    const struct fl_stop_named *stops; /* borrowed until it completes */
    size_t count;
    struct fl_str by;
    enum fl_actor actor;
    struct fl_uuid actor_id;     /* of a person: proved before; that they may is read again, */
    struct fl_evidence evidence; /* and that it is them */
    const char *via;             /* NULL: not said */
    bool is_brief;  /* no batch: somebody else moves deadlines; and no long wait for any lock */
    size_t lifted;  /* out: how many, none of them by somebody else meanwhile */
    bool is_moving; /* out: not all of what stood still runs on yet */
    /* private */
    struct fl_op *op;
    struct fl_op db;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query **q;
    struct fl_freeze freeze;
};
/* FL_NOT_FOUND: none of them is in force. FL_FORBIDDEN: not by this person, any more. */
enum fl_code fl_stop_lift_start(struct fl_op *op, struct fl_stop_lift *lift) FL_MUST_CHECK;

#endif
