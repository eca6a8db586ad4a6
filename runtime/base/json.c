/* Helpers over jansson trees. Trees are written here and not by jansson: it prints 0.1 as
 * 0.10000000000000001 and recurses. Called by everything that holds a tree; any thread. */
#include "flopinio/base/json.h"

#include <math.h>

#include "decimal.h"
#include "flopinio/base/jcs.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"

json_t *fl_json_parse(struct fl_str text, struct fl_err *err)
{
    json_error_t why;
    if (fl_scan(text, &fl_scan_call, NULL, 0, NULL, err))
        return NULL;
    uint64_t failures = fl_mem_failures();
    json_t *root = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (fl_mem_failures() != failures) { /* the tree, if there is one, may lack bytes of the text */
        json_decref(root);
        fl_err_code(err, FL_NOMEM);
        return NULL;
    }
    /* The scan has settled all else: only numbers are left to be refused, or memory is out. */
    if (!root && json_error_code(&why) == json_error_numeric_overflow)
        fl_err_set(err, FL_BAD_JSON, "line %d, column %d: the number is too large", why.line,
                   why.column);
    else if (!root)
        fl_err_code(err, FL_NOMEM);
    return root;
}

/* ---- writing ---- */
struct frame {
    json_t *container;
    void *iter;   /* the next member of an object */
    size_t index; /* children written so far */
};

struct writer {
    struct fl_buf *out;
    struct frame *frames; /* owned */
    size_t depth, cap;
};

static void put_real(struct fl_buf *out, double value)
{
    char form[FL_DECIMAL_BYTES];
    fl_buf_puts(out, value == 0 && signbit(value) ? "-0" : fl_jcs_number(value, form));
    if (value == 0 || !strpbrk(form, ".e")) /* so that it is read back as a real */
        fl_buf_puts(out, ".0");
}

static void push(struct writer *w, json_t *container)
{
    if (w->depth == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct frame *frames = fl_reallocarray(w->frames, cap, sizeof *frames);
        if (!frames) {
            w->out->is_failed = true;
            return;
        }
        w->frames = frames;
        w->cap = cap;
    }
    w->frames[w->depth++] = (struct frame){ container, json_object_iter(container), 0 };
}

static void put_value(struct writer *w, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fl_buf_putc(w->out, '{');
        push(w, value);
        break;
    case JSON_ARRAY:
        fl_buf_putc(w->out, '[');
        push(w, value);
        break;
    case JSON_STRING: fl_buf_json_str(w->out, fl_json_str(value)); break;
    case JSON_INTEGER: fl_buf_i64(w->out, json_integer_value(value)); break;
    case JSON_REAL: put_real(w->out, json_real_value(value)); break;
    case JSON_TRUE: fl_buf_puts(w->out, "true"); break;
    case JSON_FALSE: fl_buf_puts(w->out, "false"); break;
    case JSON_NULL: fl_buf_puts(w->out, "null"); break;
    }
}

/* Writes the next child of the innermost container, or closes it. */
static void put_next(struct writer *w)
{
    struct frame *f = &w->frames[w->depth - 1];
    bool is_array = json_is_array(f->container);
    if (is_array ? f->index == json_array_size(f->container) : !f->iter) {
        fl_buf_putc(w->out, is_array ? ']' : '}');
        w->depth--;
        return;
    }
    if (f->index > 0)
        fl_buf_putc(w->out, ',');
    json_t *child;
    if (is_array) {
        child = json_array_get(f->container, f->index);
    } else {
        child = json_object_iter_value(f->iter);
        fl_buf_json_str(w->out, (struct fl_str){ json_object_iter_key(f->iter),
                                                 json_object_iter_key_len(f->iter) });
        fl_buf_putc(w->out, ':');
        f->iter = json_object_iter_next(f->container, f->iter);
    }
    f->index++;
    put_value(w, child); /* may move the frames */
}

bool fl_json_is_same(struct fl_str a, struct fl_str b)
{
    struct fl_err err;
    json_t *x = fl_json_parse(a, &err), *y = fl_json_parse(b, &err);
    bool is_same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return is_same;
}

void fl_json_put(struct fl_buf *out, const json_t *value)
{
    struct writer w = { .out = out };
    put_value(&w, (json_t *)value); /* jansson's iterators take no const; nothing is changed */
    while (w.depth && !out->is_failed)
        put_next(&w);
    fl_free(w.frames);
}

enum fl_code fl_json_put_canonical(struct fl_buf *out, const json_t *value, struct fl_err *err)
{
    struct fl_buf plain = FL_BUF_INIT;
    fl_json_put(&plain, value);
    enum fl_code code = fl_buf_code(&plain, err);
    if (code == FL_OK)
        code = fl_jcs(fl_buf_view(&plain), out, err);
    fl_buf_fini(&plain);
    return code;
}

/* ---- strings ---- */
struct fl_str fl_json_str(const json_t *value)
{
    if (!json_is_string(value))
        return (struct fl_str){ 0 };
    return (struct fl_str){ json_string_value(value), json_string_length(value) };
}

struct fl_str fl_json_get_str(const json_t *object, const char *name)
{
    return fl_json_str(json_object_get(object, name));
}

json_t *fl_json_new_str(struct fl_str s)
{
    return json_stringn(s.n ? s.p : "", s.n);
}

/* ---- pointers ---- */
bool fl_json_pointer_next(struct fl_str pointer, size_t *pos, struct fl_buf *scratch,
                          struct fl_str *ret_token)
{
    if (*pos >= pointer.n || pointer.p[*pos] != '/')
        return false;
    const char *from = pointer.p + *pos + 1;
    size_t left = pointer.n - *pos - 1;
    const char *slash = left ? memchr(from, '/', left) : NULL;
    struct fl_str token = { from, slash ? (size_t)(slash - from) : left };
    size_t raw = token.n;
    if (raw && memchr(from, '~', raw)) {
        fl_buf_reset(scratch);
        for (size_t i = 0; i < raw; i++) {
            if (from[i] != '~')
                fl_buf_putc(scratch, from[i]);
            else if (++i < raw && (from[i] == '0' || from[i] == '1'))
                fl_buf_putc(scratch, from[i] == '0' ? '~' : '/');
            else
                return false;
        }
        if (scratch->is_failed)
            return false;
        token = fl_buf_view(scratch);
    }
    *pos += 1 + raw;
    *ret_token = token;
    return true;
}

bool fl_json_pointer_index(struct fl_str token, size_t *ret)
{
    unsigned long long index;
    if (!fl_str_to_u64(token, &index) || index > SIZE_MAX || (token.n > 1 && token.p[0] == '0'))
        return false;
    *ret = (size_t)index;
    return true;
}

json_t *fl_json_pointer(json_t *root, struct fl_str pointer)
{
    struct fl_buf scratch = FL_BUF_INIT;
    struct fl_str token;
    size_t pos = 0, index;
    json_t *at = root;
    while (at && fl_json_pointer_next(pointer, &pos, &scratch, &token)) {
        if (json_is_array(at))
            at = fl_json_pointer_index(token, &index) ? json_array_get(at, index) : NULL;
        else /* NULL if it is no object */
            at = json_object_getn(at, token.p, token.n);
    }
    fl_buf_fini(&scratch);
    return pos == pointer.n ? at : NULL;
}

void fl_json_pointer_add(struct fl_buf *out, struct fl_str token)
{
    fl_buf_putc(out, '/');
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] == '~')
            fl_buf_put(out, "~0", 2);
        else if (token.p[i] == '/')
            fl_buf_put(out, "~1", 2);
        else
            fl_buf_putc(out, token.p[i]);
    }
}
