/* Rows of a query as JSON. */
#include <string.h>

#include "flopinio/base/clock.h"
#include "runtime/console/api.h"

static void put_csv(struct fl_buf *out, struct fl_str csv)
{
    fl_buf_putc(out, '[');
    for (size_t from = 0; csv.n && from <= csv.n;) {
        size_t to = from;
        while (to < csv.n && csv.p[to] != ',')
            to++;
        if (from)
            fl_buf_putc(out, ',');
        fl_buf_json_str(out, (struct fl_str){ csv.p + from, to - from });
        from = to + 1;
    }
    fl_buf_putc(out, ']');
}

static void put_cell(struct fl_buf *out, const struct fl_query *q, int row, int col, char kind)
{
    char text[FL_TIME_BYTES];
    if (fl_cell_is_null(q, row, col) && kind != 'c') {
        fl_buf_puts(out, "null");
        return;
    }
    switch (kind) {
    case 'i': fl_buf_i64(out, fl_cell_int(q, row, col)); break;
    case 'b': fl_buf_puts(out, fl_cell_bool(q, row, col) ? "true" : "false"); break;
    case 'm':
        fl_buf_json_str(out, fl_str_of(fl_time_format_s(fl_cell_int(q, row, col), text)));
        break;
    case 'c': put_csv(out, fl_cell(q, row, col)); break;
    case 'j': fl_buf_str(out, fl_cell(q, row, col)); break;
    case 'd':
        fl_buf_json_str(out, fl_str_of(fl_duration_format(fl_cell_int(q, row, col), text)));
        break;
    default: fl_buf_json_str(out, fl_cell(q, row, col)); break;
    }
}

void fl_api_row(struct fl_buf *out, const struct fl_query *q, int row, const char *spec)
{
    int col = 0;
    bool is_next = false;
    fl_buf_putc(out, '{');
    for (const char *p = spec; *p; col++) {
        size_t n = strcspn(p, " ");
        const char *colon = memchr(p, ':', n);
        if (colon) {
            if (is_next)
                fl_buf_putc(out, ',');
            fl_buf_json_str(out, (struct fl_str){ p, (size_t)(colon - p) });
            fl_buf_putc(out, ':');
            put_cell(out, q, row, col, colon[1]);
            is_next = true;
        }
        p += n + (p[n] == ' ');
    }
    fl_buf_putc(out, '}');
}

void fl_api_rows(struct fl_buf *out, const struct fl_query *q, const char *spec)
{
    fl_buf_puts(out, "{\"items\":[");
    for (int i = 0; i < fl_rows(q); i++) {
        if (i)
            fl_buf_putc(out, ',');
        fl_api_row(out, q, i, spec);
    }
    fl_buf_puts(out, "]}");
}
