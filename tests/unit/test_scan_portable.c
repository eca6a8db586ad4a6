/* The scanner's tests once more over its portable path, which machines without SSE2 take. The
 * scanner is compiled into this program, in front of the library's. */
#define FL_SCAN_PORTABLE
#include "runtime/base/scan.c"
#include "runtime/base/span.c"
#ifdef FL_SCAN_SSE2
#error "this is not the portable path"
#endif
#include "test_scan.c"
