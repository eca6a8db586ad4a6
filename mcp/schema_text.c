/* Bounded texts for errors about schemas and values. For schema*.c, any thread. */
#include "mcp/schema_text.h"

#include <stdio.h>
#include <string.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/json.h"
#include "flopinio/base/utf8.h"

#define NAME_BYTES   60
#define PLACE_BYTES  200
#define PLACE_LEVELS 64

void fl_schema_text_put(struct fl_schema_text *text, struct fl_str s)
{
    size_t n = fl_utf8_cut(s, sizeof text->p - 1 - text->n);
    if (n)
        memcpy(text->p + text->n, s.p, n);
    text->n += n;
    text->p[text->n] = 0;
}

void fl_schema_text_puts(struct fl_schema_text *text, const char *s)
{
    fl_schema_text_put(text, fl_str_of(s));
}

/* Controls, and characters that are invisible or turn the direction of what follows. */
static bool is_plain(int32_t cp)
{
    return cp >= 0x20 && !(cp >= 0x7f && cp <= 0x9f) && cp != 0xad && cp != 0x61c &&
           !(cp >= 0x200b && cp <= 0x200f) && !(cp >= 0x2028 && cp <= 0x202e) &&
           !(cp >= 0x2060 && cp <= 0x206f) && cp != 0xfeff && !(cp >= 0xfff9 && cp <= 0xfffb) &&
           cp < 0xe0000;
}

/* `escapes`: characters that get their own spelling, as in "~0" for '~' in a pointer. */
static void put_plain(struct fl_schema_text *text, struct fl_str s, size_t max, bool is_pointer)
{
    size_t shown = fl_utf8_cut(s, max);
    struct fl_str head = { s.p, shown };
    for (size_t at = 0; at < head.n;) {
        size_t from = at;
        int32_t cp = fl_utf8_next(head, &at);
        char escape[16];
        if (is_pointer && (cp == '~' || cp == '/'))
            fl_schema_text_puts(text, cp == '~' ? "~0" : "~1");
        else if (cp >= 0 && is_plain(cp))
            fl_schema_text_put(text, (struct fl_str){ head.p + from, at - from });
        else {
            snprintf(escape, sizeof escape, "\\u{%x}", (unsigned)(cp < 0 ? 0xfffd : cp));
            fl_schema_text_puts(text, escape);
        }
    }
    if (shown < s.n)
        fl_schema_text_puts(text, "...");
}

void fl_schema_text_plain(struct fl_schema_text *text, struct fl_str s, size_t max)
{
    put_plain(text, s, max, false);
}

void fl_schema_text_quote(struct fl_schema_text *text, struct fl_str s, size_t max)
{
    fl_schema_text_puts(text, "\"");
    fl_schema_text_plain(text, s, max);
    fl_schema_text_puts(text, "\"");
}

void fl_schema_text_value(struct fl_schema_text *text, const json_t *value, size_t max)
{
    char number[64];
    switch (json_typeof(value)) {
    case JSON_NULL: fl_schema_text_puts(text, "null"); return;
    case JSON_TRUE:
    case JSON_FALSE: fl_schema_text_puts(text, json_is_true(value) ? "true" : "false"); return;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        fl_schema_text_puts(text, number);
        return;
    case JSON_REAL:
        fl_jcs_number(json_real_value(value), number);
        fl_schema_text_puts(text, number);
        return;
    case JSON_STRING: fl_schema_text_quote(text, fl_json_str(value), max); return;
    case JSON_ARRAY: fl_schema_text_puts(text, json_array_size(value) ? "[...]" : "[]"); return;
    case JSON_OBJECT: fl_schema_text_puts(text, json_object_size(value) ? "{...}" : "{}"); return;
    }
}

void fl_schema_text_place(struct fl_schema_text *text, const struct fl_schema_place *place)
{
    const struct fl_schema_place *levels[PLACE_LEVELS];
    size_t count = 0, bytes = 0;
    const struct fl_schema_place *at = place;
    for (; at && count < PLACE_LEVELS && bytes < PLACE_BYTES; at = at->up) {
        levels[count++] = at;
        bytes += 1 + (at->name.p ? (at->name.n < NAME_BYTES ? at->name.n : NAME_BYTES) : 4);
    }
    if (at)
        fl_schema_text_puts(text, "...");
    while (count > 0) {
        const struct fl_schema_place *level = levels[--count];
        fl_schema_text_puts(text, "/");
        if (level->name.p) {
            put_plain(text, level->name, NAME_BYTES, true);
        } else {
            char index[24];
            snprintf(index, sizeof index, "%zu", level->index);
            fl_schema_text_puts(text, index);
        }
    }
}

enum fl_code fl_schema_place_error(struct fl_err *err, enum fl_code code,
                                   const struct fl_schema_place *place, const char *rest)
{
    struct fl_schema_text text = { .n = 0 };
    fl_schema_text_place(&text, place);
    if (text.n == 0 && strncmp(rest, ": ", 2) == 0)
        rest += 2;
    fl_schema_text_puts(&text, rest);
    return fl_err_set(err, code, "%s", text.p);
}
