/* Static types: reading their letters, fitting one to another by binding type variables, joining
 * two into the most general, printing. Every walk is bounded in depth, and all walks of one
 * compilation together by WORK_MAX: types can share parts, so a small text can name a huge one.
 * Source: cel-spec, Language Definition, "Gradual Type Checking". Called by the checker. */
#include "policy/cel_priv.h"

enum { DEPTH_MAX = 2 * CEL_HEIGHT_MAX, WORK_MAX = 200000 };

struct cel_binding {
    struct cel_type *var;
    const struct cel_type *before;
};

static const struct cel_type simple[] = {
    { .kind = FL_CEL_NULL },      { .kind = FL_CEL_BOOL },     { .kind = FL_CEL_INT },
    { .kind = FL_CEL_UINT },      { .kind = FL_CEL_DOUBLE },   { .kind = FL_CEL_STRING },
    { .kind = FL_CEL_BYTES },     { .kind = FL_CEL_LIST },     { .kind = FL_CEL_MAP },
    { .kind = FL_CEL_TIMESTAMP }, { .kind = FL_CEL_DURATION }, { .kind = FL_CEL_TYPE },
    { .kind = FL_CEL_OPTIONAL },  { .kind = FL_CEL_ERROR },    { .kind = CEL_TYPE_DYN },
    { .kind = CEL_TYPE_NUMBER },
};
const struct cel_type cel_dyn = { .kind = CEL_TYPE_DYN };

const struct cel_type *cel_type_simple(int kind)
{
    FL_ASSERT(kind >= 0 && kind < (int)FL_COUNTOF(simple) && kind != FL_CEL_LIST &&
              kind != FL_CEL_MAP && kind != FL_CEL_OPTIONAL && simple[kind].kind == kind);
    return &simple[kind];
}

const struct cel_type *cel_type_new(struct cel_compile *c, int kind, const struct cel_type *a,
                                    const struct cel_type *b)
{
    struct cel_type *type = FL_ARENA_NEW(c->scratch, struct cel_type);
    if (!type) {
        cel_nomem(c);
        return &cel_dyn; /* the compilation has failed; its passes need a type to walk on with */
    }
    *type = (struct cel_type){ .kind = kind, .a = a, .b = b };
    return type;
}

const struct cel_type *cel_type_read(struct cel_compile *c, const char **text,
                                     const struct cel_type **vars)
{
    static const char letters[] = "nbiudsytDT*N";
    static const int kinds[] = { FL_CEL_NULL,     FL_CEL_BOOL,   FL_CEL_INT,   FL_CEL_UINT,
                                 FL_CEL_DOUBLE,   FL_CEL_STRING, FL_CEL_BYTES, FL_CEL_TIMESTAMP,
                                 FL_CEL_DURATION, FL_CEL_TYPE,   CEL_TYPE_DYN, CEL_TYPE_NUMBER };
    char letter = *(*text)++;
    const struct cel_type *a, *b;
    switch (letter) {
    case 'A':
    case 'B':
        FL_ASSERT(vars);
        if (!vars[letter - 'A'])
            vars[letter - 'A'] = cel_type_new(c, CEL_TYPE_VAR, NULL, NULL);
        return vars[letter - 'A'];
    case '[':
        a = cel_type_read(c, text, vars); /* as deep as the letters of our own tables */
        return cel_type_new(c, FL_CEL_LIST, a, NULL);
    case '?': a = cel_type_read(c, text, vars); return cel_type_new(c, FL_CEL_OPTIONAL, a, NULL);
    case '{':
        a = cel_type_read(c, text, vars);
        b = cel_type_read(c, text, vars);
        FL_ASSERT(*(*text)++ == '}');
        return cel_type_new(c, FL_CEL_MAP, a, b);
    default: break;
    }
    const char *at = letter ? strchr(letters, letter) : NULL;
    FL_ASSERT(at);
    return cel_type_simple(kinds[at - letters]);
}

const struct cel_type *cel_type_of(const struct cel_type *type)
{
    while (type->kind == CEL_TYPE_VAR && type->bound)
        type = type->bound;
    return type;
}

bool cel_type_is_dyn(const struct cel_type *type)
{
    type = cel_type_of(type);
    return type->kind == CEL_TYPE_DYN || type->kind == CEL_TYPE_VAR;
}

static bool bind(struct cel_compile *c, const struct cel_type *var, const struct cel_type *to)
{
    if (c->trail_count == c->trail_cap) {
        size_t cap = c->trail_cap ? c->trail_cap * 2 : 32;
        struct cel_binding *trail = fl_arena_array(c->scratch, cap, sizeof *trail);
        if (!trail)
            return cel_nomem(c);
        if (c->trail_count)
            memcpy(trail, c->trail, c->trail_count * sizeof *trail);
        c->trail = trail;
        c->trail_cap = cap;
    }
    struct cel_type *own = (struct cel_type *)var; /* variables are made by cel_type_new */
    c->trail[c->trail_count++] = (struct cel_binding){ own, own->bound };
    own->bound = to;
    return true;
}

void cel_type_undo(struct cel_compile *c, size_t trail_count)
{
    while (c->trail_count > trail_count) {
        const struct cel_binding *last = &c->trail[--c->trail_count];
        last->var->bound = last->before;
    }
}

