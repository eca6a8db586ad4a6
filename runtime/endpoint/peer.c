/* Under which operating-system user does the other end of a connection run? For unix sockets the
 * front knows; for TCP on this machine the kernel's socket diagnosis does. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/endpoint/endpoint_priv.h"

bool fl_uid_is_isolated(uid_t uid)
{
    return uid != 0 && uid != geteuid();
}

struct question {
    struct nlmsghdr nlh;
    struct inet_diag_req_v2 req;
};

/* The socket of the peer itself: its source is the address that we see, its destination is ours. */
static bool ask(int fd, int family, const void *address, size_t n, uint16_t port,
                uint16_t local_port, uid_t *ret)
{
    struct question q = { .nlh = { .nlmsg_len = sizeof q,
                                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                                   .nlmsg_flags = NLM_F_REQUEST },
                          .req = { .sdiag_family = (uint8_t)family,
                                   .sdiag_protocol = IPPROTO_TCP,
                                   .idiag_states = 0xffffffff } };
    q.req.id.idiag_sport = htons(port);
    q.req.id.idiag_dport = htons(local_port);
    q.req.id.idiag_cookie[0] = q.req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    memcpy(q.req.id.idiag_src, address, n);
    memcpy(q.req.id.idiag_dst, address, n);
    _Alignas(struct nlmsghdr) char reply[4096];
    if (send(fd, &q, sizeof q, 0) != (ssize_t)sizeof q)
        return false;
    ssize_t got = recv(fd, reply, sizeof reply, 0);
    const struct nlmsghdr *h = (const struct nlmsghdr *)reply;
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) ||
        h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    *ret = ((const struct inet_diag_msg *)NLMSG_DATA(h))->idiag_uid;
    return true;
}

static bool uid_of_tcp(const struct fl_endpoint *ep, const struct fl_http_peer *peer, uid_t *ret)
{
    unsigned char address[16];
    int family = inet_pton(AF_INET, peer->address, address) == 1    ? AF_INET
                 : inet_pton(AF_INET6, peer->address, address) == 1 ? AF_INET6
                                                                    : 0;
    bool is_found = false;
    int fd = family ? socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG) : -1;
    for (size_t i = 0; fd >= 0 && !is_found && i < FL_COUNTOF(ep->config.ports); i++) {
        if (ep->config.ports[i])
            is_found = ask(fd, family, address, family == AF_INET ? 4 : 16, peer->port,
                           ep->config.ports[i], ret);
    }
    if (fd >= 0)
        close(fd);
    return is_found;
}

/* An address of this machine is one that can be bound here. Whatever else keeps it from being bound
 * proves nothing, and counts as this machine. */
static bool is_of_this_machine(const char *address)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
        return true;
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = is_v4 ? bind(fd, (struct sockaddr *)&v4, sizeof v4)
                   : bind(fd, (struct sockaddr *)&v6, sizeof v6);
    bool is_elsewhere = fd >= 0 && rc != 0 && errno == EADDRNOTAVAIL;
    if (fd >= 0)
        close(fd);
    return !is_elsewhere;
}

static bool find_out(const struct fl_endpoint *ep, const struct fl_http_peer *peer)
{
    uid_t uid;
    if (peer->is_unix)
        return fl_uid_is_isolated(peer->uid);
    if (!is_of_this_machine(peer->address))
        return true;
    /* Not found out is not isolated: the card then says more than it had to, never less. */
    return uid_of_tcp(ep, peer, &uid) && fl_uid_is_isolated(uid);
}

bool fl_peer_is_isolated(const struct fl_endpoint *ep, const struct fl_http_exchange *ex)
{
    enum { NOT_ASKED, ISOLATED, NOT_ISOLATED };
    struct fl_http_peer *peer = ex->peer;
    if (ex->is_proxied) /* the socket is the proxy's, and says nothing of who asks */
        return !is_of_this_machine(ex->client);
    if (peer->note == NOT_ASKED)
        peer->note = find_out(ep, peer) ? ISOLATED : NOT_ISOLATED;
    return peer->note == ISOLATED;
}
