/* The runner of tasks. */
#include "runtime/approval/runner.h"

#include "flopinio/base/mem.h"
#include "runtime/approval/run.h"

#define RUNS_MAX 256

struct fl_task_run {
    struct fl_op op;
    struct fl_run run;
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

static bool is_running(const struct fl_core *core, const struct fl_uuid *approval)
{
    FL_LIST_FOREACH (link, &core->runs) {
        struct fl_task_run *t = FL_CONTAINER(link, struct fl_task_run, link);
        if (fl_uuid_cmp(&t->run.approval, approval) == 0)
            return true;
    }
    return false;
}

void fl_runner_kick(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *approval)
{
    if (core->is_draining || core->run_count >= RUNS_MAX || is_running(core, approval))
        return;
    struct fl_task_run *t = fl_calloc(1, sizeof *t);
    if (!t)
        return;
    t->op.done = on_ran;
    t->run.core = core;
    t->run.organization = *organization;
    t->run.approval = *approval;
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
