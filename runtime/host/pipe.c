/* Frames in memory between the loop and a thread. */
#include "runtime/host/pipe.h"

#include <pthread.h>

#include "flopinio/base/mem.h"

struct fl_pipe {
    pthread_mutex_t lock; /* of all but `loop`, `arrived` and `ctx` */
    pthread_cond_t wakes_thread;
    struct fl_buf to_thread, to_loop;
    bool is_thread_waiting;
    bool is_shut;   /* by the loop's side */
    bool is_closed; /* by the thread's side */
    bool is_posted; /* which holds a reference, too */
    unsigned refs;
    struct fl_loop *loop;
    struct fl_post post;
    void (*arrived)(void *ctx); /* NULL when the loop's side has left; loop thread only */
    void *ctx;
};

/* Under the lock, which it gives back. */
static void unlock_and_unref(struct fl_pipe *p)
{
    bool is_last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!is_last)
        return;
    fl_buf_fini(&p->to_thread);
    fl_buf_fini(&p->to_loop);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wakes_thread);
    fl_free(p);
}

static void on_post(struct fl_post *post)
{
    struct fl_pipe *p = FL_CONTAINER(post, struct fl_pipe, post);
    pthread_mutex_lock(&p->lock);
    p->is_posted = false;
    p->refs++; /* `arrived` may leave */
    pthread_mutex_unlock(&p->lock);
    if (p->arrived)
        p->arrived(p->ctx);
    pthread_mutex_lock(&p->lock);
    p->refs--;
    unlock_and_unref(p); /* the post's */
}

struct fl_pipe *fl_pipe_new(struct fl_loop *loop, void (*arrived)(void *ctx), void *ctx)
{
    struct fl_pipe *p = fl_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wakes_thread, NULL);
    p->refs = 2;
    p->loop = loop;
    p->post.run = on_post;
    p->arrived = arrived;
    p->ctx = ctx;
    return p;
}

/* Moves all of `from` behind what is in `to`; mostly `to` is empty, and they change places. */
static bool move(struct fl_buf *to, struct fl_buf *from)
{
    if (to->n == 0) {
        struct fl_buf empty = *to;
        *to = *from;
        *from = empty;
        fl_buf_reset(from);
        return true;
    }
    size_t n = to->n;
    fl_buf_put(to, from->p, from->n);
    if (to->is_failed) {
        fl_buf_cut(to, n);
        return false;
    }
    fl_buf_reset(from);
    return true;
}

/* ---- the loop's side ---- */
bool fl_pipe_send(struct fl_pipe *p, struct fl_buf *out)
{
    pthread_mutex_lock(&p->lock);
    bool is_moved = move(&p->to_thread, out);
    bool wakes = is_moved && p->is_thread_waiting;
    pthread_mutex_unlock(&p->lock);
    if (wakes)
        pthread_cond_signal(&p->wakes_thread);
    return is_moved;
}

bool fl_pipe_receive(struct fl_pipe *p, struct fl_buf *in, bool *ret_is_over)
{
    pthread_mutex_lock(&p->lock);
    bool is_moved = p->to_loop.n == 0 || move(in, &p->to_loop);
    *ret_is_over = is_moved && p->is_closed;
    pthread_mutex_unlock(&p->lock);
    return is_moved;
}

void fl_pipe_shut(struct fl_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_shut = true;
    pthread_cond_signal(&p->wakes_thread);
    pthread_mutex_unlock(&p->lock);
}

void fl_pipe_leave(struct fl_pipe **pipe)
{
    struct fl_pipe *p = *pipe;
    if (!p)
        return;
    *pipe = NULL;
    p->arrived = NULL;
    pthread_mutex_lock(&p->lock);
    p->is_shut = true;
    pthread_cond_signal(&p->wakes_thread);
    unlock_and_unref(p);
}

/* ---- the thread's side ---- */
enum fl_pipe_taken fl_pipe_take(struct fl_pipe *p, struct fl_buf *in, bool waits)
{
    enum fl_pipe_taken taken = FL_PIPE_NOTHING;
    pthread_mutex_lock(&p->lock);
    p->is_thread_waiting = true;
    while (waits && p->to_thread.n == 0 && !p->is_shut)
        pthread_cond_wait(&p->wakes_thread, &p->lock);
    p->is_thread_waiting = false;
    if (p->to_thread.n)
        taken = move(in, &p->to_thread) ? FL_PIPE_BYTES : FL_PIPE_CLOSED;
    else if (p->is_shut)
        taken = FL_PIPE_CLOSED;
    pthread_mutex_unlock(&p->lock);
    return taken;
}

/* Under the lock: behind fl_pipe_leave nothing reaches the loop, which may be gone. */
static void post(struct fl_pipe *p)
{
    if (p->is_posted || p->is_shut)
        return;
    p->is_posted = true;
    p->refs++;
    fl_loop_post_remote(p->loop, &p->post);
}

bool fl_pipe_give(struct fl_pipe *p, const struct iovec *parts, size_t count)
{
    pthread_mutex_lock(&p->lock);
    size_t before = p->to_loop.n;
    for (size_t i = 0; i < count && !p->is_shut; i++)
        fl_buf_put(&p->to_loop, parts[i].iov_base, parts[i].iov_len);
    bool is_given = !p->to_loop.is_failed;
    if (is_given)
        post(p);
    else
        fl_buf_cut(&p->to_loop, before);
    pthread_mutex_unlock(&p->lock);
    return is_given;
}

void fl_pipe_close(struct fl_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_closed = true;
    post(p);
    pthread_mutex_unlock(&p->lock);
}

void fl_pipe_end(struct fl_pipe **pipe)
{
    struct fl_pipe *p = *pipe;
    *pipe = NULL;
    pthread_mutex_lock(&p->lock);
    p->is_closed = true;
    unlock_and_unref(p);
}
