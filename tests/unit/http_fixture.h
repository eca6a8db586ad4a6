/* An endpoint whose paths name what it does, in front of a loop on loopback, for the tests of the
 * HTTP front. */
#ifndef FL_TEST_HTTP_FIXTURE_H
#define FL_TEST_HTTP_FIXTURE_H

#include "loopback.h"

#define HOST      "Host: a.example\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST
#define CLOSE     "Connection: close\r\n"
#define NONE                                                                                       \
    (struct fl_str)                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

/* ---- an endpoint whose paths name what it does ---- */
struct app {
    struct lb_loop l; /* first */
    struct fl_http_server *server;
    struct fl_http_limits limits;
    const char *unix_path;
    bool renders;
    atomic_int heads, requests, gone, drained, released, refused_writes;
    struct fl_http_exchange *held; /* of /hold */
    struct fl_http_budget budget;  /* of bodies to /hang and /stranger; X-From: who sends it */
};

struct job {
    struct fl_timer timer;
    struct fl_http_exchange *ex;
    struct app *app;
    struct fl_str body;
    size_t left; /* bytes that /flow still has to write */
    bool is_resumed;
};

static bool is_path(const struct fl_http_exchange *ex, const char *path)
{
    return fl_str_is(ex->path, path);
}

static void respond(struct fl_http_exchange *ex, int status, struct fl_str body)
{
    const struct fl_http_header type = { FL_STR("Content-Type"), FL_STR("text/plain") };
    CHECK_OK(fl_http_respond(ex, status, &type, 1, body));
}

static void on_late(struct fl_timer *timer)
{
    struct job *job = FL_CONTAINER(timer, struct job, timer);
    job->is_resumed = true;
    if (is_path(job->ex, "/pause"))
        fl_http_resume(job->ex);
    else
        respond(job->ex, 200, job->body);
}

static struct job *new_job(struct fl_http_exchange *ex)
{
    struct job *job = FL_ARENA_NEW(ex->arena, struct job);
    if (!job)
        return NULL;
    fl_timer_init(&job->timer, on_late);
    job->ex = ex;
    job->app = ex->server_user;
    ex->user = job;
    return job;
}

static void write_flow(struct job *job)
{
    static char block[64 * 1024];
    memset(block, '#', sizeof block);
    while (job->left) {
        enum fl_code code = fl_http_write(job->ex, (struct fl_str){ block, sizeof block });
        if (code == FL_TOO_MANY) {
            atomic_fetch_add(&job->app->refused_writes, 1);
            CHECK(fl_http_queued(job->ex) > job->app->limits.write_queue_bytes);
            return;
        }
        CHECK_OK(code);
        job->left -= sizeof block;
    }
    CHECK_OK(fl_http_end(job->ex));
}

static void on_head(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    atomic_fetch_add(&app->heads, 1);
    CHECK(!ex->user);
    if (app->budget.max && (is_path(ex, "/hang") || is_path(ex, "/stranger"))) {
        ex->client = fl_arena_str(ex->arena, fl_http_header_get(ex, "x-from")).p;
        fl_http_take_body(ex, 0, 0, &app->budget);
    }
    if (is_path(ex, "/deny")) {
        respond(ex, 403, FL_STR("no"));
    } else if (is_path(ex, "/pause")) {
        struct job *job = new_job(ex);
        fl_http_pause(ex);
        if (job)
            fl_loop_timer(&app->l.loop, &job->timer, 20);
        else
            fl_http_abort(ex);
    }
}

static void stream(struct fl_http_exchange *ex, bool ends)
{
    const struct fl_http_header type = { FL_STR("Content-Type"), FL_STR("text/event-stream") };
    CHECK_OK(fl_http_start(ex, 200, &type, 1));
    CHECK(fl_http_is_started(ex));
    CHECK_OK(fl_http_write(ex, FL_STR("one,")));
    CHECK_OK(fl_http_write(ex, NONE)); /* no chunk: an empty one would be the last */
    CHECK_OK(fl_http_write(ex, FL_STR("two")));
    CHECK_INT(fl_http_respond(ex, 200, NULL, 0, NONE), FL_CONFLICT);
    if (ends) {
        CHECK_OK(fl_http_end(ex));
        CHECK_INT(fl_http_end(ex), FL_CONFLICT);
        CHECK_INT(fl_http_write(ex, FL_STR("late")), FL_CONFLICT);
    }
}

static void send_peer(struct fl_http_exchange *ex)
{
    char text[200];
    int n = snprintf(text, sizeof text, "%s %d %d %d", ex->peer->address, ex->peer->port != 0,
                     ex->peer->is_unix, ex->peer->uid == getuid() && ex->peer->pid == getpid());
    respond(ex, 200, (struct fl_str){ text, (size_t)n });
}

