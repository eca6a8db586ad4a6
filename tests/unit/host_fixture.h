/* A loop, a host and one instance of a test plugin, for the test_host*.c programs. Each call is
 * made and waited for. */
#ifndef FL_TEST_HOST_FIXTURE_H
#define FL_TEST_HOST_FIXTURE_H

#include <sys/stat.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/host/host.h"

#define PLUGIN(name)      FL_BUILD_DIR "/test-plugins/" name ".so"
/* Nobody's, used only where the tests run as root; one for each case, since the limit on processes
 * counts all of a user's. */
#define TEST_USER         (100000u + (uint32_t)getpid() % 100000u)
#define FIXTURE_GRACE_MS  800 /* and in texts: */
#define FIXTURE_GRACE     "800"
#define FIXTURE_CALL_MS   20000
#define FIXTURE_OUTPUT_MB 1

struct fixture {
    struct fl_loop loop;
    struct fl_host *host;
    struct fl_host_config config;
    struct fl_host_instance *instance;
};

/* One call, and what came of it. */
struct trial {
    struct fl_host_call call;
    struct fl_loop *loop;
    bool is_done;
    int progresses, messages;
    char last_progress[64], last_message[128];
};

static inline struct fl_host_config fixture_config(const char *plugin)
{
    return (struct fl_host_config){
        .id = fl_uuid_new(),
        .organization_id = fl_uuid_new(),
        .name = "test",
        .plugin_path = plugin,
        .limits = { .memory_bytes = 256u << 20,
                    .cancel_grace_ms = FIXTURE_GRACE_MS,
                    .output_bytes = FIXTURE_OUTPUT_MB << 20,
                    .call_ms = FIXTURE_CALL_MS },
        .sandbox = { .uid = TEST_USER, .gid = TEST_USER },
    };
}

static inline void fixture_host(struct fixture *f)
{
    struct fl_err err;
    fl_log_init(getenv("FL_TEST_LOG") ? FL_LOG_DEBUG : FL_LOG_OFF, FL_LOG_TEXT);
    CHECK_OK(fl_loop_init(&f->loop, &err));
    CHECK_OK(fl_host_new(&f->loop, FL_BUILD_DIR "/unit/plugin_host", &f->host, &err));
}

static inline void fixture_instance(struct fixture *f)
{
    struct fl_err err = { 0 };
    enum fl_code code = fl_host_instance_new(f->host, &f->config, &f->instance, &err);
    CHECK_MSG(code == FL_OK, "%s", err.text);
}

/* A fresh instance of a plugin with the usual limits. */
static inline void fixture_open(struct fixture *f, const char *plugin)
{
    fixture_host(f);
    f->config = fixture_config(plugin);
    fixture_instance(f);
}

struct waited_op {
    struct fl_op op;
    struct fl_loop *loop;
    bool is_done;
};

static inline void fixture_on_op(struct fl_op *op)
{
    struct waited_op *w = FL_CONTAINER(op, struct waited_op, op);
    w->is_done = true;
    fl_loop_stop(w->loop);
}

static inline void fixture_stop(struct fixture *f)
{
    struct waited_op w = { .op.done = fixture_on_op, .loop = &f->loop };
    CHECK_OK(fl_host_instance_stop_start(&w.op, f->instance));
    while (!w.is_done)
        fl_loop_run(&f->loop);
    fl_host_instance_free(&f->instance);
}

/* Everything is given back: no handle, no memory (the leak check), no process. */
static inline void fixture_close(struct fixture *f)
{
    if (f->instance)
        fixture_stop(f);
    fl_host_free(&f->host);
    CHECK_INT(fl_loop_fini(&f->loop), 0);
}

static inline void trial_on_done(struct fl_op *op)
{
    struct trial *t = FL_CONTAINER(op, struct trial, call.op);
    t->is_done = true;
    fl_loop_stop(t->loop);
}

static inline void trial_on_progress(struct fl_host_call *call, double progress, double total,
                                     struct fl_str message)
{
    struct trial *t = FL_CONTAINER(call, struct trial, call);
    t->progresses++;
    snprintf(t->last_progress, sizeof t->last_progress, "%g %g %.*s", progress, total,
             FL_STR_ARG(message));
}

static inline void trial_on_message(struct fl_host_call *call, enum flopinio_level level,
                                    struct fl_str logger, struct fl_str data)
{
    struct trial *t = FL_CONTAINER(call, struct trial, call);
    t->messages++;
    snprintf(t->last_message, sizeof t->last_message, "%d %.*s %.*s", (int)level,
             FL_STR_ARG(logger), FL_STR_ARG(data));
}

/* Fills in a call; the caller may set more before trial_start. */
static inline void trial_init(struct trial *t, struct fixture *f, const char *tool,
                              const char *arguments)
{
    *t = (struct trial){ .loop = &f->loop };
    t->call.op.done = trial_on_done;
    t->call.tool = tool;
    t->call.arguments = fl_str_of(arguments);
    t->call.on_progress = trial_on_progress;
    t->call.on_message = trial_on_message;
}

static inline void trial_start(struct trial *t, struct fixture *f)
{
    enum fl_code code = fl_host_call_start(&t->call, f->instance);
    CHECK_MSG(code == FL_OK, "%s", t->call.op.err.text);
    CHECK(!t->is_done);
}

static inline void trial_wait(struct trial *t)
{
    while (!t->is_done)
        fl_loop_run(t->loop);
}

static inline void trial_run(struct trial *t, struct fixture *f)
{
    trial_start(t, f);
    trial_wait(t);
}

static inline void fixture_call(struct fixture *f, struct trial *t, const char *tool,
                                const char *arguments)
{
    trial_init(t, f, tool, arguments);
    trial_run(t, f);
}

/* Until `ms` have passed. */
static inline void fixture_on_time(struct fl_timer *timer)
{
    timer->fire = NULL;
}

static inline void fixture_sleep(struct fixture *f, int64_t ms)
{
    struct fl_timer timer;
    fl_timer_init(&timer, fixture_on_time);
    fl_loop_timer(&f->loop, &timer, ms);
    while (timer.fire)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

#define CHECK_ENDED(t)                                                                             \
    CHECK_MSG((t)->call.ran == FL_HOST_ENDED && (t)->call.op.code == FL_OK, "%s",                  \
              (t)->call.op.err.text)
/* Its content is one text. */
#define CHECK_TEXT(t, want)                                                                        \
    do {                                                                                           \
        CHECK_ENDED(t);                                                                            \
        CHECK_SPAN((t)->call.result.content, "[{\"type\":\"text\",\"text\":\"" want "\"}]");       \
    } while (0)
#define CHECK_NO_OUTCOME(t, ran_, code_, text_)                                                    \
    do {                                                                                           \
        CHECK_STR((t)->call.op.err.text, (text_));                                                 \
        CHECK_INT((t)->call.op.code, (code_));                                                     \
        CHECK_INT((t)->call.ran, (ran_));                                                          \
    } while (0)

#endif
