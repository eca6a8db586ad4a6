/* Networks and the client's address behind trusted proxies. Any thread. */
#include <arpa/inet.h>

#include "runtime/io/http_server.h"

enum { HOPS_MAX = 20 };

static bool parse_address(struct fl_str text, uint8_t out[16])
{
    char buf[FL_ADDRESS_TEXT];
    struct in_addr v4;
    if (!text.p || text.n == 0 || text.n >= sizeof buf || memchr(text.p, 0, text.n))
        return false;
    memcpy(buf, text.p, text.n);
    buf[text.n] = 0;
    if (inet_pton(AF_INET, buf, &v4) == 1) {
        memset(out, 0, 10);
        memset(out + 10, 0xff, 2);
        memcpy(out + 12, &v4, 4);
        return true;
    }
    return inet_pton(AF_INET6, buf, out) == 1;
}

static bool is_v4(const uint8_t address[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    return memcmp(address, mapped, 12) == 0;
}

static void format_address(const uint8_t address[16], char out[FL_ADDRESS_TEXT])
{
    if (is_v4(address))
        inet_ntop(AF_INET, address + 12, out, FL_ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, address, out, FL_ADDRESS_TEXT);
}

static bool is_in(const uint8_t address[16], const struct fl_cidr *cidr)
{
    size_t whole = cidr->bits / 8, rest = cidr->bits % 8;
    if (memcmp(address, cidr->net, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ cidr->net[whole]) >> (8 - rest)) == 0;
}

enum fl_code fl_cidr_parse(struct fl_str text, struct fl_cidr *ret, struct fl_err *err)
{
    size_t slash = 0;
    struct fl_cidr cidr = { .bits = 128 };
    while (slash < text.n && text.p[slash] != '/')
        slash++;
    if (!parse_address((struct fl_str){ text.p, slash }, cidr.net))
        return fl_err_set(err, FL_CONFIG, "\"%.*s\" is not a network", FL_STR_ARG(text));
    if (slash < text.n) {
        unsigned long long bits;
        unsigned most = is_v4(cidr.net) ? 32 : 128;
        if (!fl_str_to_u64((struct fl_str){ text.p + slash + 1, text.n - slash - 1 }, &bits) ||
            bits > most)
            return fl_err_set(err, FL_CONFIG, "the prefix length of \"%.*s\" is not 0 to %u",
                              FL_STR_ARG(text), most);
        cidr.bits = (uint8_t)(bits + 128 - most);
    }
    for (unsigned bit = cidr.bits; bit < 128; bit++) {
        if (cidr.net[bit / 8] >> (7 - bit % 8) & 1)
            return fl_err_set(err, FL_CONFIG, "\"%.*s\" has bits set behind its prefix",
                              FL_STR_ARG(text));
    }
    *ret = cidr;
    return FL_OK;
}

bool fl_cidr_has(const struct fl_cidr *cidr, const char *address)
{
    uint8_t bytes[16];
    return parse_address(fl_str_of(address), bytes) && is_in(bytes, cidr);
}

static bool is_trusted(const uint8_t address[16], const struct fl_http_proxies *proxies)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (is_in(address, &proxies->nets[i]))
            return true;
    }
    return false;
}

/* "203.0.113.9", "203.0.113.9:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711". */
static bool parse_hop(struct fl_str hop, uint8_t out[16])
{
    struct fl_str address = hop, port = { 0 };
    if (hop.n && hop.p[0] == '[') {
        const char *end = memchr(hop.p, ']', hop.n);
        if (!end)
            return false;
        address = (struct fl_str){ hop.p + 1, (size_t)(end - hop.p) - 1 };
        port = (struct fl_str){ end + 1, hop.n - address.n - 2 };
        if (!memchr(address.p, ':', address.n))
            return false;
    } else {
        const char *colon = memchr(hop.p ? hop.p : "", ':', hop.n);
        size_t before = colon ? (size_t)(colon - hop.p) : hop.n;
        if (colon && !memchr(colon + 1, ':', hop.n - before - 1)) { /* one colon: a port */
            address.n = before;
            port = (struct fl_str){ colon, hop.n - before };
        }
    }
    unsigned long long number;
    if (port.n &&
        (port.p[0] != ':' || port.n > 6 ||
         !fl_str_to_u64((struct fl_str){ port.p + 1, port.n - 1 }, &number) || number > 65535))
        return false;
    return parse_address(address, out);
}

/* The hop at the right end of `list`, which is cut behind it. */
static struct fl_str last_hop(struct fl_str *list)
{
    size_t from = list->n;
    while (from && list->p[from - 1] != ',')
        from--;
    struct fl_str hop = fl_str_trim((struct fl_str){ list->p + from, list->n - from });
    list->n = from ? from - 1 : 0;
    return hop;
}

/* Walks the instances of X-Forwarded-For from the last to the first, each from right to left. */
static void walk_hops(const struct fl_http_exchange *ex, const struct fl_http_proxies *proxies,
                      struct fl_http_client *client)
{
    unsigned hops = 0;
    for (size_t i = ex->header_count; i-- > 0;) {
        struct fl_str list = ex->headers[i].value;
        if (!fl_str_eq_nocase(ex->headers[i].name, FL_STR("X-Forwarded-For")))
            continue;
        do {
            uint8_t address[16];
            if (hops++ == HOPS_MAX || !parse_hop(last_hop(&list), address))
                return;
            format_address(address, client->address);
            client->is_forwarded = true;
            if (!is_trusted(address, proxies))
                return;
        } while (list.n);
    }
}

enum fl_code fl_http_client_address(const struct fl_http_exchange *ex,
                                    const struct fl_http_proxies *proxies,
                                    struct fl_http_client *ret, struct fl_err *err)
{
    struct fl_http_client client = { .is_https = ex->is_tls };
    uint8_t peer[16];
    memcpy(client.address, ex->peer->address, sizeof client.address);
    bool is_proxy = ex->peer->is_unix ? proxies->trusts_unix
                                      : parse_address(fl_str_of(ex->peer->address), peer) &&
                                            is_trusted(peer, proxies);
    client.is_proxied = is_proxy;
    if (is_proxy) {
        struct fl_str proto = fl_http_header_get(ex, "X-Forwarded-Proto");
        walk_hops(ex, proxies, &client);
        if (fl_http_header_count(ex, "X-Forwarded-For") == 0)
            return fl_err_set(err, FL_BAD_REQUEST, "the proxy %s names no client",
                              ex->peer->address);
        if (fl_http_header_count(ex, "X-Forwarded-Proto") > 1 ||
            (proto.n && memchr(proto.p, ',', proto.n)))
            return fl_err_set(err, FL_BAD_REQUEST, "the proxy %s names more than one protocol",
                              ex->peer->address);
        if (proto.p)
            client.is_https = fl_str_eq_nocase(proto, FL_STR("https"));
    }
    *ret = client;
    return FL_OK;
}
