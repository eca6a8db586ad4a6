/* Foreign text made safe to look at: nothing of it is lost, and nothing of it acts on a terminal.
 */
#include "flopinio/base/buf.h"
#include "flopinio/base/mem.h"
#include "fuzz.h"
#include "runtime/notify/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct fl_buf shown = FL_BUF_INIT, back = FL_BUF_INIT;
    struct fl_show_notes notes = { 0 };
    struct fl_str text = fuzz_copy(data + 1, n - 1);
    fl_show(&shown, text, data[0] & 15, &notes);
    FL_ASSERT(!shown.is_failed);
    for (size_t i = 0; i < shown.n; i++)
        FL_ASSERT((unsigned char)shown.p[i] >= 0x20 && shown.p[i] != 0x7f);
    FL_ASSERT(fl_show_inverse(&back, fl_buf_view(&shown)));
    FL_ASSERT(fl_str_eq(fl_buf_view(&back), text));
    if (shown.n) {
        size_t cut = fl_show_cut(fl_buf_view(&shown), 1 + data[0] % 20);
        FL_ASSERT(cut > 0 && cut <= shown.n);
    }
    fl_buf_fini(&shown);
    fl_buf_fini(&back);
    free((char *)text.p);
    return 0;
}