static void send_big(struct fl_http_exchange *ex)
{
    static char block[3000000];
    memset(block, 'b', sizeof block);
    respond(ex, 200, (struct fl_str){ block, sizeof block });
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct app *app = ex->server_user;
    if (is_path(ex, "/stream")) {
        stream(ex, true);
    } else if (is_path(ex, "/sse")) {
        stream(ex, false);
    } else if (is_path(ex, "/late")) {
        struct job *job = new_job(ex);
        if (job) {
            job->body = ex->query;
            fl_loop_timer(&app->l.loop, &job->timer, 20);
        } else {
            fl_http_abort(ex);
        }
    } else if (is_path(ex, "/hang") || is_path(ex, "/hold")) {
        app->held = ex;
    } else if (is_path(ex, "/flow")) {
        struct job *job = new_job(ex);
        job->left = 16u << 20;
        CHECK_OK(fl_http_start(ex, 200, NULL, 0));
        write_flow(job);
    } else if (is_path(ex, "/big")) {
        send_big(ex);
    } else if (is_path(ex, "/peer")) {
        send_peer(ex);
    } else if (is_path(ex, "/cut")) {
        stream(ex, false);
        fl_http_abort(ex);
        CHECK_INT(fl_http_write(ex, FL_STR("x")), FL_CONFLICT);
    } else if (is_path(ex, "/inject")) {
        const struct fl_http_header bad = { FL_STR("X"), FL_STR("a\r\nSet-Cookie: b") };
        CHECK_INT(fl_http_respond(ex, 200, &bad, 1, NONE), FL_INTERNAL);
    } else if (is_path(ex, "/inject-name")) {
        const struct fl_http_header bad = { FL_STR("X: a\r\nY"), FL_STR("b") };
        CHECK_INT(fl_http_start(ex, 200, &bad, 1), FL_INTERNAL);
    } else if (is_path(ex, "/ours")) {
        const struct fl_http_header ours = { FL_STR("content-length"), FL_STR("7") };
        CHECK_INT(fl_http_respond(ex, 200, &ours, 1, NONE), FL_INTERNAL);
    } else if (is_path(ex, "/204")) {
        CHECK_OK(fl_http_respond(ex, 204, NULL, 0, NONE));
    } else if (is_path(ex, "/304")) {
        CHECK_OK(fl_http_respond(ex, 304, NULL, 0, FL_STR("never sent")));
    } else if (is_path(ex, "/error")) {
        const struct fl_http_header after = { FL_STR("Retry-After"), FL_STR("5") };
        CHECK_OK(fl_http_respond_error(ex, 503, "come back later", &after, 1));
    } else {
        CHECK(!is_path(ex, "/pause") || ((struct job *)ex->user)->is_resumed);
        enum fl_code code = fl_http_respond(ex, 200, NULL, 0, body);
        CHECK(code == FL_OK || code == FL_NOMEM);
        CHECK(code != FL_OK || fl_http_respond(ex, 200, NULL, 0, body) == FL_CONFLICT);
    }
    atomic_fetch_add(&app->requests, 1); /* last: a test may go on from here */
}

static void on_gone(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    struct job *job = ex->user;
    if (job)
        fl_loop_timer_cancel(&app->l.loop, &job->timer);
    CHECK_INT(fl_http_respond(ex, 200, NULL, 0, NONE), FL_CLOSED);
    CHECK_INT(fl_http_write(ex, FL_STR("x")), FL_CLOSED);
    fl_http_resume(ex);
    fl_http_abort(ex);
    atomic_fetch_add(&app->gone, 1);
}

static void on_drained(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    atomic_fetch_add(&app->drained, 1);
    if (is_path(ex, "/flow"))
        write_flow(ex->user);
}

static void on_released(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    struct job *job = ex->user;
    if (job)
        fl_loop_timer_cancel(&app->l.loop, &job->timer);
    atomic_fetch_add(&app->released, 1);
}

static void render_error(void *user, const struct fl_http_exchange *ex, int status,
                         const char *text, struct fl_buf *body, const char **ret_type)
{
    struct app *app = user;
    if (!app->renders) {
        fl_buf_printf(body, "plain %d %s", status, text);
        return;
    }
    *ret_type = "application/json";
    fl_buf_printf(body, "{\"status\":%d,\"path\":\"%.*s\"}", status, ex ? (int)ex->path.n : 0,
                  ex ? ex->path.p : "");
}

static struct fl_http_callbacks callbacks = {
    .on_head = on_head,
    .on_request = on_request,
    .on_gone = on_gone,
    .on_drained = on_drained,
    .on_released = on_released,
};

static void begin(struct lb_loop *l)
{
    struct app *app = (struct app *)l;
    struct fl_http_server_config config = { .loop = &l->loop,
                                            .callbacks = &callbacks,
                                            .user = app,
                                            .limits = app->limits,
                                            .name = "test" };
    struct fl_err err;
    int fd;
    callbacks.render_error = app->renders ? render_error : NULL;
    if (app->unix_path)
        CHECK_OK(fl_listen_unix(app->unix_path, 0600, &fd, &err));
    else
        CHECK_OK(fl_listen_tcp("127.0.0.1", 0, &fd, &err));
    CHECK_OK(fl_http_server_new(&config, fd, &app->server, &err));
}

static void end(struct lb_loop *l)
{
    fl_http_server_free(&((struct app *)l)->server);
}

struct counts_call {
    struct app *app;
    struct fl_http_server_counts counts;
};

static void take_counts(void *arg)
{
    struct counts_call *call = arg;
    call->counts = fl_http_server_counts(call->app->server);
}

static struct fl_http_server_counts counts_of(struct app *app)
{
    struct counts_call call = { .app = app };
    lb_do(&app->l, take_counts, &call);
    return call.counts;
}

/* Short deadlines; a test that wants others sets them before `start`. */
static void prepare(struct app *app)
{
    memset(app, 0, sizeof *app);
    app->l.begin = begin;
    app->l.end = end;
    fl_list_init(&app->budget.reading);
    fl_list_init(&app->budget.whole);
    app->limits = fl_http_limits_default;
    app->limits.linger_ms = 200;
}

static uint16_t start(struct app *app)
{
    lb_start(&app->l);
    return fl_http_server_port(app->server);
}

static void finish(struct app *app)
{
    lb_stop(&app->l);
    CHECK_INT(app->heads, app->released); /* each exchange ends once */
}

#endif
