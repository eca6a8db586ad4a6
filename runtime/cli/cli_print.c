/* Tables and texts. */
#include "runtime/cli/cli_print.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/show.h"

#define COLUMNS_MAX 16
#define GAP         2
#define COMFORT     24 /* a column that is wider gives way before another is left out */
#define LEAST       12 /* cells that a column keeps */
#define MARK        "..."
#define ID_CELLS    8

struct column {
    char label[32], member[48], how[8];
    size_t width;
    bool is_key;    /* is typed into other commands: never cut */
    bool may_leave; /* is left out where there is no room */
    bool is_hidden;
};

/* ---------------------------------------------------------------- columns */
static size_t read_columns(const char *spec, struct column columns[COLUMNS_MAX])
{
    size_t count = 0;
    for (const char *p = spec; *p;) {
        size_t n = strcspn(p, " "), label = strcspn(p, "="), member;
        FL_ASSERT(count < COLUMNS_MAX && label < n);
        struct column *c = &columns[count++];
        *c = (struct column){ .width = 0 };
        member = strcspn(p + label + 1, ": ");
        FL_ASSERT(label < sizeof c->label && member < sizeof c->member);
        c->may_leave = p[0] == '?';
        for (size_t i = c->may_leave; i < label; i++)
            c->label[i - c->may_leave] = p[i] == '_' ? ' ' : p[i];
        memcpy(c->member, p + label + 1, member);
        if (label + 1 + member < n)
            snprintf(c->how, sizeof c->how, "%.*s", (int)(n - label - member - 2),
                     p + label + 2 + member);
        c->is_key = strcmp(c->how, "k") == 0 || strcmp(c->how, "id") == 0;
        p += n;
        p += *p == ' ';
    }
    return count;
}

static const json_t *member_of(const json_t *object, const char *path)
{
    char name[48];
    for (const char *p = path; object && *p;) {
        size_t n = strcspn(p, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        object = json_object_get(object, name);
        p += n;
        p += *p == '.';
    }
    return object;
}

void fl_print_line(struct fl_buf *out, struct fl_str line)
{
    size_t from = 0;
    for (size_t i = 0; i <= line.n; i++) {
        if (i < line.n && line.p[i] != '\\')
            continue;
        fl_show(out, (struct fl_str){ line.p + from, i - from }, FL_SHOW_OPEN, NULL);
        if (i < line.n)
            fl_buf_putc(out, '\\');
        from = i + 1;
    }
}

/* ---------------------------------------------------------------- values */
static void put_span(struct fl_buf *out, int64_t ms)
{
    int64_t s = ms / 1000, m = s / 60, h = m / 60;
    if (s < 90)
        fl_buf_printf(out, "%lld s", (long long)(s < 0 ? 0 : s));
    else if (m < 90)
        fl_buf_printf(out, "%lld min", (long long)m);
    else if (h < 10 && m % 60)
        fl_buf_printf(out, "%lld h %lld min", (long long)h, (long long)(m % 60));
    else if (h < 48)
        fl_buf_printf(out, "%lld h", (long long)h);
    else
        fl_buf_printf(out, "%lld d", (long long)(h / 24));
}

static bool put_time(struct fl_buf *out, struct fl_str text, const char *how, int64_t now_ms)
{
    int64_t at;
    char iso[FL_TIME_BYTES];
    if (!fl_time_parse(text, &at))
        return false;
    if (strcmp(how, "ago") == 0) {
        put_span(out, now_ms - at);
    } else if (strcmp(how, "left") == 0) {
        if (at <= now_ms)
            fl_buf_puts(out, "over");
        else
            put_span(out, at - now_ms);
    } else {
        fl_time_format_s(at, iso);
        fl_buf_printf(out, "%.10s %.*sZ", iso, strcmp(how, "ts") == 0 ? 8 : 5, iso + 11);
    }
    return true;
}

static void put_bytes(struct fl_buf *out, int64_t n)
{
    if (n < 10000)
        fl_buf_printf(out, "%lld B", (long long)n);
    else if (n < 10000000)
        fl_buf_printf(out, "%lld kB", (long long)(n / 1000));
    else
        fl_buf_printf(out, "%lld MB", (long long)(n / 1000000));
}

static void put_string(struct fl_buf *out, struct fl_str s, const char *how, int64_t now_ms)
{
    bool is_time = how[0] == 't' || strcmp(how, "ago") == 0 || strcmp(how, "left") == 0;
    if (is_time && put_time(out, s, how, now_ms))
        return;
    if (strcmp(how, "d") == 0 && s.n > 19)
        s.n = 19; /* "sha256:" and twelve digits */
    if (strcmp(how, "id") == 0 && s.n > ID_CELLS)
        s = (struct fl_str){ s.p + s.n - ID_CELLS, ID_CELLS };
    if (strcmp(how, "s") == 0)
        fl_print_line(out, s);
    else
        fl_show(out, s, FL_SHOW_COMPOSED, NULL);
}

static void put_value(struct fl_buf *out, const json_t *value, const char *how, int64_t now_ms)
{
    size_t i;
    json_t *item;
    struct fl_buf text = FL_BUF_INIT;
    if (json_is_integer(value) && strcmp(how, "n") == 0) {
        put_bytes(out, json_integer_value(value));
        return;
    }
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING: put_string(out, fl_json_str(value), how, now_ms); break;
    case JSON_TRUE: fl_buf_puts(out, "yes"); break;
    case JSON_FALSE: fl_buf_puts(out, strcmp(how, "b") == 0 ? "" : "no"); break;
    case JSON_NULL: break;
    case JSON_ARRAY:
        json_array_foreach ((json_t *)value, i, item) {
            fl_buf_puts(out, i ? ", " : "");
            put_value(out, item, "", now_ms);
        }
        break;
    default:
        fl_json_put(&text, value);
        fl_show(out, fl_buf_view(&text), FL_SHOW_COMPOSED, NULL);
        fl_buf_fini(&text);
    }
}

