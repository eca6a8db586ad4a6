/* The scanner against jansson: one verdict, and the same spans: what each pick, member and item
 * covers is, read alone by jansson, the value that jansson found there. */
#include <jansson.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/scan.h"
#include "fuzz.h"

/* jansson stops at limits of its own numbers, where the grammar has none. */
static bool is_its_number(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow;
}

/* The span alone has this value, and begins and ends where it does. */
static void check_span(struct fl_str text, struct fl_str span, const json_t *value)
{
    FL_ASSERT((span.p == NULL) == (value == NULL));
    if (!value)
        return;
    FL_ASSERT(span.n && span.p >= text.p && span.p + span.n <= text.p + text.n);
    FL_ASSERT(!strchr(" \t\r\n", span.p[0]) && !strchr(" \t\r\n", span.p[span.n - 1]));
    json_t *alone = json_loadb(span.p, span.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    FL_ASSERT(alone && json_equal(alone, value));
    json_decref(alone);
}

static void check_members(struct fl_str text, json_t *tree)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_str key, value;
    size_t count = 0;
    for (size_t pos = 0; fl_span_next_member(text, &pos, &key, &value); count++) {
        struct fl_str name = fl_span_string(arena, key);
        FL_ASSERT(name.p);
        check_span(text, value, json_object_getn(tree, name.p, name.n));
        if (!memchr(name.p, 0, name.n)) {
            const char *z = fl_arena_strndup(arena, name.p, name.n);
            struct fl_str again = fl_span_get(text, z);
            FL_ASSERT(again.p == value.p && again.n == value.n);
        }
    }
    FL_ASSERT(count == json_object_size(tree));
    count = 0;
    for (size_t pos = 0; fl_span_next_item(text, &pos, &value); count++)
        check_span(text, value, json_array_get(tree, count));
    FL_ASSERT(count == json_array_size(tree));
    fl_arena_free(&arena);
}

static void check_spans(struct fl_str text, json_t *tree)
{
    static const struct fl_scan_pick picks[] = {
        { { "a" } }, { { "id" } }, { { "a", "b" } }, { { "params", "_meta", "a" } }
    };
    struct fl_str found[FL_COUNTOF(picks)];
    struct fl_err err;
    FL_ASSERT(fl_scan(text, &fl_scan_call, picks, FL_COUNTOF(picks), found, &err) == FL_OK);
    for (size_t i = 0; i < FL_COUNTOF(picks); i++) {
        const json_t *value = tree;
        for (size_t k = 0; k < 3 && picks[i].path[k]; k++)
            value = json_object_get(value, picks[i].path[k]);
        check_span(text, found[i], value);
    }
    check_members(text, tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_err err;
    json_error_t error;
    if (memchr(data, 0, n)) /* jansson ends a text there */
        return 0;
    struct fl_str text = fuzz_copy(data, n);
    json_t *tree = json_loadb(text.p, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    bool is_accepted = fl_scan(text, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK;
    if (is_accepted && tree)
        check_spans(text, tree);
    FL_ASSERT(!is_accepted || tree || is_its_number(&error));
    if (tree) { /* deeper and larger texts than a call may have, and NUL in strings */
        FL_ASSERT(fl_scan(text, &fl_scan_grammar, NULL, 0, NULL, &err) == FL_OK);
        FL_ASSERT(is_accepted || n > 120 || memmem(text.p, n, "\\u0000", 6));
    }
    json_decref(tree);
    free((char *)text.p);
    return 0;
}
