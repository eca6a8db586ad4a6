/* Names: which variable, function or type a name means, which local a macro's variable is, which
 * places of the arguments are read.
 * Source: cel-spec, Language Definition, "Name Resolution". Called by fl_cel_compile. Any thread.
 */
#include <stdio.h>

#include "policy/cel_priv.h"

static const struct {
    const char *name;
    enum fl_cel_kind kind;
} type_names[] = {
    { "bool", FL_CEL_BOOL },
    { "int", FL_CEL_INT },
    { "uint", FL_CEL_UINT },
    { "double", FL_CEL_DOUBLE },
    { "string", FL_CEL_STRING },
    { "bytes", FL_CEL_BYTES },
    { "list", FL_CEL_LIST },
    { "map", FL_CEL_MAP },
    { "null_type", FL_CEL_NULL },
    { "type", FL_CEL_TYPE },
    { "optional_type", FL_CEL_OPTIONAL },
    { "google.protobuf.Timestamp", FL_CEL_TIMESTAMP },
    { "google.protobuf.Duration", FL_CEL_DURATION },
};

const char *fl_cel_kind_name(enum fl_cel_kind kind)
{
    for (size_t i = 0; i < FL_COUNTOF(type_names); i++) {
        if (type_names[i].kind == kind)
            return type_names[i].name;
    }
    return "error";
}

/* `is_extended`: the caller names a place below this one, so this one is not recorded itself.
 * *ret_path: its place below env->tree; p NULL if it has none. */
static bool resolve(struct cel_compile *c, struct cel_node *node, bool is_extended,
                    struct fl_str *ret_path);

/* ---- the places of the tree that are read ---- */
static struct fl_str path_join(struct cel_compile *c, struct fl_str path, struct fl_str name)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_str(&out, path);
    fl_buf_putc(&out, '/');
    for (size_t i = 0; i < name.n; i++) { /* RFC 6901 section 3 */
        if (name.p[i] == '~')
            fl_buf_puts(&out, "~0");
        else if (name.p[i] == '/')
            fl_buf_puts(&out, "~1");
        else
            fl_buf_putc(&out, name.p[i]);
    }
    struct fl_str joined = { NULL, 0 };
    if (!out.is_failed)
        joined = fl_arena_str(c->scratch, fl_buf_view(&out));
    if (!joined.p)
        cel_nomem(c);
    fl_buf_fini(&out);
    return joined;
}

static void path_record(struct cel_compile *c, struct fl_str path)
{
    for (size_t i = 0; i < c->path_count; i++) {
        if (fl_str_is(path, c->paths[i]))
            return;
    }
    if (c->path_count < FL_CEL_PATHS_MAX) /* more could only be warned about, and are not */
        c->paths[c->path_count++] = path.p;
}

/* ---- names ---- */
static const struct cel_local *local_find(const struct cel_compile *c, struct fl_str name,
                                          size_t *ret_at)
{
    for (size_t i = c->local_count; i-- > 0;) {
        if (fl_str_eq(c->locals[i].name, name)) {
            *ret_at = i;
            return &c->locals[i];
        }
    }
    return NULL;
}

/* `name` as the root of an expression is a macro's variable. */
static bool is_local(const struct cel_compile *c, const struct cel_node *root)
{
    size_t at;
    return !root->is_absolute && local_find(c, root->name, &at);
}

/* The dotted name that a chain of selects spells, from the arena; p NULL if it is none. */
static struct fl_str dotted(struct cel_compile *c, const struct cel_node *node, struct fl_str last,
                            const struct cel_node **ret_root)
{
    struct fl_buf out = FL_BUF_INIT;
    const struct cel_node *chain[CEL_HEIGHT_MAX];
    size_t count = 0;
    struct fl_str name = { NULL, 0 };
    for (; node->op == CEL_SELECT; node = node->kids[0]) {
        if (node->is_test || node->is_optional || node->is_quoted)
            return name;
        chain[count++] = node;
    }
    if (node->op != CEL_IDENT)
        return name;
    *ret_root = node;
    fl_buf_str(&out, node->name);
    while (count > 0) {
        fl_buf_putc(&out, '.');
        fl_buf_str(&out, chain[--count]->name);
    }
    if (last.n) {
        fl_buf_putc(&out, '.');
        fl_buf_str(&out, last);
    }
    if (!out.is_failed)
        name = fl_arena_str(c->scratch, fl_buf_view(&out));
    if (!name.p)
        cel_nomem(c);
    fl_buf_fini(&out);
    return name;
}

