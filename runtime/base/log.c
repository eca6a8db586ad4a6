/* The structured log: builds one line in memory and writes it with one write(2). */
#include "flopinio/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/utf8.h"

#define VALUE_MAX 400

static _Atomic int least = FL_LOG_INFO;
static enum fl_log_format format;
static char process_name[32];

static const char *const level_names[] = { "debug", "info", "warn", "error", "off" };

void fl_log_init(enum fl_log_level level, enum fl_log_format fmt)
{
    atomic_store(&least, (int)level);
    format = fmt;
}

enum fl_log_level fl_log_level(void)
{
    return (enum fl_log_level)atomic_load_explicit(&least, memory_order_relaxed);
}

bool fl_log_level_parse(struct fl_str text, enum fl_log_level *ret)
{
    for (size_t i = 0; i < FL_COUNTOF(level_names); i++) {
        if (fl_str_is(text, level_names[i])) {
            *ret = (enum fl_log_level)i;
            return true;
        }
    }
    return false;
}

void fl_log_process_name(const char *name)
{
    snprintf(process_name, sizeof process_name, "%s", name);
}

/* Printable code points as they are, everything else as \u{...}; invalid bytes as \x... */
static void put_escaped(struct fl_buf *line, struct fl_str s, bool is_json)
{
    size_t cut = fl_utf8_cut(s, VALUE_MAX), pos = 0;
    bool is_cut = cut < s.n;
    struct fl_str shown = { s.p, cut };
    while (pos < shown.n) {
        size_t from = pos;
        int32_t cp = fl_utf8_next(shown, &pos);
        if (cp == -2)
            fl_buf_printf(line, is_json ? "\\\\x%02x" : "\\x%02x", (unsigned char)s.p[from]);
        else if (cp == '"' || cp == '\\')
            fl_buf_printf(line, "\\%c", (char)cp);
        else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 ||
                 (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
                 (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff || cp >= 0xe0000)
            fl_buf_printf(line, is_json ? "\\\\u{%x}" : "\\u{%x}", (unsigned)cp);
        else
            fl_buf_put(line, s.p + from, pos - from);
    }
    if (is_cut)
        fl_buf_puts(line, "...");
}

static bool needs_quotes(struct fl_str s)
{
    if (s.n == 0)
        return true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return false;
}

static void put_string(struct fl_buf *line, struct fl_str s)
{
    bool is_json = format == FL_LOG_JSON, is_quoted = is_json || needs_quotes(s);
    if (is_quoted)
        fl_buf_putc(line, '"');
    put_escaped(line, s, is_json);
    if (is_quoted)
        fl_buf_putc(line, '"');
}

static void put_pair(struct fl_buf *line, const struct fl_kv *kv)
{
    char text[FL_UUID_TEXT];
    fl_buf_printf(line, format == FL_LOG_JSON ? ",\"%s\":" : " %s=", kv->key);
    switch (kv->type) {
    case FL_KV_INT: fl_buf_i64(line, kv->num); break;
    case FL_KV_STR: put_string(line, kv->str); break;
    case FL_KV_UUID: put_string(line, fl_str_of(fl_uuid_format(kv->id, text))); break;
    }
}

void fl_log_write(enum fl_log_level level, const char *event, const struct fl_kv *pairs)
{
    char at[FL_TIME_BYTES];
    struct fl_buf line;
    fl_buf_init(&line, 64 * 1024);
    fl_time_format(fl_real_ms(), at);
    if (format == FL_LOG_JSON)
        fl_buf_printf(&line, "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", at,
                      level_names[level], event);
    else
        fl_buf_printf(&line, "%s %s %s", at, level_names[level], event);
    if (process_name[0])
        put_pair(&line, &(struct fl_kv)FL_KS("process", process_name));
    for (; pairs->key; pairs++)
        put_pair(&line, pairs);
    fl_buf_puts(&line, format == FL_LOG_JSON ? "}\n" : "\n");
    if (!line.is_failed) {
        ssize_t wrote = write(STDERR_FILENO, line.p, line.n);
        FL_UNUSED(wrote); /* a log that cannot be written must not stop the work */
    }
    fl_buf_fini(&line);
}
