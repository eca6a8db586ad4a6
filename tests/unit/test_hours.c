/* Office hours, and when canaries come in them: by the clock on the wall, also on the days on which
 * it is changed. */
#include "flopinio/base/clock.h"
#include "flopinio/base/zone.h"
#include "harness.h"
#include "runtime/approval/canary.h"

#define WORKDAYS 0x1f
#define SUNDAY   0x40

static struct fl_hours hours_of(struct fl_arena *arena, const char *zone, unsigned days, int from,
                                int to)
{
    struct fl_canary_row row = {
        .zone = fl_str_of(zone), .days = days, .from_minute = from, .to_minute = to
    };
    struct fl_hours hours;
    struct fl_err err;
    CHECK_INT(fl_canary_hours(arena, &row, &hours, &err), FL_OK);
    return hours;
}

static int64_t at(const char *time)
{
    int64_t ms = 0;
    CHECK(fl_time_parse(fl_str_of(time), &ms));
    return ms / 1000;
}

static void test_times_and_days_are_read(void)
{
    CHECK_INT(fl_hours_minute(FL_STR("00:00")), 0);
    CHECK_INT(fl_hours_minute(FL_STR("09:30")), 570);
    CHECK_INT(fl_hours_minute(FL_STR("24:00")), 1440);
    CHECK_INT(fl_hours_minute(FL_STR("24:01")), -1);
    CHECK_INT(fl_hours_minute(FL_STR("09:60")), -1);
    CHECK_INT(fl_hours_minute(FL_STR("9:30")), -1);
    CHECK_INT(fl_hours_minute((struct fl_str){ NULL, 0 }), -1);
    CHECK_INT(fl_hours_day(FL_STR("mon")), 0);
    CHECK_INT(fl_hours_day(FL_STR("sun")), 6);
    CHECK_INT(fl_hours_day(FL_STR("Sun")), -1);
    for (int day = 0; day < 7; day++)
        CHECK_INT(fl_hours_day(fl_str_of(fl_hours_day_text(day))), day);
}

static void test_they_open_and_close_by_the_clock_on_the_wall(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_hours h = hours_of(arena, "Europe/Berlin", WORKDAYS, 540, 1020);
    /* A Friday in winter, UTC+1; the Monday behind the change of the clock is UTC+2. */
    CHECK(!fl_hours_is_open(&h, at("2026-03-27T07:59:59Z")));
    CHECK(fl_hours_is_open(&h, at("2026-03-27T08:00:00Z")));
    CHECK(fl_hours_is_open(&h, at("2026-03-27T15:59:59Z")));
    CHECK(!fl_hours_is_open(&h, at("2026-03-27T16:00:00Z")));
    CHECK(!fl_hours_is_open(&h, at("2026-03-28T10:00:00Z"))); /* Saturday */
    CHECK(!fl_hours_is_open(&h, at("2026-03-30T06:59:59Z")));
    CHECK(fl_hours_is_open(&h, at("2026-03-30T07:00:00Z")));
    CHECK(!fl_hours_is_open(&h, at("2026-03-30T15:00:00Z")));
    CHECK_INT(fl_hours_nth(&h, at("2026-03-27T15:58:30Z"), 0), at("2026-03-27T15:59:00Z"));
    CHECK_INT(fl_hours_nth(&h, at("2026-03-27T15:58:30Z"), 1), at("2026-03-30T07:00:00Z"));
    CHECK_INT(fl_hours_nth(&h, at("2026-10-23T15:00:00Z"), 0), at("2026-10-26T08:00:00Z"));
    CHECK_INT(fl_hours_week(&h, at("2026-03-25T00:00:00Z")), 5 * 480);
    /* West of Greenwich, and half an hour: the day of the week is the one that is there. */
    struct fl_hours west = hours_of(arena, "America/Los_Angeles", SUNDAY, 1380, 1440);
    CHECK(fl_hours_is_open(&west, at("2026-11-23T07:30:00Z"))); /* a Monday in Greenwich */
    CHECK(!fl_hours_is_open(&west, at("2026-11-23T08:00:00Z")));
    struct fl_hours half = hours_of(arena, "Asia/Kolkata", WORKDAYS, 540, 1020);
    CHECK(!fl_hours_is_open(&half, at("2026-11-23T03:29:59Z")));
    CHECK(fl_hours_is_open(&half, at("2026-11-23T03:30:00Z")));
    fl_arena_free(&arena);
}

