/* The way back from a card to the arguments, written from the grammar in card.h and not from the
 * renderer: if this gives the stored bytes, a person could see all of them. */
#ifndef FL_TEST_CARD_INVERSE_H
#define FL_TEST_CARD_INVERSE_H

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "runtime/notify/card.h"
#include "runtime/notify/show.h"

struct inverse_step {
    bool is_item;
    struct fl_str name; /* or the number's digits */
};

struct inverse {
    struct fl_arena *arena;
    struct fl_buf out;
    struct inverse_step path[64];
    size_t depth;
    const struct fl_card_block *block;
    size_t line;
};

/* Unescaped text into the arena; false if it is not shown text. */
static inline bool inverse_text(struct inverse *v, struct fl_str shown, struct fl_str *ret)
{
    struct fl_buf text = FL_BUF_INIT;
    bool is_right = fl_show_inverse(&text, shown);
    *ret = fl_arena_str(v->arena, fl_buf_view(&text));
    fl_buf_fini(&text);
    return is_right;
}

/* "a.b[2]: " at the start of the line; gives the path and what follows it. */
static inline bool inverse_path(struct inverse *v, struct fl_str line, struct inverse_step *path,
                                size_t *ret_depth, struct fl_str *ret_value)
{
    size_t pos = 0, depth = 0;
    if (line.n >= 13 && memcmp(line.p, "(arguments): ", 13) == 0) {
        *ret_depth = 0;
        *ret_value = (struct fl_str){ line.p + 13, line.n - 13 };
        return true;
    }
    while (pos < line.n && line.p[pos] != ':') {
        if (depth == 64)
            return false;
        struct inverse_step *step = &path[depth++];
        size_t from = pos;
        if (line.p[pos] == '[') {
            while (pos < line.n && line.p[pos] != ']')
                pos++;
            *step = (struct inverse_step){ true, { line.p + from + 1, pos - from - 1 } };
            pos++;
            continue;
        }
        if (line.p[pos] == '.' && depth > 1)
            from = ++pos;
        if (line.p[pos] == '"') {
            for (pos++; pos < line.n && line.p[pos] != '"'; pos++)
                pos += line.p[pos] == '\\';
            *step = (struct inverse_step){ false, { line.p + from + 1, pos - from - 1 } };
            pos++;
        } else {
            while (pos < line.n && !strchr(".[:", line.p[pos]))
                pos++;
            *step = (struct inverse_step){ false, { line.p + from, pos - from } };
        }
        if (!inverse_text(v, step->name, &step->name))
            return false;
    }
    if (pos + 2 > line.n || line.p[pos + 1] != ' ')
        return false;
    *ret_depth = depth;
    *ret_value = (struct fl_str){ line.p + pos + 2, line.n - pos - 2 };
    return true;
}

static inline bool inverse_string(struct inverse *v, struct fl_str shown)
{
    struct fl_str text;
    if (!inverse_text(v, shown, &text))
        return false;
    fl_buf_json_str(&v->out, text);
    return true;
}

/* The lines behind "(3 lines)". */
static inline bool inverse_lines(struct inverse *v, struct fl_str count)
{
    struct fl_buf text = FL_BUF_INIT;
    unsigned long long n;
    if (!fl_str_to_u64(count, &n))
        return false;
    for (unsigned long long i = 0; i < n; i++) {
        if (++v->line >= v->block->line_count)
            return false;
        struct fl_str line = v->block->lines[v->line];
        if (line.n == 0 || line.p[0] != '|' || (line.n > 1 && line.p[1] != ' ') || line.n == 2)
            return false;
        if (i)
            fl_buf_putc(&text, '\n');
        struct fl_str rest = { line.p + 2, line.n > 2 ? line.n - 2 : 0 };
        if (!fl_show_inverse(&text, rest))
            return false;
    }
    fl_buf_json_str(&v->out, fl_buf_view(&text));
    fl_buf_fini(&text);
    return true;
}

static inline bool inverse_value(struct inverse *v, struct fl_str value)
{
    static const char lines[] = " lines)";
    size_t tail = sizeof lines - 1;
    if (fl_str_is(value, "(empty list)") || fl_str_is(value, "(empty object)")) {
        fl_buf_puts(&v->out, value.p[7] == 'l' ? "[]" : "{}");
        return true;
    }
    if (value.n > tail + 1 && value.p[0] == '(' &&
        memcmp(value.p + value.n - tail, lines, tail) == 0)
        return inverse_lines(v, (struct fl_str){ value.p + 1, value.n - tail - 1 });
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        return inverse_string(v, (struct fl_str){ value.p + 1, value.n - 2 });
    if (fl_str_is(value, "true") || fl_str_is(value, "false") || fl_str_is(value, "null") ||
        (value.n && strchr("-0123456789", value.p[0]))) {
        fl_buf_str(&v->out, value);
        return true;
    }
    return value.n && !strchr(" (\"", value.p[0]) && inverse_string(v, value);
}

static inline void inverse_close(struct inverse *v, size_t depth)
{
    while (v->depth > depth)
        fl_buf_putc(&v->out, v->path[--v->depth].is_item ? ']' : '}');
}

static inline bool inverse_leaf(struct inverse *v, struct fl_str line)
{
    struct inverse_step path[64];
    struct fl_str value;
    size_t depth, same = 0;
    if (!inverse_path(v, line, path, &depth, &value))
        return false;
    while (same < depth && same < v->depth && fl_str_eq(path[same].name, v->path[same].name) &&
           path[same].is_item == v->path[same].is_item)
        same++;
    if (depth == 0 || (v->depth && same >= v->depth))
        return v->depth == 0 && v->out.n == 0 && inverse_value(v, value);
    bool is_begun = v->depth > 0;
    if (is_begun) {
        inverse_close(v, same + 1);
        fl_buf_putc(&v->out, ',');
    }
    for (size_t i = same; i < depth; i++) {
        if (i > same || !is_begun)
            fl_buf_putc(&v->out, path[i].is_item ? '[' : '{');
        v->path[i] = path[i];
        if (!path[i].is_item) {
            fl_buf_json_str(&v->out, path[i].name);
            fl_buf_putc(&v->out, ':');
        }
    }
    v->depth = depth;
    return inverse_value(v, value);
}

/* Appends the canonical arguments; false if the card does not say all of them. */
static inline bool inverse_card(const struct fl_card *card, struct fl_buf *out)
{
    struct inverse v = { .block = fl_card_block(card, FL_CARD_ARGS) };
    bool is_right = v.block != NULL;
    if (is_right && v.block->line_count == 1 && fl_str_is(v.block->lines[0], "(no arguments)")) {
        fl_buf_puts(out, "{}");
        return true;
    }
    v.arena = fl_arena_new(0);
    for (v.line = 0; is_right && v.line < v.block->line_count; v.line++) {
        struct fl_str line = v.block->lines[v.line];
        if (line.n && line.p[0] == '!')
            continue; /* a note of ours: no path starts so */
        is_right = inverse_leaf(&v, line);
    }
    inverse_close(&v, 0);
    fl_buf_str(out, fl_buf_view(&v.out));
    fl_buf_fini(&v.out);
    fl_arena_free(&v.arena);
    return is_right;
}

#endif
