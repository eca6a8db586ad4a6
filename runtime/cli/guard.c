/* Whether the database is still the one that was here. */
#include "runtime/cli/guard.h"

#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "runtime/io/pg_admin.h"

#define LOOK_MS    1000
#define ROWS_MS    10000
#define REST_MS    20
#define REST_LOOKS 10

/* The log may be durable up to the middle of a record, and such a record is gone after a crash:
 * written down is where it stood a look earlier, with whole transactions behind it. */
static void save_last(struct fl_guard *g)
{
    struct fl_err err;
    if (fl_known_save(g->config, &g->last, NULL, &err) != FL_OK)
        FL_LOG(ERROR, "epoch_not_written", FL_KS("reason", err.text));
    g->saved_ms = fl_mono_ms();
}

/* What was loaded into it; the start has looked already. Where it was frozen until now, somebody
 * may have been loading. */
static enum fl_code look_at_rows(struct fl_guard *g, const struct fl_epoch *now)
{
    if (!g->is_frozen && fl_mono_ms() - g->rows_ms < ROWS_MS)
        return FL_OK;
    enum fl_code code = fl_known_look(g->config, g->pg, now, &g->err);
    if (code == FL_OK)
        g->rows_ms = fl_mono_ms();
    return code;
}

/* A database that is away says nothing, whatever it will be when it is back. */
static enum fl_code look(struct fl_guard *g)
{
    struct fl_epoch now;
    enum fl_code code = g->pg ? FL_OK : fl_admin_connect(g->conninfo, &g->pg, &g->err);
    if (code == FL_OK)
        code = fl_epoch_read(g->pg, &now, &g->err);
    if (code || now.timeline == 0) { /* 0: a standby */
        g->has_last = false;
        fl_admin_close(&g->pg);
        return FL_INTERNAL;
    }
    code = fl_known_admit(g->config, &now, &g->err);
    if (code == FL_OK && look_at_rows(g, &now) != FL_OK) {
        g->has_last = false;
        fl_admin_close(&g->pg);
        return FL_INTERNAL;
    }
    if (code == FL_OK)
        code = fl_known_admit(g->config, &now, &g->err);
    if (code == FL_OK && g->has_last && fl_mono_ms() - g->saved_ms >= FL_KNOWN_SAVE_MS)
        save_last(g);
    g->has_last = code == FL_OK && now.number > 0;
    g->last = now;
    return code;
}

static void on_work(struct fl_work *work)
{
    struct fl_guard *g = FL_CONTAINER(work, struct fl_guard, work);
    g->err.code = look(g);
}

static void on_done(struct fl_work *work)
{
    struct fl_guard *g = FL_CONTAINER(work, struct fl_guard, work);
    bool was_frozen = g->is_frozen;
    g->is_busy = false;
    if (g->err.code == FL_OK || g->err.code == FL_UNAVAILABLE)
        g->is_frozen = g->err.code != FL_OK;
    if (g->is_frozen && !was_frozen)
        FL_LOG(ERROR, "frozen", FL_KS("reason", g->err.text));
    else if (was_frozen && !g->is_frozen)
        FL_LOG(INFO, "recovered", FL_KS("database", "is the one that this node knows"));
    if (!g->is_over)
        fl_loop_timer(g->loop, &g->timer, LOOK_MS);
    g->looked(g->ctx, was_frozen, g->is_frozen);
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_guard *g = FL_CONTAINER(timer, struct fl_guard, timer);
    g->is_busy = true;
    fl_loop_work(g->loop, &g->work, on_work, on_done);
}

void fl_guard_start(struct fl_guard *g)
{
    fl_timer_init(&g->timer, on_timer);
    g->saved_ms = g->rows_ms = fl_mono_ms();
    fl_loop_timer(g->loop, &g->timer, LOOK_MS);
}

void fl_guard_stop(struct fl_guard *g)
{
    g->is_over = true;
    fl_loop_timer_cancel(g->loop, &g->timer);
}

/* Nobody of ours writes any more: where the log has come to rest it ends behind a whole record.
 * What was done in the last second would not be missed otherwise if older files were put in its
 * place. */
static void save_end(struct fl_guard *g)
{
    unsigned long long before = 0;
    if (g->has_last)
        save_last(g);
    for (int i = 0; i < REST_LOOKS && look(g) == FL_OK && g->has_last; i++) {
        if (g->last.wal == before) {
            save_last(g);
            return;
        }
        before = g->last.wal;
        usleep(REST_MS * 1000);
    }
}

void fl_guard_fini(struct fl_guard *g)
{
    if (g->is_over && !g->is_frozen)
        save_end(g);
    fl_admin_close(&g->pg);
}
