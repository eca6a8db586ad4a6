/* What an agent is told in front of a changed call's result. */
#include "harness.h"
#include "runtime/approval/edit.h"

static void check_before(const char *content, const char *want)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_str both = fl_edit_before(arena, FL_STR("a \"word\""), fl_str_of(content));
    CHECK_SPAN(both, want);
    fl_arena_free(&arena);
}

static void test_an_empty_list_in_front_makes_no_broken_json(void)
{
    static const char alone[] = "[{\"type\":\"text\",\"text\":\"a \\\"word\\\"\"}]";
    check_before("", alone);
    check_before("[]", alone);
    check_before("[ ]", alone);
    check_before("[\n\t ]", alone);
    check_before("[{}]", "[{\"type\":\"text\",\"text\":\"a \\\"word\\\"\"},{}]");
    check_before("[ {} ]", "[{\"type\":\"text\",\"text\":\"a \\\"word\\\"\"}, {} ]");
}

static const struct fl_test tests[] = { T(an_empty_list_in_front_makes_no_broken_json) };
TEST_MAIN(tests)
