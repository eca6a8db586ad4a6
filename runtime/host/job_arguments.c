/* The host table's accessors for arguments and configuration. Any thread. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flopinio/base/json.h"
#include "flopinio/base/scan.h"
#include "runtime/host/job.h"
#include "runtime/host/serve.h"

/* ---- values of a tree: 1 and the output, or 0 ---- */

static int get_string(const json_t *value, const char **ret, size_t *ret_n)
{
    if (!json_is_string(value))
        return 0;
    if (ret)
        *ret = json_string_value(value);
    if (ret_n)
        *ret_n = json_string_length(value);
    return 1;
}

/* 3 and 3.0 are the same integer in JSON Schema 2020-12 (section 4.2.3 of its core). */
static int get_int(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return 1;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real) || fabs(real) > 9007199254740992.0)
        return 0;
    *ret = (int64_t)real;
    return 1;
}

static int get_bool(const json_t *value, int *ret)
{
    if (!json_is_boolean(value))
        return 0;
    *ret = json_is_true(value);
    return 1;
}

/* ---- arguments ---- */

/* A value of them: a node of the tree, or where there is none a span of the text. */
struct value {
    const json_t *node;
    struct fl_str span;
};

/* The value at a place; NULL if there is none. A token that is longer than the scratch buffer
 * leads nowhere. Allocates nothing. */
static json_t *find(struct fl_job *job, struct fl_str pointer)
{
    struct fl_str token;
    size_t pos = 0, index;
    json_t *at = job->tree;
    while (at && fl_json_pointer_next(pointer, &pos, &job->scratch, &token)) {
        if (json_is_array(at))
            at = fl_json_pointer_index(token, &index) ? json_array_get(at, index) : NULL;
        else /* NULL if it is no object */
            at = json_object_getn(at, token.p, token.n);
    }
    return pos == pointer.n ? at : NULL;
}

/* The same in flat arguments, whose names have no escapes. */
static struct fl_str find_flat(struct fl_job *job, struct fl_str pointer)
{
    struct fl_str whole = { job->arguments, job->arguments_n }, token, key, value;
    size_t pos = 0, at = 0;
    if (pointer.n == 0)
        return whole;
    if (!fl_json_pointer_next(pointer, &pos, &job->scratch, &token) || pos != pointer.n)
        return (struct fl_str){ 0 };
    while (fl_span_next_member(whole, &at, &key, &value)) {
        if (fl_str_eq((struct fl_str){ key.p + 1, key.n - 2 }, token))
            return value;
    }
    return (struct fl_str){ 0 };
}

/* The text of a place that find() has found, as it stands in the arguments. */
static struct fl_str find_text(struct fl_job *job, struct fl_str pointer)
{
    struct fl_str token, at = { job->arguments, job->arguments_n };
    size_t pos = 0, index, item;
    while (fl_json_pointer_next(pointer, &pos, &job->scratch, &token)) {
        size_t from = 0;
        if (fl_span_type(at) == FL_SPAN_ARRAY && fl_json_pointer_index(token, &index)) {
            struct fl_str array = at;
            for (item = 0; item <= index; item++)
                fl_span_next_item(array, &from, &at);
        } else {
            char name[257]; /* the scratch buffer's size, and a NUL */
            snprintf(name, sizeof name, "%.*s", FL_STR_ARG(token));
            at = fl_span_get(at, name);
        }
    }
    return at;
}

/* Enters the job and finds the place; *ret is empty if there is none. Leave the job if not NULL. */
static struct fl_job *enter_at(flopinio_job *handle, const char *pointer, struct value *ret)
{
    struct fl_job *job = fl_job_enter(handle);
    *ret = (struct value){ 0 };
    if (job && pointer && job->tree)
        ret->node = find(job, fl_str_of(pointer));
    else if (job && pointer)
        ret->span = find_flat(job, fl_str_of(pointer));
    return job;
}

static int leave(struct fl_job *job, int answer)
{
    if (job)
        fl_job_leave(job);
    return answer;
}

/* The string that stands there, without escapes and with a NUL behind it: a copy in the same place
 * of `decoded`, where its first byte, that of the quote, says that it was made. Decoding never
 * lengthens a string, and its closing quote leaves room for the NUL. */