/* ---------------------------------------------------------------- tables */
static void put_spaces(struct fl_buf *out, size_t count)
{
    while (count--)
        fl_buf_putc(out, ' ');
}

/* The last column that may be left out; NULL: none is there any more. */
static struct column *leaver(struct column *columns, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        if (columns[i].may_leave && !columns[i].is_hidden)
            return &columns[i];
    }
    return NULL;
}

/* Takes from the widest, then leaves columns out, until the row fits or nothing can give way. */
static void fit(struct column *columns, size_t count, size_t width)
{
    for (;;) {
        struct column *widest = NULL, *leaves = leaver(columns, count);
        size_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            struct column *c = &columns[i];
            if (c->is_hidden)
                continue;
            sum += c->width + (sum ? GAP : 0);
            if (!c->is_key && (!widest || c->width > widest->width))
                widest = c;
        }
        if (sum <= width)
            return;
        if (widest && widest->width > (leaves ? COMFORT : LEAST))
            widest->width--;
        else if (leaves)
            leaves->is_hidden = true;
        else
            return;
    }
}

static void put_cell(struct fl_buf *out, struct fl_str cell, size_t width, bool is_last)
{
    size_t cells = fl_show_width(cell);
    if (cells > width) {
        size_t n = fl_show_cut(cell, width - strlen(MARK));
        fl_buf_put(out, cell.p, n);
        fl_buf_puts(out, MARK);
        cells = fl_show_width((struct fl_str){ cell.p, n }) + strlen(MARK);
    } else {
        fl_buf_str(out, cell);
    }
    if (!is_last)
        put_spaces(out, width - (cells < width ? cells : width) + GAP);
}

static void put_row(struct fl_buf *out, const struct column *columns, size_t count,
                    const struct fl_str *cells)
{
    size_t last = count;
    while (last > 1 && (cells[last - 1].n == 0 || columns[last - 1].is_hidden))
        last--;
    for (size_t i = 0; i < last; i++) {
        if (!columns[i].is_hidden)
            put_cell(out, cells[i], columns[i].width, i + 1 == last);
    }
    fl_buf_putc(out, '\n');
}

