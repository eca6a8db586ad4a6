/* How fast a place is written to, and for whom the next message is kept. */
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

static const struct fl_test tests[] = {
    T(the_most_urgent_is_not_passed_by_who_is_at_hand),
};

TEST_MAIN(tests)
