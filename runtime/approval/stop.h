/* Stopping and resuming: within a second on all workers, reads too; deadlines stand still. Anyone
 * who may decide may stop, resuming needs an administrator (checked by the caller). Loop thread. */
#ifndef FLOPINIO_APPROVAL_STOP_H
#define FLOPINIO_APPROVAL_STOP_H

#include "runtime/approval/core.h"

/* "org", "group", "server", "agent", "person", "tool"; NULL if it is none. */
const char *fl_stop_scope(struct fl_str text);

struct fl_stop_set {
    struct fl_core *core;
    struct fl_uuid organization;
    const char *scope;
    struct fl_str name, reason, by;
    int64_t for_ms; /* 0: until it is lifted */
    enum fl_actor actor;
    struct fl_uuid actor_id;
    struct fl_uuid id; /* out */
    /* private */
    struct fl_op *op;
    struct fl_op db;
    struct fl_arena *arena;
    struct fl_tx tx;
};
/* FL_BAD_PARAMS, FL_UNAVAILABLE. */
enum fl_code fl_stop_set_start(struct fl_op *op, struct fl_stop_set *set) FL_MUST_CHECK;

struct fl_stop_lift {
    struct fl_core *core;
    struct fl_uuid organization;
    struct fl_uuid id; /* zero: by scope and name */
    const char *scope;
    struct fl_str name, by;
    enum fl_actor actor;
    struct fl_uuid actor_id;
    int lifted; /* out: how many */
    /* private */
    struct fl_op *op;
    struct fl_op db;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
};
/* FL_NOT_FOUND: nothing of that name is stopped. */
enum fl_code fl_stop_lift_start(struct fl_op *op, struct fl_stop_lift *lift) FL_MUST_CHECK;

#endif
