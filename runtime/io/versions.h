/* Which libraries this program runs with, for `doctor` and reports. Any thread. */
#ifndef FLOPINIO_IO_VERSIONS_H
#define FLOPINIO_IO_VERSIONS_H

#include "flopinio/base/buf.h"

/* "libuv 1.44.2, libwebsockets 4.1.6, ..." */
void fl_io_versions(struct fl_buf *out);
/* NULL, or what is wrong with one of them: it is older than what this program was built for. */
const char *fl_io_outdated(void);

#endif
