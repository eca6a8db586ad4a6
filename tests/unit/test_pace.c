/* How fast a place is written to, and for whom the next message is kept; rests of a channel. */
#include "runtime/notify/pace.h"

#include "harness.h"

static void test_the_most_urgent_is_not_passed_by_who_is_at_hand(void)
{
    struct fl_pace pace = { 0 };
    struct fl_str room = FL_STR("C1");
    uint64_t urgent = 101, other = 102, gone = 103;
    int64_t now = 5000;
    for (uint64_t who = 1; who <= 8; who++) /* a burst */
        CHECK_INT(fl_pace_take(&pace, room, who, now), 0);
    CHECK_INT(fl_pace_take(&pace, room, urgent, now), 1001);
    CHECK(fl_pace_take(&pace, room, other, now + 400) > 0);
    CHECK_INT(fl_pace_take(&pace, FL_STR("C2"), other, now), 0); /* another place's is its own */
    now += 1010;
    CHECK(fl_pace_take(&pace, room, other, now) > 0); /* it could be had, and is kept */
    CHECK_INT(fl_pace_take(&pace, room, urgent, now), 0);
    /* Who it is kept for and does not come keeps nobody for long. */
    CHECK(fl_pace_take(&pace, room, gone, now) > 900);
    CHECK(fl_pace_take(&pace, room, other, now + 1400) > 0);
    now += 1510;
    CHECK_INT(fl_pace_take(&pace, room, other, now), 0);
    /* A digest goes before all of them, and who is next stays it. */
    CHECK(fl_pace_take(&pace, room, urgent, now) > 0);
    now += 600;
    CHECK_INT(fl_pace_take(&pace, room, 0, now), 0);
    now += 300;
    CHECK(fl_pace_take(&pace, room, urgent, now) > 0); /* kept for them anew */
    CHECK(fl_pace_take(&pace, room, other, now + 500) > 0);
    now += 700;
    CHECK(fl_pace_take(&pace, room, other, now) > 0);
    CHECK_INT(fl_pace_take(&pace, room, urgent, now), 0);
    CHECK(fl_pace_take(&pace, room, 0, now) > 0); /* and for a digest */
    now += 1010;
    CHECK(fl_pace_take(&pace, room, other, now) > 0);
    CHECK_INT(fl_pace_take(&pace, room, 0, now), 0);
}

static void test_what_was_not_written_is_given_back(void)
{
    struct fl_pace pace = { 0 };
    struct fl_str room = FL_STR("C1");
    uint64_t sought = 101, other = 102;
    int64_t now = 5000;
    fl_pace_give_back(&pace, room); /* nothing was taken there */
    for (uint64_t who = 1; who <= 7; who++)
        CHECK_INT(fl_pace_take(&pace, room, who, now), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(fl_pace_take(&pace, room, sought, now), 0);
        fl_pace_give_back(&pace, room);
    }
    CHECK_INT(fl_pace_take(&pace, room, other, now), 0);
    CHECK_INT(fl_pace_take(&pace, room, other, now), 1001);
    /* It is kept for nobody who did not write: the next one is anybody's. */
    now += 1010;
    CHECK_INT(fl_pace_take(&pace, room, other, now), 0);
    fl_pace_give_back(&pace, room);
    CHECK_INT(fl_pace_take(&pace, room, sought, now), 0);
    /* No more than a burst comes of it. */
    now += 60000;
    for (int i = 0; i < 3; i++)
        fl_pace_give_back(&pace, room);
    for (uint64_t who = 1; who <= 8; who++)
        CHECK_INT(fl_pace_take(&pace, room, who, now), 0);
    CHECK(fl_pace_take(&pace, room, other, now) > 0);
}

static void test_a_chat_that_was_away_is_found_to_be_back_soon(void)
{
    static const enum fl_code away[] = { FL_UNAVAILABLE, FL_TIMEOUT, FL_AMBIGUOUS };
    static const int64_t rests[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
    for (size_t i = 0; i < FL_COUNTOF(away); i++) {
        for (int n = 0; n < (int)FL_COUNTOF(rests); n++)
            CHECK_INT(fl_pace_rest_ms(away[i], n + 1, false), rests[n]);
        CHECK_INT(fl_pace_rest_ms(away[i], 1000000, false), 30000);
    }
    /* Where it refuses, asking more often does not help. */
    CHECK_INT(fl_pace_rest_ms(FL_BAD_PARAMS, 1, false), 1000);
    CHECK_INT(fl_pace_rest_ms(FL_BAD_PARAMS, 9, false), 256000);
    CHECK_INT(fl_pace_rest_ms(FL_BAD_PARAMS, 10, false), 300000);
    CHECK_INT(fl_pace_rest_ms(FL_UNAUTHENTICATED, 1, false), 300000);
    /* A mail may have left each time. */
    CHECK_INT(fl_pace_rest_ms(FL_AMBIGUOUS, 6, true), 32000);
    CHECK_INT(fl_pace_rest_ms(FL_UNAVAILABLE, 12, true), 300000);
}

static const struct fl_test tests[] = {
    T(the_most_urgent_is_not_passed_by_who_is_at_hand),
    T(what_was_not_written_is_given_back),
    T(a_chat_that_was_away_is_found_to_be_back_soon),
};

TEST_MAIN(tests)