/* Would binding `var` to `type` make a type inside itself? Also true for a type too deep to be
 * one that anybody wrote. */
static bool occurs(const struct cel_type *var, const struct cel_type *type)
{
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        type = cel_type_of(type);
        if (type == var)
            return true;
        if (type->kind == FL_CEL_MAP)
            type = type->b;
        else if (type->kind == FL_CEL_LIST || type->kind == FL_CEL_OPTIONAL)
            type = type->a;
        else
            return false;
    }
    return true;
}

/* One step of a walk; false when there were too many. */
static bool work(struct cel_compile *c)
{
    if (c->type_work < WORK_MAX) {
        c->type_work++;
        return true;
    }
    cel_error(c, 0, "the types of this expression are too large to check");
    return false;
}

/* Null may stand for these, for the sake of old expressions; the published cases want it so. */
static bool is_nullable(const struct cel_type *type)
{
    return type->kind == FL_CEL_TIMESTAMP || type->kind == FL_CEL_DURATION ||
           type->kind == FL_CEL_OPTIONAL;
}

static bool fit(struct cel_compile *c, const struct cel_type *to, const struct cel_type *from,
                unsigned depth)
{
    if (!work(c))
        return false;
    if (to->kind == CEL_TYPE_VAR && to->bound) {
        /* Seen before: it has to fit, and from now on stands for the more general of the two. */
        const struct cel_type *bound = cel_type_of(to);
        if (bound->kind == CEL_TYPE_VAR)
            return fit(c, bound, from, depth);
        if (depth > DEPTH_MAX || !fit(c, bound, from, depth + 1))
            return false;
        const struct cel_type *joined = cel_type_join(c, bound, from);
        return occurs(to, joined) || bind(c, to, joined);
    }
    from = cel_type_of(from);
    if (to == from)
        return true;
    if (to->kind == CEL_TYPE_VAR)
        return !occurs(to, from) && bind(c, to, from);
    if (from->kind == CEL_TYPE_VAR)
        return to->kind == CEL_TYPE_NUMBER || (!occurs(from, to) && bind(c, from, to));
    if (to->kind == CEL_TYPE_DYN || from->kind == CEL_TYPE_DYN)
        return true;
    if (to->kind == CEL_TYPE_NUMBER)
        return from->kind == FL_CEL_INT || from->kind == FL_CEL_UINT || from->kind == FL_CEL_DOUBLE;
    if (from->kind == FL_CEL_NULL && is_nullable(to))
        return true;
    if (to->kind != from->kind || depth > DEPTH_MAX)
        return false;
    switch (to->kind) {
    case FL_CEL_LIST:
    case FL_CEL_OPTIONAL: return fit(c, to->a, from->a, depth + 1);
    case FL_CEL_MAP: return fit(c, to->a, from->a, depth + 1) && fit(c, to->b, from->b, depth + 1);
    default: return true;
    }
}

bool cel_type_fit(struct cel_compile *c, const struct cel_type *to, const struct cel_type *from)
{
    return fit(c, to, from, 0) && c->code == FL_OK;
}

static const struct cel_type *join(struct cel_compile *c, const struct cel_type *a,
                                   const struct cel_type *b, unsigned depth)
{
    a = cel_type_of(a);
    b = cel_type_of(b);
    if (a == b)
        return a;
    if (a->kind == CEL_TYPE_VAR)
        return !occurs(a, b) && bind(c, a, b) ? b : &cel_dyn;
    if (b->kind == CEL_TYPE_VAR)
        return !occurs(b, a) && bind(c, b, a) ? a : &cel_dyn;
    if (a->kind == FL_CEL_NULL && is_nullable(b))
        return b;
    if (b->kind == FL_CEL_NULL && is_nullable(a))
        return a;
    if (a->kind != b->kind || depth > DEPTH_MAX || !work(c))
        return &cel_dyn;
    switch (a->kind) {
    case FL_CEL_LIST:
    case FL_CEL_OPTIONAL: return cel_type_new(c, a->kind, join(c, a->a, b->a, depth + 1), NULL);
    case FL_CEL_MAP:
        return cel_type_new(c, a->kind, join(c, a->a, b->a, depth + 1),
                            join(c, a->b, b->b, depth + 1));
    default: return a;
    }
}

const struct cel_type *cel_type_join(struct cel_compile *c, const struct cel_type *a,
                                     const struct cel_type *b)
{
    return join(c, a, b, 0);
}

static void put(struct fl_buf *out, const struct cel_type *type, unsigned depth)
{
    type = cel_type_of(type);
    if (out->is_failed)
        return; /* the buffer's bound is the bound of this walk */
    if (depth > DEPTH_MAX || type->kind == CEL_TYPE_DYN || type->kind == CEL_TYPE_VAR) {
        fl_buf_puts(out, "dyn");
        return;
    }
    fl_buf_puts(out, fl_cel_kind_name((enum fl_cel_kind)type->kind));
    if (!type->a)
        return;
    fl_buf_putc(out, '(');
    put(out, type->a, depth + 1);
    if (type->b) {
        fl_buf_puts(out, ", ");
        put(out, type->b, depth + 1);
    }
    fl_buf_putc(out, ')');
}

void cel_type_put(struct fl_buf *out, const struct cel_type *type)
{
    put(out, type, 0);
}