static void test_a_day_whose_clock_changes_is_as_long_as_it_is(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_hours h = hours_of(arena, "Europe/Berlin", SUNDAY, 90, 210); /* 01:30 to 03:30 */
    CHECK_INT(fl_hours_week(&h, at("2026-03-22T12:00:00Z")), 60); /* 02:00 to 03:00 is not there */
    CHECK_INT(fl_hours_week(&h, at("2026-03-29T12:00:00Z")), 120);
    CHECK_INT(fl_hours_week(&h, at("2026-10-24T12:00:00Z")), 180); /* 02:00 to 03:00 comes twice */
    CHECK_INT(fl_hours_nth(&h, at("2026-03-28T12:00:00Z"), 30), at("2026-03-29T01:00:00Z"));
    CHECK_INT(fl_hours_nth(&h, at("2026-10-24T12:00:00Z"), 90), at("2026-10-25T01:00:00Z"));
    struct fl_hours gap = hours_of(arena, "Europe/Berlin", SUNDAY, 125, 170);
    CHECK_INT(fl_hours_week(&gap, at("2026-03-22T12:00:00Z")), 0);
    CHECK_INT(fl_hours_nth(&gap, at("2026-03-28T12:00:00Z"), 0), at("2026-04-05T00:05:00Z"));
    fl_arena_free(&arena);
}

static void test_what_is_drawn_lies_in_them_and_anywhere(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_hours h = hours_of(arena, "Europe/Berlin", WORKDAYS, 540, 1020);
    int64_t now_us = at("2026-03-26T10:00:00Z") * 1000000, end_us = now_us;
    int days[14] = { 0 };
    fl_random_seed(7);
    for (int i = 0; i < 400; i++) {
        int64_t us = fl_canary_draw(&h, 1, now_us);
        CHECK(us > now_us);
        CHECK(fl_hours_is_open(&h, us / 1000000));
        int64_t day = (us / 1000000 - at("2026-03-26T00:00:00Z")) / 86400;
        CHECK(day >= 0 && day <= 14);
        days[day < 14 ? day : 13]++;
        end_us = us > end_us ? us : end_us;
    }
    for (int day = 0; day < 14;
         day++) /* from Thursday on: the weekends are empty, no other day is */
        CHECK((days[day] == 0) == (day % 7 == 2 || day % 7 == 3));
    /* Twenty a week: in a tenth of that time. */
    for (int i = 0; i < 100; i++)
        CHECK(fl_canary_draw(&h, 20, now_us) < at("2026-03-27T09:01:00Z") * 1000000);
    fl_random_seed(0);
    fl_arena_free(&arena);
}

static void test_hours_that_never_come_draw_nothing(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_canary_row row = { .zone = FL_STR("Europe/Nowhere"), .days = 1, .to_minute = 60 };
    struct fl_hours hours;
    struct fl_err err;
    CHECK_INT(fl_canary_hours(arena, &row, &hours, &err), FL_BAD_PARAMS);
    row.zone = FL_STR("../zoneinfo/UTC");
    CHECK_INT(fl_canary_hours(arena, &row, &hours, &err), FL_BAD_PARAMS);
    struct fl_hours none = hours_of(arena, "UTC", 0, 0, 60);
    CHECK_INT(fl_canary_draw(&none, 1, at("2026-03-26T10:00:00Z") * 1000000), -1);
    fl_arena_free(&arena);
}

static const struct fl_test tests[] = {
    T(times_and_days_are_read),
    T(they_open_and_close_by_the_clock_on_the_wall),
    T(a_day_whose_clock_changes_is_as_long_as_it_is),
    T(what_is_drawn_lies_in_them_and_anywhere),
    T(hours_that_never_come_draw_nothing),
};

TEST_MAIN(tests)