static int flat_string(struct fl_job *job, struct fl_str span, const char **ret, size_t *ret_n)
{
    if (fl_span_type(span) != FL_SPAN_STRING)
        return 0;
    char *copy = job->decoded + (span.p - job->arguments);
    if (copy[0] == 0) {
        size_t n = fl_span_decode(span, copy + 1);
        copy[1 + n] = 0;
        copy[0] = '"';
    }
    if (ret)
        *ret = copy + 1;
    if (ret_n)
        *ret_n = strlen(copy + 1); /* the scan refuses NUL in a string */
    return 1;
}

static int arg_string(flopinio_job *handle, const char *pointer, const char **ret, size_t *ret_n)
{
    struct value value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    return leave(job, value.span.p ? flat_string(job, value.span, ret, ret_n)
                                   : get_string(value.node, ret, ret_n));
}

static int arg_int(flopinio_job *handle, const char *pointer, int64_t *ret)
{
    struct value value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    return leave(job, value.span.p ? fl_span_int(value.span, ret) : get_int(value.node, ret));
}

static int arg_number(flopinio_job *handle, const char *pointer, double *ret)
{
    struct value value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    int64_t number = 0;
    bool is_number = value.span.p ? fl_span_int(value.span, &number) : json_is_number(value.node);
    if (is_number)
        *ret = value.span.p ? (double)number : json_number_value(value.node);
    return leave(job, is_number);
}

static int arg_bool(flopinio_job *handle, const char *pointer, int *ret)
{
    struct value value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    enum fl_span_type type = fl_span_type(value.span);
    if (!value.span.p)
        return leave(job, get_bool(value.node, ret));
    if (type == FL_SPAN_TRUE || type == FL_SPAN_FALSE)
        *ret = type == FL_SPAN_TRUE;
    return leave(job, type == FL_SPAN_TRUE || type == FL_SPAN_FALSE);
}

static size_t count_members(struct fl_str object)
{
    struct fl_str key, value;
    size_t pos = 0, count = 0;
    while (fl_span_next_member(object, &pos, &key, &value))
        count++;
    return count;
}

static int arg_count(flopinio_job *handle, const char *pointer, size_t *ret)
{
    struct value value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    bool has_count = fl_span_type(value.span) == FL_SPAN_OBJECT || json_is_object(value.node) ||
                     json_is_array(value.node);
    if (has_count)
        *ret = value.span.p                 ? count_members(value.span)
               : json_is_object(value.node) ? json_object_size(value.node)
                                            : json_array_size(value.node);
    return leave(job, has_count);
}

static int arg_json(flopinio_job *handle, const char *pointer, const char **ret, size_t *ret_n)
{
    struct value value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    struct fl_str text = value.span;
    if (value.node)
        text = find_text(job, fl_str_of(pointer));
    FL_ASSERT(text.p || !value.node);
    if (text.p) {
        *ret = text.p;
        *ret_n = text.n;
    }
    return leave(job, text.p != NULL);
}

static const char *precondition(flopinio_job *handle)
{
    struct fl_job *job = fl_job_enter(handle);
    const char *text = job ? job->precondition : NULL;
    leave(job, 0);
    return text;
}

static int is_cancelled(flopinio_job *handle)
{
    struct fl_serve *serve = fl_serve_of_thread();
    if (serve)
        fl_serve_peek(serve);
    struct fl_job *job = fl_job_enter(handle);
    return leave(job, !job || atomic_load(&job->is_cancelled));
}

/* ---- configuration: read-only from open() to close() ---- */

static const json_t *config_at(const struct flopinio_host *host, const char *pointer)
{
    const struct fl_serve *serve = (const void *)host; /* its first member */
    return pointer ? fl_json_pointer(serve->configuration, fl_str_of(pointer)) : NULL;
}

static int config_string(const struct flopinio_host *host, const char *pointer, const char **ret,
                         size_t *ret_n)
{
    return get_string(config_at(host, pointer), ret, ret_n);
}

static int config_int(const struct flopinio_host *host, const char *pointer, int64_t *ret)
{
    return get_int(config_at(host, pointer), ret);
}

static int config_bool(const struct flopinio_host *host, const char *pointer, int *ret)
{
    return get_bool(config_at(host, pointer), ret);
}

void fl_job_fill_arguments(struct flopinio_host *host)
{
    host->arg_string = arg_string;
    host->arg_int = arg_int;
    host->arg_number = arg_number;
    host->arg_bool = arg_bool;
    host->arg_count = arg_count;
    host->arg_json = arg_json;
    host->precondition = precondition;
    host->is_cancelled = is_cancelled;
    host->config_string = config_string;
    host->config_int = config_int;
    host->config_bool = config_bool;
}
