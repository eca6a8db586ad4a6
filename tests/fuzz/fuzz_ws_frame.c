/* The guard in front of libwebsockets: the same bytes pass and the same code, however they come. */
#include "fuzz.h"
#include "runtime/io/ws_frame.h"

enum { MESSAGE_MAX = 1000 };

/* Feeds in pieces of `step` bytes; how many passed. */
static size_t feed(const uint8_t *p, size_t n, size_t step, uint16_t *ret_code)
{
    struct fl_ws_guard guard;
    size_t passed = 0;
    uint16_t code = 0;
    fl_ws_guard_init(&guard, MESSAGE_MAX);
    for (size_t at = 0; at < n && !code && !guard.has_closed;) {
        size_t some = n - at < step ? n - at : step, used = 0;
        code = fl_ws_guard_look(&guard, p + at, some, &used);
        FL_ASSERT(used <= some && (used || code));
        passed += used;
        at += used;
    }
    *ret_code = code;
    return passed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_str bytes = fuzz_copy(data, n), text;
    uint16_t whole, cut, thirds;
    size_t passed = feed((const uint8_t *)bytes.p, n, n, &whole);
    FL_ASSERT(feed((const uint8_t *)bytes.p, n, 1, &cut) == passed && cut == whole);
    FL_ASSERT(feed((const uint8_t *)bytes.p, n, 3, &thirds) == passed && thirds == whole);
    FL_ASSERT(whole == 0 || whole == 1002 || whole == 1003 || whole == 1009);
    if (whole == 0 && passed == n && n)
        (void)fl_ws_whole_text((uint8_t *)bytes.p, n, &text);
    free((char *)bytes.p);
    return 0;
}
