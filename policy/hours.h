/* Office hours: days of the week and a span of the day by the clock of a time zone. Answers whether
 * an instant lies in them, and walks through them minute by minute, so that a day whose clock is
 * changed is no special case: it is open while the clock on the wall says so. Pure; any thread. */
#ifndef FLOPINIO_POLICY_HOURS_H
#define FLOPINIO_POLICY_HOURS_H

#include "policy/zone.h"

#define FL_HOURS_DAY 1440 /* minutes */

struct fl_hours {
    unsigned days;              /* bit 0: Monday, to bit 6: Sunday */
    int from_minute;            /* 0 to 1439, of the day */
    int to_minute;              /* behind from_minute, at most FL_HOURS_DAY; not in them any more */
    const struct fl_zone *zone; /* borrowed */
};

/* "mon" to "sun"; -1: none of them. */
int fl_hours_day(struct fl_str text);
const char *fl_hours_day_text(int day);
/* "09:30" as a minute of the day, "24:00" as FL_HOURS_DAY; -1: no time. */
int fl_hours_minute(struct fl_str text);

bool fl_hours_is_open(const struct fl_hours *hours, int64_t at_utc_s);
/* How many minutes of the seven days from this instant on are open. */
int fl_hours_week(const struct fl_hours *hours, int64_t from_utc_s);
/* The beginning of the `nth` (from 0) whole open minute behind this instant; -1: there are not so
 * many in the 22 days to come, in which there are at least two weeks' worth of them. */
int64_t fl_hours_nth(const struct fl_hours *hours, int64_t from_utc_s, int nth);

#endif
