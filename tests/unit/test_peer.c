/* Is the agent at the other end isolated from the runtime? In a network namespace of the test's
 * own, so that this machine has an address that is not loopback's. */
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/endpoint/endpoint_priv.h"

#define OTHER_USER 65534
#define OWN        "192.0.2.1" /* of this machine */
#define SECOND     "192.0.2.2" /* of this machine, too */
#define ELSEWHERE  "198.51.100.7"

static struct sockaddr_in at(const char *address, uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    CHECK_INT(inet_pton(AF_INET, address, &a.sin_addr), 1);
    return a;
}

static void add_address(const char *device, const char *address)
{
    struct ifreq r = { .ifr_flags = 0 };
    struct sockaddr_in a = at(address, 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", device);
    memcpy(&r.ifr_addr, &a, sizeof a);
    CHECK_INT(ioctl(fd, SIOCSIFADDR, &r), 0);
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    CHECK_INT(ioctl(fd, SIOCSIFFLAGS, &r), 0);
    close(fd);
}

static void enter_namespace(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
        fl_test_skip("a network namespace of one's own needs root");
    add_address("lo", "127.0.0.1");
    add_address("lo:1", OWN);
    add_address("lo:2", SECOND);
}

/* What the runtime says of an agent of user `uid` that connects from `from` to `to`. */
static bool is_isolated(uid_t uid, const char *from, const char *to)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = at("0.0.0.0", 0), peer;
    socklen_t n = sizeof here;
    CHECK_INT(bind(listener, (struct sockaddr *)&here, sizeof here), 0);
    CHECK_INT(listen(listener, 1), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&here, &n), 0);
    pid_t agent = fork();
    if (agent == 0) {
        struct sockaddr_in source = at(from, 0), target = at(to, ntohs(here.sin_port));
        if (setuid(uid) != 0)
            _exit(1);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0 &&
            connect(fd, (struct sockaddr *)&target, sizeof target) == 0)
            pause();
        _exit(1);
    }
    n = sizeof peer;
    int fd = accept(listener, (struct sockaddr *)&peer, &n);
    CHECK(fd >= 0);
    struct fl_endpoint *ep = fl_calloc(1, sizeof *ep);
    struct fl_http_peer about = { .port = ntohs(peer.sin_port), .uid = (uid_t)-1 };
    CHECK(inet_ntop(AF_INET, &peer.sin_addr, about.address, sizeof about.address));
    ep->config.ports[0] = ntohs(here.sin_port);
    const struct fl_http_exchange ex = { .peer = &about, .client = about.address };
    bool answer = fl_peer_is_isolated(ep, &ex);
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    close(fd);
    close(listener);
    fl_free(ep);
    return answer;
}

static void test_the_same_user_is_not_isolated(void)
{
    enter_namespace();
    CHECK(!is_isolated(geteuid(), "127.0.0.1", "127.0.0.1"));
    CHECK(!is_isolated(geteuid(), OWN, OWN));
}

static void test_another_user_of_this_machine_is_isolated(void)
{
    enter_namespace();
    CHECK(is_isolated(OTHER_USER, "127.0.0.1", "127.0.0.1"));
    CHECK(is_isolated(OTHER_USER, OWN, OWN));
}

/* An agent may choose its source address among those of the machine. */
static void test_another_address_of_this_machine_does_not_help(void)
{
    enter_namespace();
    CHECK(!is_isolated(geteuid(), SECOND, OWN));
    CHECK(!is_isolated(geteuid(), "127.0.0.1", OWN));
    CHECK(!is_isolated(geteuid(), OWN, "127.0.0.1"));
}

static void test_another_machine_is_isolated(void)
{
    struct fl_endpoint *ep = fl_calloc(1, sizeof *ep);
    struct fl_http_peer about = { .address = ELSEWHERE, .port = 4711, .uid = (uid_t)-1 };
    enter_namespace();
    const struct fl_http_exchange ex = { .peer = &about, .client = about.address };
    CHECK(fl_peer_is_isolated(ep, &ex));
    fl_free(ep);
}

/* The socket is the proxy's. An agent of our own user that goes through it must not pass for the
 * proxy's user. */
static void test_behind_a_proxy_the_client_counts(void)
{
    static const struct {
        const char *client;
        bool is_isolated;
    } cases[] = { { ELSEWHERE, true }, { OWN, false }, { "127.0.0.1", false }, { "junk", false } };
    struct fl_endpoint *ep = fl_calloc(1, sizeof *ep);
    enter_namespace();
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_http_peer about = { .address = "127.0.0.1", .port = 4711, .uid = OTHER_USER };
        const struct fl_http_exchange ex = { .peer = &about,
                                             .client = cases[i].client,
                                             .is_proxied = true };
        CHECK_MSG(fl_peer_is_isolated(ep, &ex) == cases[i].is_isolated, "%s", cases[i].client);
    }
    fl_free(ep);
}

static const struct fl_test tests[] = { T(the_same_user_is_not_isolated),
                                        T(another_user_of_this_machine_is_isolated),
                                        T(another_address_of_this_machine_does_not_help),
                                        T(another_machine_is_isolated),
                                        T(behind_a_proxy_the_client_counts) };
TEST_MAIN(tests)
