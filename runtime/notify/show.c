/* Escapes for everything that is not plainly printable, and the way back. */
#include "runtime/notify/show.h"

#include "flopinio/base/utf8.h"
#include "runtime/notify/show_priv.h"

enum { MARKS_IN_A_ROW = 4, SCRIPT_LATIN = 1 };

struct glyph {
    unsigned flags; /* FL_RUN_* */
    unsigned script;
};

static struct glyph look_up(uint32_t cp)
{
    size_t low = 0, high = fl_show_run_count; /* the first run starts at 0 */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((fl_show_runs[middle] & 0x1fffff) <= cp)
            low = middle;
        else
            high = middle;
    }
    return (struct glyph){ fl_show_runs[low] >> 21 & 31, fl_show_runs[low] >> 26 };
}

/* ---- scripts ---- */

static uint64_t script_bit(const char *name)
{
    unsigned i = 1;
    while (strcmp(fl_show_script_names[i], name) != 0)
        i++;
    return 1ULL << i;
}

/* Whether a word may be written in these scripts ("highly restrictive" of Unicode UTS 39, 5.2: one
 * script, or Latin together with the scripts of Chinese, Japanese or Korean). */
static bool is_mixed(uint64_t scripts)
{
    if ((scripts & (scripts - 1)) == 0)
        return false;
    static const char *const east[] = { "Han",    "Hiragana", "Katakana",
                                        "Hangul", "Bopomofo", "fullwidth Latin" };
    const uint64_t latin = 1ULL << SCRIPT_LATIN;
    uint64_t allowed = latin;
    for (size_t i = 0; i < FL_COUNTOF(east); i++)
        allowed |= script_bit(east[i]);
    bool has_both_latins = scripts & latin && scripts & script_bit("fullwidth Latin");
    return (scripts & ~allowed) != 0 || has_both_latins;
}

void fl_show_scripts(struct fl_buf *out, uint64_t mixed)
{
    const char *between = "";
    for (unsigned i = 1; i < 64; i++) {
        if (mixed >> i & 1) {
            fl_buf_puts(out, between);
            fl_buf_puts(out, fl_show_script_names[i]);
            between = ", ";
        }
    }
}

/* ---- showing ---- */

/* What the text so far means for the next code point. */
struct reading {
    unsigned flags; /* enum fl_show_flag */
    bool has_base;  /* a mark may follow: a letter or digit and fewer than four marks */
    unsigned marks;
    bool is_host;     /* inside a host name */
    int32_t last[2];  /* the two code points before, newest first */
    uint64_t scripts; /* of the word so far */
};

static void end_word(struct reading *r, struct fl_show_notes *notes)
{
    if (notes && is_mixed(r->scripts))
        notes->mixed |= r->scripts;
    r->scripts = 0;
}

