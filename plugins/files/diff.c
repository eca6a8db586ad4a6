/* Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), the greedy one with a kept
 * trace, over lines; what is the same at both ends is taken off first. */
#include "diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { EDITS_MAX = 1500 }; /* bounds the trace to about 9 MiB and the time with it */

struct line {
    const char *p;
    size_t n; /* with its newline, if it has one */
    uint64_t hash;
};

struct side {
    struct line *lines;
    bool *is_changed; /* removed (old side) or added (new side) */
    size_t count;
};

static enum diff_result split(const struct diff_text *text, struct side *side)
{
    size_t count = 0;
    const char *p = text->n ? text->p : "", *end = p + text->n;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        p = nl ? nl + 1 : end;
        count++;
    }
    if (count > DIFF_LINES_MAX)
        return DIFF_TOO_MANY_LINES;
    side->count = count;
    side->lines = malloc((count + 1) * sizeof *side->lines);
    side->is_changed = calloc(count + 1, sizeof *side->is_changed);
    if (!side->lines || !side->is_changed)
        return DIFF_NO_MEMORY;
    p = end - text->n;
    for (size_t i = 0; i < count; i++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        struct line *line = &side->lines[i];
        line->p = p;
        line->n = (size_t)((nl ? nl + 1 : end) - p);
        line->hash = 14695981039346656037u; /* FNV-1a: only to tell most lines apart quickly */
        for (size_t k = 0; k < line->n; k++)
            line->hash = (line->hash ^ (unsigned char)p[k]) * 1099511628211u;
        p += line->n;
    }
    return DIFF_DONE;
}

