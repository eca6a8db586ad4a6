/* The descriptor that a listener keeps, to tell a peer that there are no more: lost to somebody
 * else in the moment in which it is given up, it is taken again when there is one. */
#include <sys/resource.h>

#include "http_fixture.h"
#include "runtime/io/http_priv.h"

static void take_reserve(void *arg)
{
    struct app *app = arg;
    atomic_store(&app->drained, app->server->reserve_fd); /* of no use else here */
}

static int reserve_of(struct app *app)
{
    lb_do(&app->l, take_reserve, app);
    return atomic_load(&app->drained);
}

static void connect_to(int fd, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0); /* the backlog takes it */
}

static void limit_descriptors(int to)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)to;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void test_a_reserve_that_was_lost_comes_back(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    int reserve = reserve_of(&app), top, peers[2];
    CHECK(reserve >= 0 && (fcntl(reserve, F_GETFD) & FD_CLOEXEC));
    for (int i = 0; i < 2; i++)
        peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    do /* so that the reserve's is the only number that gets free */
        top = dup(0);
    while (top < reserve || top < peers[1]);
    limit_descriptors(3); /* given up, it cannot be had again */
    connect_to(peers[0], port);
    for (int i = 0; i < 1000 * CLIENT_TIMEOUT_S && reserve_of(&app) >= 0; i++)
        usleep(1000);
    CHECK_INT(reserve_of(&app), -1);
    CHECK_INT(counts_of(&app).refused, 0);
    limit_descriptors(top + 1);
    connect_to(peers[1], port);
    for (int i = 0; i < 1000 * CLIENT_TIMEOUT_S && counts_of(&app).refused < 2; i++)
        usleep(1000);
    CHECK_INT(counts_of(&app).refused, 2); /* both hear of it */
    CHECK_INT(reserve_of(&app), reserve);
    finish(&app);
}

static const struct fl_test tests[] = { T(a_reserve_that_was_lost_comes_back) };

TEST_MAIN(tests)
