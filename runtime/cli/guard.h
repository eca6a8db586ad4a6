/* Looks each second whether the database is still the one that this node knows, and writes down how
 * far it has got (known.h). The supervisor's, on its loop; the looking itself is done on the thread
 * pool. */
#ifndef FLOPINIO_CLI_GUARD_H
#define FLOPINIO_CLI_GUARD_H

#include "runtime/cli/known.h"
#include "runtime/io/loop.h"

struct fl_guard {
    struct fl_loop *loop;
    const struct fl_config *config;
    const char *conninfo; /* of the app role */
    /* After each look, from the loop. */
    void (*looked)(void *ctx, bool was_frozen, bool is_frozen);
    void *ctx;
    bool is_frozen; /* set before the start by what was found then */
    /* ---- own ---- */
    struct fl_timer timer;
    struct fl_work work;
    struct pg_conn *pg;   /* of the thread that looks, as the next two; NULL: none */
    struct fl_epoch last; /* what was seen by the last look */
    bool has_last;        /* by this connection, and it was admitted */
    struct fl_err err;
    int64_t saved_ms, rows_ms; /* when it was last written; when rows were last looked at */
    bool is_busy, is_over;
};

void fl_guard_start(struct fl_guard *guard);
/* No further look begins; one may still be busy. */
void fl_guard_stop(struct fl_guard *guard);
/* When it is not busy: what the database has got to is written down a last time. */
void fl_guard_fini(struct fl_guard *guard);

#endif
