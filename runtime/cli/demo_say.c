/* What the demo says. Its own sentences are folded; what others wrote is quoted as it stands, with
 * a margin in front and nothing in it that a terminal would obey. */
#include <stdarg.h>
#include <stdio.h>

#include "runtime/cli/demo_priv.h"
#include "runtime/notify/show.h"

#define MARGIN 3

void demo_title(struct demo *d, const char *title)
{
    printf("\n%s%2d. %s%s\n", d->has_colour ? "\033[1m" : "", ++d->step, title,
           d->has_colour ? "\033[0m" : "");
    fflush(stdout);
}

static size_t cells(const char *word, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)word[i] & 0xc0) != 0x80;
    return count;
}

void demo_say(struct demo *d, const char *fmt, ...)
{
    struct fl_buf text = FL_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    size_t column = 0;
    for (const char *at = text.is_failed || !text.p ? "" : text.p; *at;) {
        size_t n = strcspn(at, " "), width = cells(at, n);
        bool is_first = column == 0 || column + 1 + width > d->width;
        if (column && is_first)
            putchar('\n');
        printf("%*s%.*s", is_first ? MARGIN : 1, "", (int)n, at);
        column = is_first ? MARGIN + width : column + 1 + width;
        at += n;
        at += strspn(at, " ");
    }
    putchar('\n');
    fflush(stdout);
    fl_buf_fini(&text);
}

/* Up to the last space of a row's second half, if it has one. */
static size_t row_of(struct fl_str shown, size_t room)
{
    size_t n = fl_show_cut(shown, room), at = n;
    while (n < shown.n && at > n / 2 && shown.p[at - 1] != ' ')
        at--;
    return n < shown.n && at > n / 2 ? at : n;
}

/* One line in rows of the terminal's width; a row that goes on has another mark. */
static void put_rows(const struct demo *d, struct fl_str shown)
{
    const char *mark = "|";
    do {
        size_t n = row_of(shown, d->width - MARGIN - 2);
        size_t used = n < shown.n && shown.p[n - 1] == ' ' ? n - 1 : n;
        printf("%*s%s %.*s\n", MARGIN, "", mark, (int)used, shown.n ? shown.p : "");
        shown = (struct fl_str){ shown.p + n, shown.n - n };
        mark = ">";
    } while (shown.n);
}

void demo_quote(struct demo *d, struct fl_str text)
{
    for (size_t from = 0; from < text.n;) {
        const char *end = memchr(text.p + from, '\n', text.n - from);
        size_t n = end ? (size_t)(end - text.p) - from : text.n - from;
        struct fl_buf line = FL_BUF_INIT;
        fl_show(&line, (struct fl_str){ text.p + from, n }, 0, NULL);
        put_rows(d, line.is_failed ? FL_STR("(out of memory)") : fl_buf_view(&line));
        fl_buf_fini(&line);
        from += n + 1;
    }
    fflush(stdout);
}

bool demo_fail(struct demo *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fl_err_vset(&d->err, FL_IO, fmt, ap);
    va_end(ap);
    return false;
}
