/* The loop: libuv underneath, our wheel for timers, posts and turn ends in the prepare phase. */
#include "runtime/io/loop.h"

#include <signal.h>
#include <string.h>

static void arm_tick(struct fl_loop *loop);

static void run_list(struct fl_list *list)
{
    struct fl_list now;
    fl_list_init(&now);
    fl_list_splice(&now, list);
    while (!fl_list_is_empty(&now)) {
        struct fl_post *post = FL_CONTAINER(now.next, struct fl_post, link);
        fl_list_remove(&post->link);
        post->run(post);
    }
}

static void on_idle(uv_idle_t *idle)
{
    FL_UNUSED(idle);
}

static void on_tick(uv_timer_t *timer)
{
    struct fl_loop *loop = timer->data;
    loop->tick_at_ms = -1;
    /* What is due fires in the prepare phase; were this the last active handle, and the turn
     * about to end, no further turn would come. */
    uv_idle_start(&loop->idle, on_idle);
}

/* After every poll: due timers. (uv_timer callbacks run before the poll; the check phase sees the
 * time after it.) */
static void on_check(uv_check_t *check)
{
    struct fl_loop *loop = check->data;
    fl_wheel_advance(&loop->wheel, fl_mono_ms());
}

static void on_async(uv_async_t *async)
{
    struct fl_loop *loop = async->data;
    struct fl_list posts;
    fl_list_init(&posts);
    uv_mutex_lock(&loop->remote_lock);
    fl_list_splice(&posts, &loop->remote);
    uv_mutex_unlock(&loop->remote_lock);
    fl_list_splice(&loop->posts, &posts);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct fl_loop *loop = prepare->data;
    fl_wheel_advance(&loop->wheel, fl_mono_ms());
    run_list(&loop->posts);
    run_list(&loop->turn_ends);
    run_list(&loop->turn_ends); /* what the first ones handed on, as rows to the database */
    if (!fl_list_is_empty(&loop->posts) || !fl_list_is_empty(&loop->turn_ends))
        uv_idle_start(&loop->idle, on_idle);
    else
        uv_idle_stop(&loop->idle);
    arm_tick(loop);
}

/* libuv computes its poll timeout after the prepare phase, from the earliest uv_timer. */
static void arm_tick(struct fl_loop *loop)
{
    int64_t at = fl_wheel_next_ms(&loop->wheel);
    if (at == loop->tick_at_ms)
        return;
    loop->tick_at_ms = at;
    if (at < 0) {
        uv_timer_stop(&loop->tick);
        return;
    }
    int64_t delay = at - fl_mono_ms();
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->tick, on_tick, delay > 0 ? (uint64_t)delay : 0, 0);
}

enum fl_code fl_loop_init(struct fl_loop *loop, struct fl_err *err)
{
    memset(loop, 0, sizeof *loop);
    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2): a peer that went is an error there */
    int rc = uv_loop_init(&loop->uv);
    if (rc)
        return fl_err_set(err, FL_IO, "could not create the event loop: %s", uv_strerror(rc));
    if ((rc = uv_async_init(&loop->uv, &loop->async, on_async)) != 0) {
        uv_loop_close(&loop->uv);
        return fl_err_set(err, FL_IO, "could not create the event loop: %s", uv_strerror(rc));
    }
    FL_ASSERT(uv_mutex_init(&loop->remote_lock) == 0);
    uv_timer_init(&loop->uv, &loop->tick);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    loop->tick.data = loop->prepare.data = loop->check.data = loop->idle.data = loop;
    loop->async.data = loop;
    fl_wheel_init(&loop->wheel, fl_mono_ms());
    fl_list_init(&loop->posts);
    fl_list_init(&loop->turn_ends);
    fl_list_init(&loop->remote);
    loop->tick_at_ms = -1;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    /* The loop's own handles do not keep it alive; users' handles do. */
    uv_unref((uv_handle_t *)&loop->async);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    return FL_OK;
}

