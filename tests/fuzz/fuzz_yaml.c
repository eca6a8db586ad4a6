/* Files that people write: what loads can be written, and reads back the same. */
#include "flopinio/base/yaml.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_err err;
    struct fl_yaml yaml, again;
    struct fl_buf text = FL_BUF_INIT;
    struct fl_str input = fuzz_copy(data, n);
    if (fl_yaml_load(input, "fuzz", &yaml, &err) == FL_OK) {
        FL_ASSERT(fl_yaml_dump(yaml.root, &text, &err) == FL_OK);
        FL_ASSERT(fl_yaml_load(fl_buf_view(&text), "again", &again, &err) == FL_OK);
        FL_ASSERT(json_equal(yaml.root, again.root));
        fl_yaml_fini(&again);
        fl_yaml_fini(&yaml);
    }
    fl_buf_fini(&text);
    free((char *)input.p);
    return 0;
}
