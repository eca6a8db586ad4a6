/* Expressions: what compiles evaluates within its bounds, to a value or to an error. */
#include "fuzz.h"
#include "policy/cel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct fl_cel_var vars[] = { { "args", "{s*}" }, { "tool.name", "s" } };
    static const struct fl_cel_env env = { .vars = vars, .var_count = 2, .tree = "args" };
    struct fl_err err;
    struct fl_cel *program = NULL;
    struct fl_cel_value result;
    struct fl_str source = fuzz_copy(data, n);
    if (fl_cel_compile(source, &env, &program, &err) == FL_OK) {
        json_t *tree =
            json_pack("{s:[i,i], s:s, s:{s:f}}", "list", 1, 2, "text", "x", "map", "k", 0.5);
        struct fl_cel_value facts[] = { fl_cel_json(tree), fl_cel_str(FL_STR("files__write")) };
        struct fl_cel_run run = {
            .vars = facts, .arena = fl_arena_new(0), .steps = 20000, .max_bytes = 1 << 20
        };
        enum fl_code code = fl_cel_eval(program, &run, &result, &err);
        FL_ASSERT(code == FL_OK || code == FL_BAD_PARAMS || code == FL_TOO_LARGE);
        FL_ASSERT(run.steps <= 20000);
        fl_arena_free(&run.arena);
        json_decref(tree);
        fl_cel_free(&program);
    }
    free((char *)source.p);
    return 0;
}
