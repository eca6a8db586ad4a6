/* Time zones as data: reads a TZif file's bytes (RFC 8536) and answers which offset from UTC holds
 * at an instant. Pure: whoever does I/O brings the bytes. Called by the expression compiler and
 * its timestamp functions. Any thread; a zone is not changed once it is made. */
#ifndef FLOPINIO_POLICY_ZONE_H
#define FLOPINIO_POLICY_ZONE_H

#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_zone;

/* From the arena. FL_BAD_PARAMS if the bytes are not a TZif file of version 2 to 4, FL_NOMEM. */
enum fl_code fl_zone_new(struct fl_arena *arena, struct fl_str tzif, const struct fl_zone **ret,
                         struct fl_err *err) FL_MUST_CHECK;
/* Seconds east of UTC at this instant. */
int32_t fl_zone_offset(const struct fl_zone *zone, int64_t at_utc_s);
/* "Europe/Berlin": letters, digits and "_+-" in parts between slashes, no part empty; at most 64
 * bytes. What a reader may safely look up below its directory. */
bool fl_zone_name_is_valid(struct fl_str name);

#endif
