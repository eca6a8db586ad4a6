/* Requests from Slack: what Slack's documentation publishes about its signatures is believed, and
 * nothing near it. */
#include "chat_fixture.h"
#include "flopinio/base/clock.h"

/* "Verifying requests from Slack", its example: secret, time, body, signature. */
#define SECRET    "8f742231b10e8888abcd99yyyzzz85a5"
#define AT_S      1531420618LL
#define SIGNATURE "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
static const char body[] =
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id="
    "G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-"
    "collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
    "%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b67"
    "03c";

static void set_now(int64_t at_s)
{
    fl_clock_skew_set((struct fl_clock_skew){ 0 });
    fl_clock_skew_set((struct fl_clock_skew){ .real_ms = at_s * 1000 - fl_real_ms() });
}

static bool is_believed(const char *secrets, const char *at, const char *signature,
                        struct fl_str bytes)
{
    struct fl_http_header headers[] = {
        { FL_STR("x-slack-request-timestamp"), fl_str_of(at) },
        { FL_STR("x-slack-signature"), fl_str_of(signature) },
    };
    struct fl_http_exchange ex = { .headers = headers, .header_count = FL_COUNTOF(headers) };
    struct fl_err err;
    struct fl_channel ch = { .secret = fl_json_parse(fl_str_of(secrets), &err) };
    bool is_genuine = fl_slack_is_genuine(&ch, &ex, bytes);
    json_decref(ch.secret);
    return is_genuine;
}

#define ONE "{\"signing_secret\":\"" SECRET "\"}"
#define OLD "{\"signing_secret\":\"another_one_0123456789\",\"signing_secret_old\":\"" SECRET "\"}"

static void test_the_published_example_is_believed(void)
{
    set_now(AT_S + 5);
    CHECK(is_believed(ONE, "1531420618", SIGNATURE, fl_str_of(body)));
    CHECK(is_believed(OLD, "1531420618", SIGNATURE, fl_str_of(body)));
    set_now(AT_S + 300);
    CHECK(is_believed(ONE, "1531420618", SIGNATURE, fl_str_of(body)));
    set_now(AT_S - 299);
    CHECK(is_believed(ONE, "1531420618", SIGNATURE, fl_str_of(body)));
}

static void test_nothing_near_it_is(void)
{
    char signature[] = SIGNATURE, changed[sizeof body];
    set_now(AT_S + 302);
    CHECK(!is_believed(ONE, "1531420618", SIGNATURE, fl_str_of(body)));
    set_now(AT_S - 302);
    CHECK(!is_believed(ONE, "1531420618", SIGNATURE, fl_str_of(body)));
    set_now(AT_S + 5);
    for (size_t i = 0; i < sizeof signature - 1; i++) {
        signature[i] ^= 1;
        CHECK(!is_believed(ONE, "1531420618", signature, fl_str_of(body)));
        signature[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof body - 1; i++) {
        memcpy(changed, body, sizeof body);
        changed[i] ^= 1;
        CHECK(!is_believed(ONE, "1531420618", SIGNATURE, fl_str_of(changed)));
    }
    CHECK(!is_believed(ONE, "1531420618", SIGNATURE, (struct fl_str){ body, sizeof body - 2 }));
    static const char *const times[] = {
        "1531420619", "01531420618", " 1531420618", "1531420618 ", "1531420618.0", "+1531420618",
        "",           "1531420618\n"
    };
    for (size_t i = 0; i < FL_COUNTOF(times); i++)
        CHECK_MSG(!is_believed(ONE, times[i], SIGNATURE, fl_str_of(body)), "\"%s\"", times[i]);
    CHECK(!is_believed("{}", "1531420618", SIGNATURE, fl_str_of(body)));
    CHECK(!is_believed("{\"signing_secret\":\"\"}", "1531420618", SIGNATURE, fl_str_of(body)));
    CHECK(!is_believed(ONE, "1531420618", "", fl_str_of(body)));
    CHECK(!is_believed(ONE, "1531420618", "v0=", fl_str_of(body)));
}

static const struct fl_test tests[] = {
    T(the_published_example_is_believed),
    T(nothing_near_it_is),
};
TEST_MAIN(tests)