void fl_loop_run(struct fl_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void fl_loop_stop(struct fl_loop *loop)
{
    uv_stop(&loop->uv);
}

int fl_loop_fini(struct fl_loop *loop)
{
    uv_handle_t *own[] = { (uv_handle_t *)&loop->tick, (uv_handle_t *)&loop->prepare,
                           (uv_handle_t *)&loop->check, (uv_handle_t *)&loop->idle,
                           (uv_handle_t *)&loop->async };
    while (!fl_list_is_empty(&loop->posts) || !fl_list_is_empty(&loop->turn_ends)) {
        run_list(&loop->posts);
        run_list(&loop->turn_ends);
    }
    for (size_t i = 0; i < FL_COUNTOF(own); i++)
        uv_close(own[i], NULL);
    for (int i = 0; i < 100 && uv_run(&loop->uv, UV_RUN_NOWAIT); i++) {
        run_list(&loop->posts);
        run_list(&loop->turn_ends);
    }
    uv_mutex_destroy(&loop->remote_lock);
    return uv_loop_close(&loop->uv);
}

void fl_loop_timer(struct fl_loop *loop, struct fl_timer *timer, int64_t delay_ms)
{
    fl_timer_set(&loop->wheel, timer, fl_mono_ms() + delay_ms);
    /* The tick is armed in the prepare phase. Without any active handle there would be no turn to
     * reach it, and the loop would end before the timer fires. */
    if (loop->tick_at_ms < 0)
        uv_idle_start(&loop->idle, on_idle);
}

void fl_loop_timer_cancel(struct fl_loop *loop, struct fl_timer *timer)
{
    fl_timer_cancel(&loop->wheel, timer);
}

static void on_slept(struct fl_timer *timer)
{
    fl_op_finish(FL_CONTAINER(timer, struct fl_sleep, timer)->op, FL_OK);
}

static void on_sleep_cancelled(struct fl_post *post)
{
    fl_op_finish(FL_CONTAINER(post, struct fl_sleep, post)->op, FL_CANCELLED);
}

static void cancel_sleep(struct fl_op *op)
{
    struct fl_sleep *sleep = op->provider;
    fl_loop_timer_cancel(sleep->loop, &sleep->timer);
    fl_loop_post(sleep->loop, &sleep->post);
}

enum fl_code fl_sleep_start(struct fl_op *op, struct fl_sleep *sleep, struct fl_loop *loop,
                            int64_t delay_ms)
{
    fl_timer_init(&sleep->timer, on_slept);
    sleep->post = (struct fl_post){ .run = on_sleep_cancelled };
    sleep->loop = loop;
    sleep->op = op;
    fl_op_start(op, cancel_sleep, sleep);
    fl_loop_timer(loop, &sleep->timer, delay_ms);
    return FL_OK;
}

void fl_loop_post(struct fl_loop *loop, struct fl_post *post)
{
    if (fl_list_is_linked(&post->link))
        return;
    fl_list_push_back(&loop->posts, &post->link);
    uv_idle_start(&loop->idle, on_idle);
}

void fl_loop_post_cancel(struct fl_loop *loop, struct fl_post *post)
{
    FL_UNUSED(loop);
    fl_list_remove(&post->link);
}

void fl_loop_post_remote(struct fl_loop *loop, struct fl_post *post)
{
    uv_mutex_lock(&loop->remote_lock);
    fl_list_push_back(&loop->remote, &post->link);
    uv_mutex_unlock(&loop->remote_lock);
    uv_async_send(&loop->async);
}

void fl_loop_at_turn_end(struct fl_loop *loop, struct fl_post *post)
{
    if (fl_list_is_linked(&post->link))
        return;
    fl_list_push_back(&loop->turn_ends, &post->link);
    uv_idle_start(&loop->idle, on_idle);
}

static void run_retired(struct fl_post *post)
{
    struct fl_retired *retired = FL_CONTAINER(post, struct fl_retired, post);
    retired->release(retired->owner);
}

void fl_loop_retire(struct fl_loop *loop, struct fl_retired *retired, void (*release)(void *owner),
                    void *owner)
{
    FL_ASSERT(!retired->release); /* retired once only */
    retired->release = release;
    retired->owner = owner;
    retired->post.run = run_retired;
    fl_loop_at_turn_end(loop, &retired->post);
}

static void on_work(uv_work_t *req)
{
    struct fl_work *work = FL_CONTAINER(req, struct fl_work, req);
    work->work(work);
}

static void on_work_done(uv_work_t *req, int status)
{
    struct fl_work *work = FL_CONTAINER(req, struct fl_work, req);
    FL_UNUSED(status); /* never cancelled */
    work->done(work);
}

void fl_loop_work(struct fl_loop *loop, struct fl_work *work, void (*run)(struct fl_work *),
                  void (*done)(struct fl_work *))
{
    work->work = run;
    work->done = done;
    FL_ASSERT(uv_queue_work(&loop->uv, &work->req, on_work, on_work_done) == 0);
}
