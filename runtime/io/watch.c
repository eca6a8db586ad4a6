/* Watched descriptors on uv_poll. */
#include "runtime/io/watch.h"

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct fl_watch *watch = poll->data;
    bool is_writing = watch->wants == FL_WATCH_READ_AND_WRITE;
    if (status < 0) { /* libuv has stopped it; but who reads piece by piece is not at the end yet */
        watch->wants = FL_WATCH_NOTHING;
        fl_watch_read(watch, is_writing);
    }
    watch->ready(watch, status < 0 || (events & UV_READABLE), (events & UV_WRITABLE) != 0);
}

bool fl_watch_open(struct fl_watch *watch, struct fl_loop *loop, int fd,
                   void (*ready)(struct fl_watch *watch, bool is_readable, bool is_writable))
{
    if (uv_poll_init(&loop->uv, &watch->poll, fd) != 0)
        return false;
    watch->poll.data = watch;
    watch->ready = ready;
    watch->is_open = true;
    watch->wants = FL_WATCH_NOTHING;
    fl_watch_read(watch, false);
    return true;
}

void fl_watch_read(struct fl_watch *watch, bool and_write)
{
    int wants = and_write ? FL_WATCH_READ_AND_WRITE : FL_WATCH_READ;
    if (!watch->is_open || (int)watch->wants == wants)
        return; /* each start costs two system calls */
    watch->wants = and_write ? FL_WATCH_READ_AND_WRITE : FL_WATCH_READ;
    /* The kernel is not asked here but in the poll. What fails here is that another watch stands
     * on the number: someone closed the descriptor too early. */
    FL_ASSERT(uv_poll_start(&watch->poll, UV_READABLE | (and_write ? UV_WRITABLE : 0), on_poll) ==
              0);
}

void fl_watch_pause(struct fl_watch *watch)
{
    if (!watch->is_open || watch->wants == FL_WATCH_NOTHING)
        return;
    watch->wants = FL_WATCH_NOTHING;
    uv_poll_stop(&watch->poll);
}

static void on_closed(uv_handle_t *handle)
{
    struct fl_watch *watch = handle->data;
    watch->closed(watch);
}

void fl_watch_close(struct fl_watch *watch, void (*closed)(struct fl_watch *watch))
{
    FL_ASSERT(watch->is_open);
    watch->is_open = false;
    watch->closed = closed;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
