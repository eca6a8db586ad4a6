/* Mails that came back, from whoever writes to that mailbox: what is taken out of one is in it. */
#include "fuzz.h"
#include "runtime/notify/bounce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_bounce b;
    struct fl_str mail = fuzz_copy(data, n);
    if (fl_bounce_read(mail, &b)) {
        FL_ASSERT(b.message_id.n > 0 && b.message_id.p > mail.p);
        FL_ASSERT(b.message_id.p + b.message_id.n < mail.p + mail.n);
        FL_ASSERT(b.status[0] == '5' && b.status[1] == '.' && strlen(b.status) < sizeof b.status);
        FL_ASSERT(strlen(b.said) <= FL_BOUNCE_SAID_CHARS);
        for (const char *c = b.said; *c; c++)
            FL_ASSERT(*c >= 0x20 && *c < 0x7f);
    }
    free((char *)mail.p);
    return 0;
}
