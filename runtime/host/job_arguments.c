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

/* Enters the job and finds the place; *ret NULL if there is none. Leave the job if not NULL. */
static struct fl_job *enter_at(flopinio_job *handle, const char *pointer, json_t **ret)
{
    struct fl_job *job = fl_job_enter(handle);
    *ret = job && pointer ? find(job, fl_str_of(pointer)) : NULL;
    return job;
}

static int leave(struct fl_job *job, int answer)
{
    if (job)
        fl_job_leave(job);
    return answer;
}

static int arg_string(flopinio_job *handle, const char *pointer, const char **ret, size_t *ret_n)
{
    json_t *value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    return leave(job, get_string(value, ret, ret_n));
}

static int arg_int(flopinio_job *handle, const char *pointer, int64_t *ret)
{
    json_t *value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    return leave(job, get_int(value, ret));
}

static int arg_number(flopinio_job *handle, const char *pointer, double *ret)
{
    json_t *value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    if (json_is_number(value))
        *ret = json_number_value(value);
    return leave(job, json_is_number(value));
}

static int arg_bool(flopinio_job *handle, const char *pointer, int *ret)
{
    json_t *value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    return leave(job, get_bool(value, ret));
}

static int arg_count(flopinio_job *handle, const char *pointer, size_t *ret)
{
    json_t *value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    bool has_count = json_is_object(value) || json_is_array(value);
    if (has_count)
        *ret = json_is_object(value) ? json_object_size(value) : json_array_size(value);
    return leave(job, has_count);
}

static int arg_json(flopinio_job *handle, const char *pointer, const char **ret, size_t *ret_n)
{
    json_t *value;
    struct fl_job *job = enter_at(handle, pointer, &value);
    if (value) {
        struct fl_str text = find_text(job, fl_str_of(pointer));
        FL_ASSERT(text.p);
        *ret = text.p;
        *ret_n = text.n;
    }
    return leave(job, value != NULL);
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
