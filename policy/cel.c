/* Expressions: compiling, freeing, evaluating. The passes are in the other cel_*.c.
 * Called by policy documents and thresholds. Any thread. */
#include "policy/cel.h"

#include <stdio.h>
#include <stdlib.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "policy/cel_priv.h"

void *cel_error(struct cel_compile *c, uint32_t at, const char *fmt, ...)
{
    if (c->code)
        return NULL; /* the first error is the one that is reported */
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < at && i < c->program->source.n; i++) {
        char ch = c->program->source.p[i];
        if (ch == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)ch & 0xc0) != 0x80) {
            column++;
        }
    }
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t whole = fl_utf8_cut(fl_str_of(text), strlen(text));
    c->code = fl_err_set(c->err, FL_BAD_PARAMS, "line %u, column %u: %.*s", line, column,
                         (int)whole, text);
    return NULL;
}

void *cel_nomem(struct cel_compile *c)
{
    if (!c->code)
        c->code = fl_err_code(c->err, FL_NOMEM);
    return NULL;
}

/* Lists of constants become constants, so that `x in ["a", "b"]` makes nothing when it runs.
 * Recursion is bounded by the height of the tree. */
static bool fold(struct cel_compile *c, struct cel_node *node)
{
    bool is_constant = node->op == CEL_LIST && !node->is_kid_optional;
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!node->kids[i]) { /* a part that was left out */
            is_constant = false;
            continue;
        }
        if (!fold(c, node->kids[i]))
            return false;
        is_constant &= node->kids[i]->op == CEL_CONST;
    }
    if (!is_constant)
        return true;
    struct fl_cel_value *items = fl_arena_array(c->arena, node->kid_count, sizeof *items);
    if (!items)
        return cel_nomem(c);
    for (uint32_t i = 0; i < node->kid_count; i++)
        items[i] = node->kids[i]->value;
    node->op = CEL_CONST;
    node->value = fl_cel_list(items, node->kid_count);
    node->kid_count = 0;
    return true;
}

static bool check_source(struct cel_compile *c)
{
    if (c->program->source.n > CEL_SOURCE_MAX)
        return cel_error(c, 0, "the expression is longer than %d bytes", CEL_SOURCE_MAX);
    if (!fl_utf8_is_valid(c->program->source))
        return cel_error(c, 0, "the expression is not valid UTF-8");
    return true;
}

enum fl_code fl_cel_compile(struct fl_str source, const struct fl_cel_env *env, struct fl_cel **ret,
                            struct fl_err *err)
{
    FL_ASSERT(env->var_count <= CEL_VARS_MAX);
    struct cel_compile *c = NULL;
    struct fl_cel *program = NULL;
    struct fl_arena *arena = fl_arena_new(0), *scratch = fl_arena_new(4096);
    enum fl_code code = FL_NOMEM;
    if (arena && scratch) {
        program = FL_ARENA_NEW(arena, struct fl_cel);
        c = fl_calloc(1, sizeof *c); /* too large for a stack that may be small */
    }
    if (!program || !c) {
        fl_err_code(err, FL_NOMEM);
        goto out;
    }
    *c = (struct cel_compile){
        .program = program, .arena = arena, .scratch = scratch, .env = env, .err = err
    };
    program->arena = arena;
    program->type_text = "dyn";
    program->may_be_bool = true;
    program->source = fl_arena_str(arena, source);
    if (!program->source.p)
        cel_nomem(c);
    else if (check_source(c) && (program->root = cel_parse(c, program->source)) &&
             cel_resolve(c, program->root) && (env->is_unchecked || cel_check(c, program->root)))
        fold(c, program->root);
    code = c->code;
out:
    if (code && program)
        cel_regex_free(&program->regexes);
    if (code)
        fl_arena_free(&arena);
    else
        *ret = program;
    fl_arena_free(&scratch);
    fl_free(c);
    return code;
}

void fl_cel_free(struct fl_cel **program)
{
    if (!*program)
        return;
    struct fl_arena *arena = (*program)->arena;
    cel_regex_free(&(*program)->regexes);
    *program = NULL;
    fl_arena_free(&arena);
}

const char *fl_cel_type(const struct fl_cel *program)
{
    return program->type_text;
}

bool fl_cel_may_be_bool(const struct fl_cel *program)
{
    return program->may_be_bool;
}

bool fl_cel_reads(const struct fl_cel *program, size_t var)
{
    return var < CEL_VARS_MAX && (program->reads >> var & 1);
}

const char *fl_cel_path(const struct fl_cel *program, size_t at)
{
    return at < program->path_count ? program->paths[at] : NULL;
}

enum fl_code fl_cel_eval(const struct fl_cel *program, struct fl_cel_run *run,
                         struct fl_cel_value *ret, struct fl_err *err)
{
    struct cel_ev ev = { .program = program, .run = run };
    ev.used_before = fl_arena_used(run->arena);
    ev.locals = cel_alloc(&ev, program->local_count, sizeof *ev.locals);
    struct fl_cel_value v = { .kind = FL_CEL_NULL };
    if (ev.locals)
        v = cel_eval(&ev, program->root);
    if (ev.fatal == FL_TOO_LARGE)
        return fl_err_set(err, FL_TOO_LARGE, "the expression needs more %s than it may",
                          run->steps ? "memory" : "steps");
    if (ev.fatal)
        return fl_err_code(err, ev.fatal);
    if (cel_is_error(&v))
        return fl_err_set(err, FL_BAD_PARAMS, "%s", v.error);
    *ret = v;
    return FL_OK;
}