/* Candidates for a name inside the container a.b: a.b.name, a.name, name. `*length` starts as
 * SIZE_MAX and counts down the container; false when all were given. */
static bool candidate(struct cel_compile *c, struct fl_str name, bool is_absolute, size_t *length,
                      struct fl_str *ret)
{
    struct fl_str container = fl_str_of(c->env->container);
    if (*length == 0)
        return false;
    if (is_absolute || container.n == 0) {
        *length = 0;
        *ret = name;
        return true;
    }
    if (*length == SIZE_MAX) {
        *length = container.n + 1;
    } else {
        do
            (*length)--;
        while (*length > 0 && container.p[*length - 1] != '.');
    }
    /* *length - 1 bytes of the container are the prefix; 0 means none is left. */
    char *text = *length == 0 ? fl_arena_printf(c->scratch, "%.*s", FL_STR_ARG(name))
                              : fl_arena_printf(c->scratch, "%.*s.%.*s", (int)*length - 1,
                                                container.p, FL_STR_ARG(name));
    if (!text)
        return cel_nomem(c);
    *ret = fl_str_of(text);
    return true;
}

/* Turns the node into the variable or type of this name; false if there is none. */
static bool become_named(struct cel_compile *c, struct cel_node *node, struct fl_str name,
                         bool is_absolute, struct fl_str *ret_path)
{
    struct fl_str full = { NULL, 0 };
    for (size_t length = SIZE_MAX; candidate(c, name, is_absolute, &length, &full);) {
        for (size_t i = 0; i < c->env->var_count; i++) {
            if (!fl_str_is(full, c->env->vars[i].name))
                continue;
            node->op = CEL_VAR;
            node->slot = (uint16_t)i;
            node->kid_count = 0;
            c->program->reads |= UINT32_C(1) << i;
            if (c->env->tree && fl_str_is(full, c->env->tree))
                *ret_path = FL_STR("");
            return true;
        }
        for (size_t i = 0; i < FL_COUNTOF(type_names); i++) {
            if (!fl_str_is(full, type_names[i].name))
                continue;
            node->op = CEL_CONST;
            node->kid_count = 0;
            node->value = (struct fl_cel_value){ .kind = FL_CEL_TYPE, .type = type_names[i].kind };
            return true;
        }
    }
    return false;
}

/* An unknown name: an error now, or, unchecked, when it is evaluated. */
static bool unknown(struct cel_compile *c, struct cel_node *node, const char *what,
                    struct fl_str name, struct fl_str nearest)
{
    if (c->env->is_unchecked) {
        node->op = CEL_FAIL;
        node->name = fl_str_of(what);
        return true;
    }
    if (nearest.n)
        cel_error(c, node->at, "%s '%.*s'; did you mean '%.*s'?", what, FL_STR_ARG(name),
                  FL_STR_ARG(nearest));
    else
        cel_error(c, node->at, "%s '%.*s'", what, FL_STR_ARG(name));
    return false;
}

/* How far a name may be from one that exists to be taken for a slip of it, and one more. */
static unsigned reach(struct fl_str name)
{
    return name.n >= 6 ? 4 : (unsigned)name.n / 2 + 1;
}

static void nearer(struct fl_str name, const char *known, struct fl_str *best, unsigned *distance)
{
    unsigned d = fl_str_distance(name, fl_str_of(known));
    if (d < *distance) {
        *distance = d;
        *best = fl_str_of(known);
    }
}

static bool unknown_name(struct cel_compile *c, struct cel_node *node, struct fl_str name)
{
    struct fl_str best = { NULL, 0 };
    unsigned distance = reach(name);
    for (size_t i = 0; i < c->env->var_count; i++)
        nearer(name, c->env->vars[i].name, &best, &distance);
    return unknown(c, node, "unknown name", name, best);
}