static bool is_same(const struct line *a, const struct line *b)
{
    return a->hash == b->hash && a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

/* Walks the trace back from the end and marks what it went through. Round d reached, on each
 * diagonal k = x - y in -d..d, the furthest x; trace[d][k + d] is that x. */
static void mark(struct side *old, struct side *fresh, int32_t *const *trace, int32_t d, size_t at,
                 int32_t n, int32_t m)
{
    int32_t x = n, y = m;
    for (; d > 0; d--) {
        int32_t k = x - y;
        const int32_t *before = trace[d - 1] + (d - 1);
        bool is_down = k == -d || (k != d && before[k - 1] < before[k + 1]);
        x = is_down ? before[k + 1] : before[k - 1];
        y = x - (is_down ? k + 1 : k - 1);
        if (is_down)
            fresh->is_changed[at + (size_t)y] = true;
        else
            old->is_changed[at + (size_t)x] = true;
    }
}

/* The middle that starts at line `at` on both sides, n and m lines long. false: too many edits. */
static bool shortest(struct side *old, struct side *fresh, size_t at, int32_t n, int32_t m,
                     int32_t **trace, bool *ret_no_memory)
{
    for (int32_t d = 0; d <= n + m && d < EDITS_MAX; d++) {
        int32_t *row = malloc(sizeof *row * (2 * (size_t)d + 1));
        const int32_t *before = d ? trace[d - 1] + (d - 1) : NULL;
        if (!row) {
            *ret_no_memory = true;
            return false;
        }
        trace[d] = row;
        for (int32_t k = -d; k <= d; k++) {
            int32_t x = 0;
            row[k + d] = -1; /* diagonals of the other parity, and those outside the grid */
            if ((k + d) % 2)
                continue;
            if (d > 0) {
                bool is_down = k == -d || (k != d && before[k - 1] < before[k + 1]);
                x = is_down ? before[k + 1] : before[k - 1] + 1;
            }
            int32_t y = x - k;
            while (x < n && y < m &&
                   is_same(&old->lines[at + (size_t)x], &fresh->lines[at + (size_t)y])) {
                x++;
                y++;
            }
            row[k + d] = x;
            if (x >= n && y >= m) {
                mark(old, fresh, trace, d, at, n, m);
                return true;
            }
        }
    }
    return false;
}

static enum diff_result compare(struct side *old, struct side *fresh)
{
    size_t head = 0, tail = 0;
    size_t least = old->count < fresh->count ? old->count : fresh->count;
    while (head < least && is_same(&old->lines[head], &fresh->lines[head]))
        head++;
    while (tail < least - head &&
           is_same(&old->lines[old->count - tail - 1], &fresh->lines[fresh->count - tail - 1]))
        tail++;
    size_t n = old->count - head - tail, m = fresh->count - head - tail;
    bool has_no_memory = false, is_found = false;
    if (n && m) {
        int32_t **trace = calloc(EDITS_MAX, sizeof *trace);
        if (!trace)
            return DIFF_NO_MEMORY;
        is_found = shortest(old, fresh, head, (int32_t)n, (int32_t)m, trace, &has_no_memory);
        for (size_t d = 0; d < EDITS_MAX && trace[d]; d++)
            free(trace[d]);
        free(trace);
    }
    if (has_no_memory)
        return DIFF_NO_MEMORY;
    if (!is_found) {
        memset(old->is_changed + head, true, n);
        memset(fresh->is_changed + head, true, m);
    }
    return DIFF_DONE;
}

static void put_line(struct buf *out, char sign, const struct line *line)
{
    buf_put(out, &sign, 1);
    /* Each line was set with its side. NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    buf_put(out, line->p, line->n);
    if (line->p[line->n - 1] != '\n')
        buf_puts(out, "\n\\ No newline at end of file\n");
}

/* "-1,3": the count is left out when it is 1; an empty range names the line before it. */
static void put_range(struct buf *out, char sign, size_t from, size_t count)
{
    buf_printf(out, "%c%zu", sign, count ? from + 1 : from);
    if (count != 1)
        buf_printf(out, ",%zu", count);
}

static void put_hunk(struct buf *out, const struct side *old, const struct side *fresh, size_t o,
                     size_t o_end, size_t f, size_t f_end)
{
    buf_puts(out, "@@ ");
    put_range(out, '-', o, o_end - o);
    buf_puts(out, " ");
    put_range(out, '+', f, f_end - f);
    buf_puts(out, " @@\n");
    while (o < o_end || f < f_end) {
        if (o < o_end && old->is_changed[o])
            put_line(out, '-', &old->lines[o++]);
        else if (f < f_end && fresh->is_changed[f])
            put_line(out, '+', &fresh->lines[f++]);
        else {
            put_line(out, ' ', &old->lines[o++]);
            f++;
        }
    }
}

/* "--- a/path"; a path with characters that would break the line is quoted as git does it. */
static void put_label(struct buf *out, const char *sign, const char *side, const char *path)
{
    bool is_odd = false;
    buf_puts(out, sign);
    if (!path) {
        buf_puts(out, "/dev/null\n");
        return;
    }
    for (const char *c = path; *c; c++)
        is_odd |= (unsigned char)*c < 0x20 || *c == 0x7f || *c == '"' || *c == '\\';
    buf_printf(out, "%s%s/", is_odd ? "\"" : "", side);
    for (const char *c = path; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            buf_printf(out, "\\%03o", (unsigned char)*c);
        else
            buf_printf(out, is_odd && (*c == '"' || *c == '\\') ? "\\%c" : "%c", *c);
    }
    /* A tab ends the name for patch; needed when there are blanks in it. */
    buf_printf(out, "%s%s\n", is_odd ? "\"" : "", strchr(path, ' ') ? "\t" : "");
}

static void put_all(struct buf *out, const struct side *old, const struct side *fresh)
{
    size_t o = 0, f = 0;
    for (;;) {
        while (o < old->count && f < fresh->count && !old->is_changed[o] && !fresh->is_changed[f]) {
            o++;
            f++;
        }
        if (o == old->count && f == fresh->count)
            return;
        size_t lead = o < DIFF_CONTEXT ? o : DIFF_CONTEXT;
        size_t o_from = o - lead, f_from = f - lead, same = 0;
        /* On until more than twice the context is unchanged, or the end. */
        while ((o < old->count || f < fresh->count) && same <= 2 * DIFF_CONTEXT) {
            if (o < old->count && old->is_changed[o]) {
                o++;
                same = 0;
            } else if (f < fresh->count && fresh->is_changed[f]) {
                f++;
                same = 0;
            } else {
                o++;
                f++;
                same++;
            }
        }
        size_t back = same > DIFF_CONTEXT ? same - DIFF_CONTEXT : 0;
        put_hunk(out, old, fresh, o_from, o - back, f_from, f - back);
    }
}

enum diff_result diff_unified(struct buf *out, const struct diff_text *old,
                              const struct diff_text *fresh, struct diff_count *ret)
{
    struct side a = { 0 }, b = { 0 };
    enum diff_result rc = split(old, &a);
    if (rc == DIFF_DONE)
        rc = split(fresh, &b);
    if (rc == DIFF_DONE)
        rc = compare(&a, &b);
    *ret = (struct diff_count){ 0 };
    for (size_t i = 0; rc == DIFF_DONE && i < a.count; i++)
        ret->removed += a.is_changed[i];
    for (size_t i = 0; rc == DIFF_DONE && i < b.count; i++)
        ret->added += b.is_changed[i];
    if (rc == DIFF_DONE && out && ret->removed + ret->added > 0) {
        put_label(out, "--- ", "a", old->path);
        put_label(out, "+++ ", "b", fresh->path);
        put_all(out, &a, &b);
    }
    free(a.lines);
    free(a.is_changed);
    free(b.lines);
    free(b.is_changed);
    return rc;
}
