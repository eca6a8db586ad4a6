/* The machine's time zone database (tzdata), read by whoever wires the parts together and handed
 * to those that do no I/O. Any thread; blocking, small files. */
#ifndef FLOPINIO_BASE_ZONE_H
#define FLOPINIO_BASE_ZONE_H

#include <stdbool.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

/* Appends the TZif bytes of the zone ("Europe/Berlin"); false if there is none of that name or it
 * could not be read. Names with a part that is empty or starts with a dot are none. No memory shows
 * in `out` (true, and the sticky error). `ctx` is not used. */
bool fl_zone_file(void *ctx, struct fl_str name, struct fl_buf *out);

#endif
