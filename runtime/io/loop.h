/* The one loop of a process: libuv, one timer wheel, and the end of the turn. Everything in
 * runtime/ runs on this thread unless its header says otherwise. */
#ifndef FLOPINIO_IO_LOOP_H
#define FLOPINIO_IO_LOOP_H

#include <uv.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/err.h"
#include "flopinio/base/list.h"
#include "flopinio/base/op.h"
#include "flopinio/base/wheel.h"

/* Runs once, soon, from the loop and never from inside the caller: how an operation that has its
 * result already completes. Embedded; may be posted again from its own callback. */
struct fl_post {
    struct fl_list link;
    void (*run)(struct fl_post *post);
};

struct fl_loop {
    uv_loop_t uv;
    struct fl_wheel wheel; /* by fl_mono_ms */
    uv_timer_t tick;       /* wakes the loop for the wheel */
    uv_prepare_t prepare;  /* end of the turn: posts, then turn ends */
    uv_check_t check;      /* after the poll: due timers */
    uv_idle_t idle;        /* active while something is posted: the poll does not block */
    uv_async_t async;      /* wakes the loop for `remote` */
    uv_mutex_t remote_lock;
    struct fl_list remote; /* posts from other threads, under remote_lock */
    struct fl_list posts;
    struct fl_list turn_ends;
    int64_t tick_at_ms; /* when `tick` is set to fire; -1 = not set */
};

enum fl_code fl_loop_init(struct fl_loop *loop, struct fl_err *err) FL_MUST_CHECK;
/* Runs until no handle is active or fl_loop_stop. */
void fl_loop_run(struct fl_loop *loop);
void fl_loop_stop(struct fl_loop *loop);
/* Closes the loop's own handles and runs what is left. Returns 0 when every handle of every user
 * had been closed (uv_loop_close's answer). */
int fl_loop_fini(struct fl_loop *loop);

/* Arms for delay_ms from now (0 = the next turn); re-arms if armed. */
void fl_loop_timer(struct fl_loop *loop, struct fl_timer *timer, int64_t delay_ms);
void fl_loop_timer_cancel(struct fl_loop *loop, struct fl_timer *timer);

/* An operation that completes with FL_OK after delay_ms; cancelling completes it with
 * FL_CANCELLED. */
struct fl_sleep {
    struct fl_timer timer;
    struct fl_post post;
    struct fl_loop *loop;
    struct fl_op *op;
};
enum fl_code fl_sleep_start(struct fl_op *op, struct fl_sleep *sleep, struct fl_loop *loop,
                            int64_t delay_ms) FL_MUST_CHECK;

/* Posts from the loop thread; harmless if already posted. */
void fl_loop_post(struct fl_loop *loop, struct fl_post *post);
void fl_loop_post_cancel(struct fl_loop *loop, struct fl_post *post);
/* Posts from any thread; `post` must not be posted already. */
void fl_loop_post_remote(struct fl_loop *loop, struct fl_post *post);

/* Runs once at the end of this turn, after all posts, before the loop sleeps: where what has
 * gathered during a turn leaves as one batch. */
void fl_loop_at_turn_end(struct fl_loop *loop, struct fl_post *post);

/* For objects whose own callback is still on the stack: freed after the turn, never inside. */
struct fl_retired {
    struct fl_post post;
    void (*release)(void *owner);
    void *owner;
};
/* Calls release(owner) after this loop turn. `retired` is embedded in the owner. */
void fl_loop_retire(struct fl_loop *loop, struct fl_retired *retired, void (*release)(void *owner),
                    void *owner);

/* ---- work on libuv's thread pool ---- */
struct fl_work {
    uv_work_t req;
    void (*work)(struct fl_work *work); /* on a pool thread; must not touch loop objects */
    void (*done)(struct fl_work *work); /* on the loop, exactly once */
};
/* Never fails (libuv queues without allocating). */
void fl_loop_work(struct fl_loop *loop, struct fl_work *work, void (*run)(struct fl_work *),
                  void (*done)(struct fl_work *));

#endif
