/* The room that bodies have whose senders nobody knows yet: who makes it for whom. */
#include "http_fixture.h"

static int send_from(uint16_t port, const char *path, const char *from, int size)
{
    struct fl_buf text = FL_BUF_INIT;
    int fd = cl_connect(port);
    fl_buf_printf(&text,
                  "POST %s HTTP/1.1\r\n" HOST CLOSE "X-From: %s\r\nContent-Length: %d\r\n\r\n",
                  path, from, size);
    for (int i = 0; i < size; i++)
        fl_buf_putc(&text, 'x');
    CHECK(!text.is_failed);
    cl_send(fd, text.p, text.n);
    fl_buf_fini(&text);
    return fd;
}

static void test_bodies_that_wait_to_be_known_closed_the_door(void)
{
    struct app app;
    prepare(&app);
    app.budget.max = 100000;
    app.budget.readers_max = 8;
    uint16_t port = start(&app);
    int waits[3];
    for (int i = 0; i < 3;
         i++) { /* nobody knows yet who they are; together they have all the room */
        waits[i] = send_from(port, "/hang", i == 2 ? "198.51.100.7" : "203.0.113.9", 49000);
        lb_await(&app.requests, i + 1);
    }
    int other = send_from(port, "/stranger", "192.0.2.1", 49000);
    struct cl_text t = cl_read_until(other, "\r\n\r\n", 1);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    t = cl_read_until(waits[0], "\r\n\r\n", 1); /* the first of the address that had most */
    CHECK_INT(cl_status(&t), 503);
    CHECK(cl_has(&t, "\r\nRetry-After: 5\r\n"));
    cl_free(&t);
    lb_await(&app.gone, 1);
    close(other);
    for (int i = 0; i < 3; i++)
        close(waits[i]);
    lb_await(&app.released, 4);
    finish(&app);
    CHECK_INT((int)app.budget.used, 0);
    CHECK(fl_list_is_empty(&app.budget.whole) && fl_list_is_empty(&app.budget.reading));
}

static const struct fl_test tests[] = { T(bodies_that_wait_to_be_known_closed_the_door) };

TEST_MAIN(tests)