static bool is_ascii_word(int32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A host name follows "://", and "@" behind a word; it ends at whatever no address has. */
static void follow_host(struct reading *r, int32_t cp, struct glyph glyph)
{
    if ((cp == '/' && r->last[0] == '/' && r->last[1] == ':') ||
        (cp == '@' && is_ascii_word(r->last[0])))
        r->is_host = true;
    else if (cp >= 0 && cp < 0x80)
        r->is_host = r->is_host && (is_ascii_word(cp) || (cp && strchr(".-_:@%", cp)));
    else if (cp >= 0x80 && !(glyph.flags & FL_RUN_WORD) && cp != 0x3002 && cp != 0xff61)
        r->is_host = false; /* those two are dots to a browser */
    r->last[1] = r->last[0];
    r->last[0] = cp;
}

static void put_escape(struct fl_buf *out, uint32_t cp)
{
    if (cp == '\n' || cp == '\r' || cp == '\t')
        fl_buf_puts(out, cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : "\\t");
    else
        fl_buf_printf(out, "\\u{%X}", cp);
}

static void put_ascii(struct fl_buf *out, char c, struct reading *r, struct fl_show_notes *notes)
{
    bool is_word = is_ascii_word(c);
    if (c == '\\' || (c == '"' && r->flags & FL_SHOW_QUOTED)) {
        fl_buf_putc(out, '\\');
        fl_buf_putc(out, c);
    } else if (c >= 0x20 && c <= 0x7e) {
        fl_buf_putc(out, c);
    } else {
        put_escape(out, (unsigned char)c);
    }
    if (is_word && (c < '0' || c > '9'))
        r->scripts |= 1ULL << SCRIPT_LATIN;
    else if (!is_word && c != '_')
        end_word(r, notes);
    r->has_base = is_word;
    r->marks = 0;
}

static void put_other(struct fl_buf *out, uint32_t cp, struct glyph glyph, struct reading *r,
                      struct fl_show_notes *notes)
{
    bool is_mark = glyph.flags & FL_RUN_MARK, is_rtl = glyph.flags & FL_RUN_RTL;
    if (!(glyph.flags & FL_RUN_SHOWN) || r->flags & FL_SHOW_ASCII || r->is_host ||
        (is_mark && !r->has_base) || (is_rtl && r->flags & FL_SHOW_COMPOSED)) {
        put_escape(out, cp);
        end_word(r, notes);
        r->has_base = false;
        return;
    }
    fl_utf8_put(out, cp);
    if (notes && is_rtl)
        notes->is_rtl = true;
    if (glyph.script)
        r->scripts |= 1ULL << glyph.script;
    else if (!(glyph.flags & FL_RUN_WORD))
        end_word(r, notes);
    r->marks = is_mark ? r->marks + 1 : 0;
    r->has_base = is_mark ? r->marks < MARKS_IN_A_ROW : (glyph.flags & FL_RUN_WORD) != 0;
}

void fl_show(struct fl_buf *out, struct fl_str s, unsigned flags, struct fl_show_notes *notes)
{
    struct reading r = { .flags = flags };
    bool has_last_space = s.n && s.p[s.n - 1] == ' ' && !(flags & FL_SHOW_OPEN);
    size_t n = has_last_space ? s.n - 1 : s.n, pos = 0;
    struct fl_str text = { s.p, n };
    while (pos < n) {
        size_t at = pos;
        int32_t cp = fl_utf8_next(text, &pos);
        struct glyph glyph = { 0, 0 };
        if (cp >= 0x80)
            glyph = look_up((uint32_t)cp);
        /* The host ends before what ends it is shown; it starts behind what starts it. */
        bool was_host = r.is_host;
        follow_host(&r, cp, glyph);
        bool is_host = r.is_host;
        r.is_host = was_host && is_host;
        if (cp < 0) {
            fl_buf_printf(out, "\\x{%02X}", (unsigned char)text.p[at]);
            end_word(&r, notes);
            r.has_base = false;
        } else if (cp < 0x80) {
            put_ascii(out, (char)cp, &r, notes);
        } else {
            put_other(out, (uint32_t)cp, glyph, &r, notes);
        }
        r.is_host = is_host;
    }
    if (has_last_space)
        put_escape(out, ' ');
    end_word(&r, notes);
}

/* ---- the way back ---- */

/* "{2A}" with one to six upper-case digits at *pos. */
static bool take_hex(struct fl_str s, size_t *pos, uint32_t *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    uint32_t value = 0;
    size_t at = *pos, count = 0;
    if (at >= s.n || s.p[at++] != '{')
        return false;
    for (; at < s.n && s.p[at] != '}' && count < 6; at++, count++) {
        const char *digit = s.p[at] ? strchr(digits, s.p[at]) : NULL;
        if (!digit)
            return false;
        value = value << 4 | (uint32_t)(digit - digits);
    }
    if (at >= s.n || s.p[at] != '}' || count == 0)
        return false;
    *pos = at + 1;
    *ret = value;
    return true;
}

static bool take_escape(struct fl_buf *out, struct fl_str s, size_t *pos)
{
    if (*pos >= s.n)
        return false;
    char c = s.p[(*pos)++];
    uint32_t value;
    switch (c) {
    case '\\':
    case '"': fl_buf_putc(out, c); return true;
    case 'n': fl_buf_putc(out, '\n'); return true;
    case 'r': fl_buf_putc(out, '\r'); return true;
    case 't': fl_buf_putc(out, '\t'); return true;
    case 'x':
        if (!take_hex(s, pos, &value) || value > 0xff)
            return false;
        fl_buf_putc(out, (char)value);
        return true;
    case 'u':
        if (!take_hex(s, pos, &value) || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
        fl_utf8_put(out, value);
        return true;
    default: return false;
    }
}

bool fl_show_inverse(struct fl_buf *out, struct fl_str shown)
{
    size_t pos = 0;
    while (pos < shown.n) {
        char c = shown.p[pos++];
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return false;
        if (c != '\\')
            fl_buf_putc(out, c);
        else if (!take_escape(out, shown, &pos))
            return false;
    }
    return !out->is_failed;
}

/* ---- measures ---- */

bool fl_show_is_plain(uint32_t code_point)
{
    return code_point != '\\' && (look_up(code_point).flags & FL_RUN_SHOWN) != 0;
}

static size_t cells_of(int32_t cp, struct glyph glyph)
{
    return cp >= 0x80 && glyph.flags & FL_RUN_WIDE ? 2 : 1;
}

size_t fl_show_width(struct fl_str s)
{
    size_t width = 0, pos = 0;
    while (pos < s.n) {
        int32_t cp = fl_utf8_next(s, &pos);
        width += cells_of(cp, cp < 0 ? (struct glyph){ 0, 0 } : look_up((uint32_t)cp));
    }
    return width;
}

size_t fl_show_cut(struct fl_str s, size_t cells)
{
    size_t pos = 0, good = 0, width = 0;
    while (pos < s.n) {
        size_t at = pos;
        int32_t cp = fl_utf8_next(s, &pos);
        struct glyph glyph = cp < 0 ? (struct glyph){ 0, 0 } : look_up((uint32_t)cp);
        if (at > 0 && !(glyph.flags & FL_RUN_MARK))
            good = at;
        width += cells_of(cp, glyph);
        if (width > cells)
            return good ? good : pos;
    }
    return s.n;
}