static bool unknown_function(struct cel_compile *c, struct cel_node *node)
{
    struct fl_str best = { NULL, 0 };
    unsigned distance = reach(node->name);
    if (cel_fn_find(node->name, !node->is_method)) {
        struct fl_str none = { NULL, 0 };
        return unknown(c, node,
                       node->is_method ? "a value has no function" : "called without a value:",
                       node->name, none);
    }
    for (size_t i = 0; i < cel_fn_count; i++) {
        if (cel_fns[i].is_method == node->is_method)
            nearer(node->name, cel_fns[i].name, &best, &distance);
    }
    return unknown(c, node, "unknown function", node->name, best);
}

/* Whether any part of the dotted name that `node` spells is a variable or a type. */
static bool is_partly_known(struct cel_compile *c, const struct cel_node *node)
{
    struct cel_node probe = { .op = CEL_IDENT };
    struct fl_str none = { NULL, 0 }, path;
    const struct cel_node *root = NULL;
    uint32_t reads = c->program->reads;
    bool is_known = false;
    while (node->op == CEL_SELECT && !is_known) {
        node = node->kids[0];
        struct fl_str shorter = dotted(c, node, none, &root);
        is_known = shorter.p && become_named(c, &probe, shorter, root->is_absolute, &path);
    }
    c->program->reads = reads;
    return is_known;
}

static bool resolve_select(struct cel_compile *c, struct cel_node *node, bool is_extended,
                           struct fl_str *ret_path)
{
    const struct cel_node *root = NULL;
    struct fl_str none = { NULL, 0 }, operand;
    struct fl_str name = dotted(c, node, none, &root);
    if (name.p && !is_local(c, root)) {
        if (become_named(c, node, name, root->is_absolute, ret_path)) {
            node->at = root->at;
            return true;
        }
        /* When not even its first part means anything, the whole name is what is unknown. */
        if (!c->env->is_unchecked && !is_partly_known(c, node) && !c->code) {
            node->at = root->at;
            return unknown_name(c, node, name);
        }
    }
    if (c->code || !resolve(c, node->kids[0], true, &operand))
        return false;
    if (!operand.p)
        return true;
    *ret_path = path_join(c, operand, node->name);
    if (ret_path->p && !is_extended)
        path_record(c, *ret_path);
    return c->code == FL_OK;
}

/* A qualified function (strings.quote) looks like a method of a name. */
static bool become_function(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_node *root = NULL;
    struct fl_str name = dotted(c, node->kids[0], node->name, &root);
    if (!name.p || is_local(c, root))
        return false;
    struct fl_str full;
    for (size_t length = SIZE_MAX; candidate(c, name, root->is_absolute, &length, &full);) {
        const struct cel_fn *fn = cel_fn_find(full, false);
        if (!fn)
            continue;
        node->fn = fn;
        node->name = fl_str_of(fn->name);
        node->is_method = false;
        node->kids++;
        node->kid_count--;
        return true;
    }
    return false;
}

/* What an index, or `"x" in args`, names below the place that it looks into. */
static struct fl_str path_at(struct cel_compile *c, struct fl_str of, const struct cel_node *key)
{
    char number[24];
    struct fl_str name = FL_STR("*");
    if (key->op == CEL_CONST && key->value.kind == FL_CEL_STRING) {
        name = key->value.s;
    } else if (key->op == CEL_CONST && key->value.kind == FL_CEL_INT) {
        snprintf(number, sizeof number, "%lld", (long long)key->value.i);
        name = fl_str_of(number);
    }
    return path_join(c, of, name);
}

/* The call's function, in its container, as a method, or under a qualified name. */
static bool find_function(struct cel_compile *c, struct cel_node *node)
{
    struct fl_str full = { NULL, 0 };
    if (node->is_method && !become_function(c, node)) {
        node->fn = cel_fn_find(node->name, true);
    } else if (!node->fn) {
        for (size_t length = SIZE_MAX;
             !node->fn && candidate(c, node->name, node->is_absolute, &length, &full);)
            node->fn = cel_fn_find(full, false);
    }
    return node->fn && !c->code;
}

