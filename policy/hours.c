/* Office hours. */
#include "policy/hours.h"

#include <string.h>

enum { MINUTE_S = 60, BLOCK_S = 6 * 3600, DAY_S = 86400, HORIZON_MINUTES = 22 * FL_HOURS_DAY };

static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

int fl_hours_day(struct fl_str text)
{
    for (int i = 0; i < (int)FL_COUNTOF(days); i++) {
        if (fl_str_is(text, days[i]))
            return i;
    }
    return -1;
}

const char *fl_hours_day_text(int day)
{
    FL_ASSERT(day >= 0 && day < (int)FL_COUNTOF(days));
    return days[day];
}

int fl_hours_minute(struct fl_str s)
{
    if (s.n != 5 || s.p[2] != ':')
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (i != 2 && !(s.p[i] >= '0' && s.p[i] <= '9'))
            return -1;
    }
    int hours = (s.p[0] - '0') * 10 + s.p[1] - '0', minutes = (s.p[3] - '0') * 10 + s.p[4] - '0';
    bool is_time = minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0));
    return is_time ? hours * 60 + minutes : -1;
}

/* Going forward in time; the zone is asked once for hours in which its clock does not change. */
struct walk {
    const struct fl_hours *hours;
    int64_t known_from_s, known_to_s;
    int32_t offset_s;
};

static bool is_open(struct walk *w, int64_t at_s)
{
    const struct fl_hours *h = w->hours;
    if (at_s < w->known_from_s || at_s >= w->known_to_s) {
        w->offset_s = fl_zone_offset(h->zone, at_s);
        w->known_from_s = at_s;
        w->known_to_s =
            at_s + (fl_zone_offset(h->zone, at_s + BLOCK_S) == w->offset_s ? BLOCK_S : MINUTE_S);
    }
    int64_t here_s = at_s + w->offset_s, day = here_s / DAY_S;
    if (here_s < 0)
        return false;
    int minute = (int)(here_s % DAY_S / MINUTE_S);
    return (h->days >> ((day + 3) % 7) & 1) && /* 1970 began on a Thursday */
           minute >= h->from_minute && minute < h->to_minute;
}

bool fl_hours_is_open(const struct fl_hours *hours, int64_t at_s)
{
    struct walk w = { .hours = hours };
    return is_open(&w, at_s);
}

int fl_hours_week(const struct fl_hours *hours, int64_t from_s)
{
    struct walk w = { .hours = hours };
    int count = 0;
    for (int i = 0; i < 7 * FL_HOURS_DAY; i++)
        count += is_open(&w, from_s + (int64_t)i * MINUTE_S);
    return count;
}

int64_t fl_hours_nth(const struct fl_hours *hours, int64_t from_s, int nth)
{
    struct walk w = { .hours = hours };
    int64_t at_s = from_s - from_s % MINUTE_S + MINUTE_S;
    for (int i = 0; i < HORIZON_MINUTES; i++, at_s += MINUTE_S) {
        if (is_open(&w, at_s) && nth-- == 0)
            return at_s;
    }
    return -1;
}
