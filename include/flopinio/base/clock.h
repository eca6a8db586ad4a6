/* Clocks, behind one door so that tests can turn them. Any thread. */
#ifndef FLOPINIO_BASE_CLOCK_H
#define FLOPINIO_BASE_CLOCK_H

#include <stdint.h>

#include "flopinio/base/str.h"

int64_t fl_mono_ms(void); /* CLOCK_MONOTONIC: for timers; stands still in suspend */
int64_t fl_mono_us(void);
int64_t fl_boot_ms(void); /* CLOCK_BOOTTIME: runs on in suspend */
int64_t fl_real_ms(void); /* CLOCK_REALTIME: for people and evidence, never for order */

/* Tests: added to each clock's reading. */
struct fl_clock_skew {
    int64_t mono_ms, boot_ms, real_ms;
};
void fl_clock_skew_set(struct fl_clock_skew skew);

#define FL_TIME_BYTES 32
/* RFC 3339 in UTC with milliseconds ("2026-11-23T16:30:00.123Z") into out; returns out. */
char *fl_time_format(int64_t at_utc_ms, char out[FL_TIME_BYTES]);
/* Without milliseconds ("2026-11-23T16:30:00Z"). */
char *fl_time_format_s(int64_t at_utc_ms, char out[FL_TIME_BYTES]);
/* RFC 3339 with any offset, fraction cut to ms; false if it is not one. */
bool fl_time_parse(struct fl_str text, int64_t *ret_utc_ms);
/* "90", "90s", "5m", "4h", "7d", "250ms" -> ms; false on anything else or overflow. */
bool fl_duration_parse(struct fl_str text, int64_t *ret_ms);
/* The largest unit that fits without rest: 14400000 -> "4h"; into out (>= 32 bytes). */
char *fl_duration_format(int64_t ms, char out[FL_TIME_BYTES]);

#endif
