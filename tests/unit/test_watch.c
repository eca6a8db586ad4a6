/* Watched descriptors. */
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "runtime/io/watch.h"

struct reader {
    struct fl_watch watch;
    struct fl_loop *loop;
    int fd, bytes, ends;
};

static void on_closed(struct fl_watch *watch)
{
    close(FL_CONTAINER(watch, struct reader, watch)->fd);
}

/* A byte each time, and then the end, whatever it is. */
static void on_ready(struct fl_watch *watch, bool is_readable, bool is_writable)
{
    struct reader *r = FL_CONTAINER(watch, struct reader, watch);
    char byte;
    (void)is_writable;
    if (!is_readable)
        return;
    if (recv(r->fd, &byte, 1, 0) == 1) {
        r->bytes++;
        return;
    }
    r->ends++;
    fl_watch_close(watch, on_closed);
}

/* The peer left without reading all: what it said before is read, and the error behind it. */
static void read_until_reset(bool and_write)
{
    struct fl_loop loop;
    struct fl_err err;
    int pair[2];
    struct reader r = { .loop = &loop };
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK_OK(fl_loop_init(&loop, &err));
    r.fd = pair[0];
    CHECK(send(pair[0], "unread", 6, 0) == 6 && send(pair[1], "abc", 3, 0) == 3);
    close(pair[1]);
    CHECK(fl_watch_open(&r.watch, &loop, r.fd, on_ready));
    fl_watch_read(&r.watch, and_write);
    fl_loop_run(&loop); /* until the watch is closed */
    CHECK_INT(r.bytes, 3);
    CHECK_INT(r.ends, 1);
    CHECK_INT(fl_loop_fini(&loop), 0);
}

static void test_what_came_before_an_error_is_read_piece_by_piece(void)
{
    read_until_reset(false);
    read_until_reset(true);
}

static const struct fl_test tests[] = { T(what_came_before_an_error_is_read_piece_by_piece) };

TEST_MAIN(tests)