static bool resolve_call(struct cel_compile *c, struct cel_node *node, bool is_extended,
                         struct fl_str *ret_path)
{
    struct fl_str paths[CEL_ARGS_MAX] = { { NULL, 0 } };
    if (!find_function(c, node))
        return !c->code && unknown_function(c, node);
    bool is_index = node->name.n > 1 && node->name.p[0] == '_' && node->name.p[1] == '[';
    bool is_in = fl_str_is(node->name, "@in") && node->kids[0]->op == CEL_CONST;
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!resolve(c, node->kids[i], (is_index && i == 0) || (is_in && i == 1), &paths[i]))
            return false;
    }
    if (is_index && paths[0].p) {
        *ret_path = path_at(c, paths[0], node->kids[1]);
        if (ret_path->p && !is_extended)
            path_record(c, *ret_path);
    } else if (is_in && paths[1].p) {
        struct fl_str read = path_at(c, paths[1], node->kids[0]);
        if (read.p)
            path_record(c, read);
    }
    return c->code == FL_OK && cel_prepare(c, node);
}

static void local_push(struct cel_compile *c, struct fl_str name, struct fl_str path)
{
    FL_ASSERT(c->local_count < FL_COUNTOF(c->locals)); /* two for each level of the tree */
    c->locals[c->local_count++] = (struct cel_local){ name, NULL, path };
    if (c->local_count > c->program->local_count)
        c->program->local_count = (uint16_t)c->local_count;
}

static bool resolve_loop(struct cel_compile *c, struct cel_node *node)
{
    struct fl_str none = { NULL, 0 }, path, inside;
    bool is_optional = node->loop == CEL_OPT_MAP || node->loop == CEL_OPT_FLAT_MAP;
    if (!resolve(c, node->kids[0], false, &path))
        return false;
    inside = path.p && !is_optional ? path_join(c, path, FL_STR("*")) : path;
    if (c->code)
        return false;
    size_t before = c->local_count;
    node->slot = (uint16_t)before;
    local_push(c, node->name, node->name2.p ? none : inside);
    if (node->name2.p)
        local_push(c, node->name2, inside);
    bool is_ok = (!node->kids[2] || resolve(c, node->kids[2], false, &path)) &&
                 resolve(c, node->kids[1], false, &path);
    c->local_count = before;
    return is_ok;
}

static bool resolve_bind(struct cel_compile *c, struct cel_node *node)
{
    struct fl_str path;
    if (!resolve(c, node->kids[0], false, &path))
        return false;
    node->slot = (uint16_t)c->local_count;
    local_push(c, node->name, path);
    bool is_ok = resolve(c, node->kids[1], false, &path);
    c->local_count--;
    return is_ok;
}

/* Recursion is bounded by the height of the tree. */
static bool resolve(struct cel_compile *c, struct cel_node *node, bool is_extended,
                    struct fl_str *ret_path)
{
    size_t at = 0;
    struct fl_str path;
    *ret_path = (struct fl_str){ NULL, 0 };
    switch (node->op) {
    case CEL_IDENT:
        if (is_local(c, node)) {
            *ret_path = local_find(c, node->name, &at)->path;
            node->slot = (uint16_t)at;
            node->op = CEL_LOCAL;
            return true;
        }
        if (!become_named(c, node, node->name, node->is_absolute, ret_path))
            return c->code == FL_OK && unknown_name(c, node, node->name);
        if (ret_path->p && !is_extended)
            path_record(c, *ret_path);
        return true;
    case CEL_SELECT: return resolve_select(c, node, is_extended, ret_path);
    case CEL_CALL: return resolve_call(c, node, is_extended, ret_path);
    case CEL_LOOP: return resolve_loop(c, node);
    case CEL_BIND: return resolve_bind(c, node);
    default: break;
    }
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!resolve(c, node->kids[i], false, &path))
            return false;
    }
    return true;
}

/* The places as they are kept: each once, in the program's memory. */
static bool keep_paths(struct cel_compile *c)
{
    struct fl_cel *program = c->program;
    program->paths = fl_arena_array(c->arena, c->path_count, sizeof *program->paths);
    for (size_t i = 0; program->paths && i < c->path_count; i++) {
        program->paths[i] = fl_arena_strdup(c->arena, c->paths[i]);
        if (!program->paths[i])
            return cel_nomem(c);
    }
    program->path_count = c->path_count;
    return program->paths || cel_nomem(c);
}

bool cel_resolve(struct cel_compile *c, struct cel_node *root)
{
    struct fl_str path;
    return resolve(c, root, false, &path) && keep_paths(c);
}
