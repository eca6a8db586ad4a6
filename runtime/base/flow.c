/* The step driver. */
#include "flopinio/base/flow.h"

#include <stdarg.h>
#include <stdio.h>

static void on_done(struct fl_op *op)
{
    struct fl_flow *f = FL_CONTAINER(op, struct fl_flow, op);
    FL_ASSERT(!f->is_running); /* an operation completed inside its own start */
    fl_next then = f->then;
    f->then = NULL;
    FL_ASSERT(then);
    fl_flow_run(f, then);
}

void fl_flow_init(struct fl_flow *f, fl_next failed, void (*ended)(struct fl_flow *f))
{
    fl_op_clear(&f->op);
    f->op.done = on_done;
    f->then = f->at = NULL;
    f->failed = failed;
    f->first.code = FL_OK;
    f->first.text[0] = 0;
    f->ended = ended;
    f->is_running = f->is_ended = false;
    fl_list_init(&f->in_step);
}

void fl_flow_run(struct fl_flow *f, fl_next step)
{
    FL_ASSERT(!f->is_running && !f->is_ended);
    f->is_running = true;
    while (step) {
        f->at = step;
        fl_assert_context(step->name);
        step = step->run(f);
    }
    fl_assert_context(NULL);
    f->is_running = false;
    if (f->is_ended)
        f->ended(f);
}

fl_next fl_await(struct fl_flow *f, fl_next then, enum fl_code started)
{
    if (started != FL_OK) {
        f->op.code = started;
        f->op.err.code = started;
        return fl_fail(f);
    }
    FL_ASSERT(f->op.is_pending);
    f->then = then;
    return NULL;
}

fl_next fl_fail(struct fl_flow *f)
{
    if (f->first.code == FL_OK) {
        f->first = f->op.err;
        if (f->first.code == FL_OK)
            f->first.code = f->op.code;
        FL_ASSERT(f->first.code != FL_OK);
        if (f->first.text[0] == 0)
            fl_err_code(&f->first, f->first.code);
    }
    FL_ASSERT(f->at != f->failed);
    return f->failed;
}

fl_next fl_fail_with(struct fl_flow *f, enum fl_code code, const char *fmt, ...)
{
    if (f->first.code == FL_OK) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(f->first.text, sizeof f->first.text, fmt, ap);
        va_end(ap);
        f->first.code = code;
    }
    FL_ASSERT(f->at != f->failed);
    return f->failed;
}

fl_next fl_end(struct fl_flow *f)
{
    f->is_ended = true;
    return NULL;
}