void fl_print_table(struct fl_buf *out, const char *spec, const json_t *items, size_t width,
                    int64_t now_ms)
{
    struct column columns[COLUMNS_MAX];
    size_t count = read_columns(spec, columns), rows = json_array_size(items);
    struct fl_arena *arena = fl_arena_new(4096);
    struct fl_str *cells = arena ? fl_arena_array(arena, (rows + 1) * count, sizeof *cells) : NULL;
    struct fl_buf text = FL_BUF_INIT;
    out->is_failed |= !cells;
    for (size_t i = 0; i < count; i++) {
        if (!width && strcmp(columns[i].how, "id") == 0)
            columns[i].how[0] = 0;
    }
    for (size_t r = 0; cells && r <= rows; r++) {
        for (size_t i = 0; i < count; i++) {
            struct fl_str *cell = &cells[r * count + i];
            fl_buf_reset(&text);
            if (r == 0)
                fl_buf_puts(&text, columns[i].label);
            else
                put_value(&text, member_of(json_array_get(items, r - 1), columns[i].member),
                          columns[i].how, now_ms);
            *cell = fl_arena_str(arena, text.p ? fl_buf_view(&text) : FL_STR(""));
            out->is_failed |= text.is_failed || !cell->p;
            size_t n = fl_show_width(*cell);
            columns[i].width = n > columns[i].width ? n : columns[i].width;
        }
    }
    if (width)
        fit(columns, count, width);
    for (size_t r = 0; cells && r <= rows && !out->is_failed; r++)
        put_row(out, columns, count, cells + r * count);
    fl_buf_fini(&text);
    fl_arena_free(&arena);
}

void fl_print_object(struct fl_buf *out, const char *spec, const json_t *object, int64_t now_ms)
{
    struct column columns[COLUMNS_MAX];
    size_t count = read_columns(spec, columns), widest = 0;
    struct fl_buf text = FL_BUF_INIT;
    for (size_t i = 0; i < count; i++)
        widest = strlen(columns[i].label) > widest ? strlen(columns[i].label) : widest;
    for (size_t i = 0; i < count; i++) {
        fl_buf_reset(&text);
        put_value(&text, member_of(object, columns[i].member), columns[i].how, now_ms);
        if (text.n == 0)
            continue;
        fl_buf_printf(out, "%s:", columns[i].label);
        put_spaces(out, widest - strlen(columns[i].label) + GAP);
        fl_buf_str(out, fl_buf_view(&text));
        fl_buf_putc(out, '\n');
    }
    fl_buf_fini(&text);
}

/* ---------------------------------------------------------------- texts */
void fl_print_lines(struct fl_buf *out, struct fl_str text, size_t indent)
{
    for (size_t from = 0; from < text.n;) {
        size_t to = from;
        while (to < text.n && text.p[to] != '\n')
            to++;
        put_spaces(out, to > from ? indent : 0);
        fl_print_line(out, (struct fl_str){ text.p + from, to - from });
        fl_buf_putc(out, '\n');
        from = to + 1;
    }
}

void fl_print_json_ascii(struct fl_buf *out, struct fl_str json)
{
    for (size_t pos = 0; pos < json.n;) {
        int32_t cp = fl_utf8_next(json, &pos);
        if (cp < 0)
            fl_buf_puts(out, "\\ufffd");
        else if (cp >= 0x10000)
            fl_buf_printf(out, "\\u%04x\\u%04x", 0xd7c0u + ((unsigned)cp >> 10),
                          0xdc00u + ((unsigned)cp & 0x3ff));
        else if (cp >= 0x7f || (cp < 0x20 && cp != '\n' && cp != '\t'))
            fl_buf_printf(out, "\\u%04x", (unsigned)cp);
        else
            fl_buf_putc(out, (char)cp);
    }
}

size_t fl_print_width(int fd)
{
    struct winsize size;
    if (!isatty(fd))
        return 0;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
