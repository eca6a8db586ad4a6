/* A planted bug that the fuzzer must find: the scanner's verdict, wrong for one shape of text. */
#include "flopinio/base/scan.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_err err;
    struct fl_str text = fuzz_copy(data, n);
    bool is_object = n > 2 && text.p[0] == '{' && text.p[1] == '"';
    bool is_accepted = fl_scan(text, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK;
    FL_ASSERT(!is_object || !is_accepted);
    free((char *)text.p);
    return 0;
}
