/* The runner of tasks. */
#include "runtime/approval/runner.h"

#include "flopinio/base/mem.h"
#include "runtime/approval/run.h"

#define RUNS_MAX 1024
#define EACH_MAX 128 /* of one server */

struct fl_task_run {
    struct fl_op op;
    struct fl_run run;
    struct fl_uuid server;
    struct fl_list link;
    struct fl_retired retired;
};

static void release(void *owner)
{
    struct fl_task_run *t = owner;
    fl_run_fini(&t->run);
    fl_free(t);
}

static void on_ran(struct fl_op *op)
{
    struct fl_task_run *t = FL_CONTAINER(op, struct fl_task_run, op);
    struct fl_core *core = t->run.core;
    fl_list_remove(&t->link);
    core->run_count--;
    fl_loop_retire(core->loop, &t->retired, release, t);
}

/* Is there room for it? It is not there yet, and of its server a few are; the first one has its
 * place however many there are of others. */
static bool has_room(const struct fl_core *core, const struct fl_uuid *organization,
                     const struct fl_uuid *server, const struct fl_uuid *approval)
{
    size_t count = 0;
    FL_LIST_FOREACH (link, &core->runs) {
        const struct fl_task_run *t = FL_CONTAINER(link, struct fl_task_run, link);
        if (fl_uuid_cmp(&t->run.approval, approval) == 0)
            return false;
        count += fl_uuid_cmp(&t->server, server) == 0 &&
                 fl_uuid_cmp(&t->run.organization, organization) == 0;
    }
    return count < EACH_MAX && (core->run_count < RUNS_MAX || count == 0);
}

void fl_runner_kick(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *server, const struct fl_uuid *approval)
{
    if (core->is_draining || !has_room(core, organization, server, approval))
        return;
    struct fl_task_run *t = fl_calloc(1, sizeof *t);
    if (!t)
        return;
    t->op.done = on_ran;
    t->run.core = core;
    t->run.organization = *organization;
    t->run.approval = *approval;
    t->server = *server;
    if (fl_run_start(&t->op, &t->run) != FL_OK) {
        fl_free(t);
        return;
    }
    fl_list_push_back(&core->runs, &t->link);
    core->run_count++;
}

void fl_runner_drain(struct fl_core *core)
{
    FL_LIST_FOREACH (link, &core->runs) {
        fl_op_cancel(&FL_CONTAINER(link, struct fl_task_run, link)->op);
    }
}
