/* The day of a digest: when it is due, and whom it goes to when the one before was interrupted. */
#include "harness.h"
#include "runtime/notify/mail_notice.h"

#define MINUTE INT64_C(60000)
#define DAY    (1440 * MINUTE)
#define AT     (20000 * DAY) /* 2024-10-04 */

static const struct fl_uuid third = { { 0, 3 } };

static void test_it_is_due_once_within_its_window(void)
{
    struct fl_mail_day d = { 0 };
    CHECK(!fl_mail_is_due(&d, -1, AT, ""));
    CHECK(!fl_mail_is_due(&d, 8 * 60, AT + 8 * 60 * MINUTE - 1, ""));
    CHECK(fl_mail_is_due(&d, 8 * 60, AT + 8 * 60 * MINUTE, ""));
    CHECK(strcmp(d.day, "2024-10-04") == 0 && d.at_ms == AT + 8 * 60 * MINUTE);
    CHECK(!fl_mail_is_due(&d, 8 * 60, AT + 9 * 60 * MINUTE, "2024-10-04"));
    CHECK(fl_mail_is_due(&d, 8 * 60, AT + 14 * 60 * MINUTE - 1, "2024-10-03"));
    CHECK(!fl_mail_is_due(&d, 8 * 60, AT + 14 * 60 * MINUTE, "2024-10-03"));
}

static void test_one_of_late_evening_is_sent_after_midnight_as_that_of_its_day(void)
{
    struct fl_mail_day d = { 0 };
    CHECK(fl_mail_is_due(&d, 23 * 60 + 30, AT + DAY + 5 * MINUTE, "2024-10-03"));
    CHECK(strcmp(d.day, "2024-10-04") == 0);
    d.done = third;
    CHECK(fl_mail_is_due(&d, 23 * 60 + 30, AT + DAY + 6 * MINUTE, "2024-10-03"));
    CHECK(fl_uuid_cmp(&d.done, &third) == 0); /* it goes on where it was */
}

/* The server was away until the window was over: the day after, the first of the people is first.
 */
static void test_an_interrupted_digest_takes_the_next_one_from_nobody(void)
{
    struct fl_mail_day d = { 0 };
    CHECK(fl_mail_is_due(&d, 8 * 60, AT + 8 * 60 * MINUTE, ""));
    d.done = third;
    CHECK(!fl_mail_is_due(&d, 8 * 60, AT + 15 * 60 * MINUTE, ""));
    CHECK(fl_uuid_cmp(&d.done, &third) == 0);
    CHECK(fl_mail_is_due(&d, 8 * 60, AT + DAY + 8 * 60 * MINUTE, ""));
    CHECK(fl_uuid_is_zero(&d.done) && strcmp(d.day, "2024-10-05") == 0);
}

static const struct fl_test tests[] = {
    T(it_is_due_once_within_its_window),
    T(one_of_late_evening_is_sent_after_midnight_as_that_of_its_day),
    T(an_interrupted_digest_takes_the_next_one_from_nobody),
};
TEST_MAIN(tests)
