/* Trusted proxies: whose address a request counts for. */
#include "harness.h"
#include "runtime/io/http_server.h"

static void test_the_client_behind_trusted_proxies_is_found(void)
{
    static const struct {
        const char *peer, *forwarded[3], *proto;
        const char *address; /* NULL: refused */
        bool is_forwarded, is_https;
    } cases[] = {
        { "192.0.2.1", { "9.9.9.9" }, "https", "192.0.2.1", false, false },
        { "10.0.0.1", { "9.9.9.9" }, "https", "9.9.9.9", true, true },
        { "10.0.0.1", { "8.8.8.8, 9.9.9.9" }, NULL, "9.9.9.9", true, false },
        { "10.0.0.1", { "8.8.8.8, 9.9.9.9, 10.1.1.1" }, "http", "9.9.9.9", true, false },
        { "10.0.0.1", { "8.8.8.8", "9.9.9.9", "10.1.1.1,10.2.2.2" }, NULL, "9.9.9.9", true, false },
        { "10.0.0.1", { "10.3.3.3, 10.1.1.1" }, NULL, "10.3.3.3", true, false },
        { "10.0.0.1", { "9.9.9.9:4711" }, NULL, "9.9.9.9", true, false },
        { "10.0.0.1", { "[2001:db8::0:1]:4711" }, NULL, "2001:db8::1", true, false },
        { "10.0.0.1", { "2001:DB8::1" }, NULL, "2001:db8::1", true, false },
        { "10.0.0.1", { "::ffff:9.9.9.9" }, NULL, "9.9.9.9", true, false },
        { "10.0.0.1", { "9.9.9.9, unknown, 10.1.1.1" }, NULL, "10.1.1.1", true, false },
        { "10.0.0.1", { "9.9.9.9, unknown" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "9.9.9.9 8.8.8.8" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "9.9.9.9:x" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "9.9.9.9:65536" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "[9.9.9.9]" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "[2001:db8::1" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "009.9.9.9" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { "" }, NULL, "10.0.0.1", false, false },
        { "10.0.0.1", { NULL }, NULL, NULL, false, false },
        { "10.0.0.1", { "9.9.9.9" }, "https, http", NULL, false, false },
        { "10.0.0.1",
          { "9.9.9.9,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,"
            "10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,"
            "10.0.0.1,10.0.0.2,10.0.0.1" },
          NULL,
          "10.0.0.1",
          true,
          false }, /* the 21st hop is not looked at */
        { "fd00::1", { "9.9.9.9" }, NULL, "9.9.9.9", true, false },
        { "unix", { "9.9.9.9" }, NULL, "9.9.9.9", true, false },
    };
    struct fl_cidr nets[2];
    struct fl_err err;
    CHECK_OK(fl_cidr_parse(FL_STR("10.0.0.0/8"), &nets[0], &err));
    CHECK_OK(fl_cidr_parse(FL_STR("fd00::/8"), &nets[1], &err));
    struct fl_http_proxies proxies = { nets, 2, true };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_http_header headers[4];
        struct fl_http_peer peer = { .is_unix = strcmp(cases[i].peer, "unix") == 0 };
        struct fl_http_exchange ex = { .headers = headers, .peer = &peer };
        struct fl_http_client client;
        snprintf(peer.address, sizeof peer.address, "%s", cases[i].peer);
        for (int k = 0; k < 3 && cases[i].forwarded[k]; k++)
            headers[ex.header_count++] =
                (struct fl_http_header){ FL_STR("x-forwarded-FOR"),
                                         fl_str_of(cases[i].forwarded[k]) };
        if (cases[i].proto)
            headers[ex.header_count++] =
                (struct fl_http_header){ FL_STR("X-Forwarded-Proto"), fl_str_of(cases[i].proto) };
        enum fl_code code = fl_http_client_address(&ex, &proxies, &client, &err);
        CHECK_INT(code, cases[i].address ? FL_OK : FL_BAD_REQUEST);
        if (!cases[i].address)
            continue;
        CHECK_MSG(strcmp(client.address, cases[i].address) == 0, "case %zu: %s, not %s", i,
                  client.address, cases[i].address);
        CHECK_INT(client.is_forwarded, cases[i].is_forwarded);
        CHECK_INT(client.is_https, cases[i].is_https);
    }
    struct fl_http_proxies nobody = { 0 };
    struct fl_http_peer peer = { .address = "unix", .is_unix = true };
    struct fl_http_header header = { FL_STR("X-Forwarded-For"), FL_STR("9.9.9.9") };
    struct fl_http_exchange ex = { .headers = &header, .header_count = 1, .peer = &peer };
    struct fl_http_client client;
    CHECK_OK(fl_http_client_address(&ex, &nobody, &client, &err));
    CHECK_STR(client.address, "unix");
}

static void test_networks_are_read_strictly(void)
{
    static const struct {
        const char *net, *in, *out;
    } good[] = {
        { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
        { "127.0.0.1", "127.0.0.1", "127.0.0.2" },
        { "192.168.4.0/22", "192.168.7.255", "192.168.8.0" },
        { "::1", "::1", "::2" },
        { "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
        { "0.0.0.0/0", "255.255.255.255", "::1" },
        { "::/0", "10.0.0.1", "unix" },
    };
    static const char *const bad[] = { "",          "10.0.0.0/33", "10.0.0.1/8",
                                       "10.0.0.0/", "10/8",        "::1/129",
                                       "a.example", "10.0.0.0/-1", "10.0.0.0/8/8",
                                       "::1/64",    "10.0.0.0/ 8" };
    struct fl_cidr cidr;
    struct fl_err err;
    for (size_t i = 0; i < FL_COUNTOF(good); i++) {
        CHECK_OK(fl_cidr_parse(fl_str_of(good[i].net), &cidr, &err));
        CHECK(fl_cidr_has(&cidr, good[i].in) && !fl_cidr_has(&cidr, good[i].out));
    }
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK_MSG(fl_cidr_parse(fl_str_of(bad[i]), &cidr, &err) == FL_CONFIG, "%s", bad[i]);
}

static const struct fl_test tests[] = {
    T(the_client_behind_trusted_proxies_is_found),
    T(networks_are_read_strictly),
};

TEST_MAIN(tests)
