/* Hosts, instances and describes: configuration in, slots out. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "runtime/host/host_priv.h"

#define NAME_MAX_BYTES   64
#define OUTPUT_MAX_BYTES (64u << 20)
#define NOBODY           65534 /* describes an in-process plugin where started as root */

/* ---- host ---- */

enum fl_code fl_host_new(struct fl_loop *loop, const char *program, struct fl_host **ret,
                         struct fl_err *err)
{
    struct fl_host *host = fl_calloc(1, sizeof *host);
    if (host)
        host->program = fl_strdup(program ? program : "/proc/self/exe");
    if (!host || !host->program) {
        fl_free(host);
        return fl_err_code(err, FL_NOMEM);
    }
    host->loop = loop;
    *ret = host;
    return FL_OK;
}

void fl_host_free(struct fl_host **host)
{
    if (!*host)
        return;
    FL_ASSERT((*host)->instance_count == 0);
    fl_free((*host)->program);
    fl_free(*host);
    *host = NULL;
}

/* ---- configuration ---- */

static void set_defaults(struct fl_host_limits *limits)
{
#define DEFAULT(field, value)                                                                      \
    if (limits->field == 0)                                                                        \
    limits->field = (value)
#define AT_MOST_LONGEST(field)                                                                     \
    if (limits->field > FL_HOST_LONGEST_MS)                                                        \
    limits->field = FL_HOST_LONGEST_MS
    DEFAULT(memory_bytes, 512ull << 20);
    DEFAULT(cpu_s, 600);
    DEFAULT(descriptors, 64);
    DEFAULT(processes, 16);
    DEFAULT(parallel_jobs, 1);
    DEFAULT(queue, 4096);
    DEFAULT(output_bytes, 8ull << 20);
    DEFAULT(call_ms, 60 * 1000LL);
    DEFAULT(cancel_grace_ms, 2 * 1000LL);
    DEFAULT(start_ms, 10 * 1000LL);
    DEFAULT(idle_ms, 5 * 60 * 1000LL);
    AT_MOST_LONGEST(call_ms);
    AT_MOST_LONGEST(cancel_grace_ms);
    AT_MOST_LONGEST(start_ms);
    AT_MOST_LONGEST(idle_ms);
#undef DEFAULT
#undef AT_MOST_LONGEST
}

static enum fl_code check(const struct fl_host_config *config, struct fl_err *err)
{
    const struct fl_host_limits *limits = &config->limits;
    const struct fl_host_sandbox *sandbox = &config->sandbox;
    if (!config->name || !config->name[0] || strlen(config->name) > NAME_MAX_BYTES)
        return fl_err_set(err, FL_CONFIG, "a plugin instance's name has 1 to %d bytes",
                          NAME_MAX_BYTES);
    if (!config->plugin_path || config->plugin_path[0] != '/')
        return fl_err_set(err, FL_CONFIG, "plugin instance %s: the plugin's path is not absolute",
                          config->name);
    if (config->configuration && !json_is_object(config->configuration))
        return fl_err_set(err, FL_CONFIG, "plugin instance %s: its configuration is not an object",
                          config->name);
    for (size_t i = 0; i < sandbox->path_count; i++) {
        if (sandbox->paths[i].path[0] != '/')
            return fl_err_set(err, FL_CONFIG,
                              "plugin instance %s: the sandbox path %s is not absolute",
                              config->name, sandbox->paths[i].path);
    }
    enum fl_code code = fl_host_paths_check(sandbox, err);
    if (code)
        return code;
    if (geteuid() == 0 && !config->is_in_process && (sandbox->uid == 0 || sandbox->gid == 0))
        return fl_err_set(err, FL_CONFIG,
                          "plugin instance %s: a plugin never runs as root: it needs an "
                          "operating-system user of its own",
                          config->name);
    if (limits->parallel_jobs > 64 || limits->output_bytes > OUTPUT_MAX_BYTES ||
        limits->memory_bytes > INT64_MAX / 2 || limits->call_ms < 0 ||
        limits->cancel_grace_ms < 0 || limits->start_ms < 0 || limits->idle_ms < 0)
        return fl_err_set(err, FL_CONFIG, "plugin instance %s: a limit is out of range",
                          config->name);
    return FL_OK;
}

/* The strings of the configuration into the arena; false on no memory. */
static bool copy_config(struct fl_host_instance *instance, const struct fl_host_config *config)
{
    struct fl_host_config *copy = &instance->config;
    const char *const *names = config->sandbox.environment;
    size_t count = 0;
    *copy = *config;
    copy->configuration = NULL; /* it is in the setup text */
    copy->sandbox.paths = NULL;
    copy->sandbox.path_count = 0;
    copy->sandbox.closed = NULL;
    copy->name = fl_arena_strdup(instance->arena, config->name);
    copy->plugin_path = fl_arena_strdup(instance->arena, config->plugin_path);
    while (names && names[count])
        count++;
    const char **kept = fl_arena_array(instance->arena, count + 1, sizeof *kept);
    copy->sandbox.environment = kept;
    for (size_t i = 0; kept && i < count; i++) {
        if ((kept[i] = fl_arena_strdup(instance->arena, names[i])) == NULL)
            return false;
    }
    return copy->name && copy->plugin_path && kept;
}

static enum fl_code make_setup(struct fl_host_instance *instance,
                               const struct fl_host_config *config, struct fl_err *err)
{
    struct fl_buf text;
    struct fl_host_config filled = *config;
    filled.limits = instance->config.limits;
    fl_buf_init(&text, FL_FRAME_SETUP_MAX - 1024);
    enum fl_code code = fl_setup_put(&text, &filled, err);
    if (!code) {
        instance->setup = fl_arena_str(instance->arena, fl_buf_view(&text));
        if (!instance->setup.p)
            code = fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&text);
    return code;
}

/* ---- instances ---- */

static enum fl_code new_instance(struct fl_host *host, const struct fl_host_config *config,
                                 struct fl_host_describe *describe, struct fl_host_instance **ret,
                                 struct fl_err *err)
{
    struct fl_host_config checked = *config;
    set_defaults(&checked.limits);
    if (describe && checked.is_in_process) {
        checked.is_in_process = false; /* always a throw-away process */
        if (checked.sandbox.uid == 0)
            checked.sandbox.uid = checked.sandbox.gid = NOBODY;
    }
    enum fl_code code = check(&checked, err);
    if (code)
        return code;
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_host_instance *instance = arena ? FL_ARENA_NEW(arena, struct fl_host_instance) : NULL;
    if (!instance) {
        fl_arena_free(&arena);
        return fl_err_code(err, FL_NOMEM);
    }
    instance->arena = arena;
    if (copy_config(instance, &checked))
        code = make_setup(instance, &checked, err);
    else
        code = fl_err_code(err, FL_NOMEM);
    if (code) {
        fl_arena_free(&arena);
        return code;
    }
    instance->host = host;
    instance->describe = describe;
    fl_uuid_format(&config->id, instance->id_text);
    fl_uuid_format(&config->organization_id, instance->organization_text);
    fl_slot_init(&instance->slots[0], instance,
                 !describe               ? FL_SETUP_WORK
                 : config->is_in_process ? FL_SETUP_DESCRIBE
                                         : FL_SETUP_TRY);
    fl_slot_init(&instance->slots[1], instance, FL_SETUP_PREVIEW);
    instance->slot_count = describe || checked.is_in_process ? 1 : 2;
    host->instance_count++;
    *ret = instance;
    return FL_OK;
}

enum fl_code fl_host_instance_new(struct fl_host *host, const struct fl_host_config *config,
                                  struct fl_host_instance **ret, struct fl_err *err)
{
    return new_instance(host, config, NULL, ret, err);
}

static bool has_stopped(const struct fl_host_instance *instance)
{
    for (size_t i = 0; i < instance->slot_count; i++) {
        const struct fl_slot *slot = &instance->slots[i];
        if (slot->state != FL_SLOT_STOPPED || slot->queued_count || slot->turn_count)
            return false;
    }
    return true;
}

void fl_host_instance_free(struct fl_host_instance **instance)
{
    if (!*instance)
        return;
    struct fl_host *host = (*instance)->host;
    struct fl_arena *arena = (*instance)->arena;
    for (size_t i = 0; i < (*instance)->slot_count; i++) {
        struct fl_slot *slot = &(*instance)->slots[i];
        FL_ASSERT(slot->state == FL_SLOT_STOPPED || slot->state == FL_SLOT_BACKING_OFF);
        FL_ASSERT(slot->queued_count == 0 && slot->running_count == 0 && slot->turn_count == 0);
        fl_loop_timer_cancel(host->loop, &slot->timer);
        fl_loop_post_cancel(host->loop, &slot->pump);
    }
    host->instance_count--;
    *instance = NULL;
    fl_arena_free(&arena);
}

static void wake_all(struct fl_host_instance *instance)
{
    for (size_t i = 0; i < instance->slot_count; i++)
        fl_slot_wake(&instance->slots[i]);
}

static void stop_now(struct fl_op *op)
{
    struct fl_host_instance *instance = op->provider;
    instance->is_stopping = instance->is_killing = true;
    wake_all(instance);
}

enum fl_code fl_host_instance_stop_start(struct fl_op *op, struct fl_host_instance *instance)
{
    FL_ASSERT(!instance->stop && !instance->describe);
    fl_op_start(op, stop_now, instance);
    instance->stop = op;
    instance->is_stopping = true;
    wake_all(instance);
    return FL_OK;
}

void fl_instance_on_stopped(struct fl_host_instance *instance)
{
    if (!has_stopped(instance))
        return;
    struct fl_op *stop = instance->stop;
    struct fl_host_describe *describe = instance->describe;
    if (stop) {
        instance->stop = NULL;
        fl_op_finish(stop, FL_OK);
    } else if (describe) {
        const struct fl_err *why = &instance->slots[0].last_error;
        if (describe->is_trying && why->code == FL_CANCELLED)
            fl_description_free(&describe->description);
        if (!describe->description)
            describe->op.err = *why;
        else if (describe->is_trying) /* it died of it */
            snprintf(describe->not_open, sizeof describe->not_open, "%s", why->text);
        FL_ASSERT(describe->description || describe->op.err.code != FL_OK);
        describe->instance = NULL;
        fl_host_instance_free(&instance);
        fl_op_finish(&describe->op, describe->op.err.code);
    }
}

struct fl_slot *fl_instance_slot(struct fl_host_instance *instance, enum fl_host_kind kind)
{
    return &instance->slots[instance->slot_count == 2 && kind == FL_HOST_PREVIEW ? 1 : 0];
}

enum fl_code fl_host_describe_start(struct fl_host_describe *describe, struct fl_host *host,
                                    const struct fl_host_config *config)
{
    FL_ASSERT(describe);
    enum fl_code code =
        new_instance(host, config, describe, &describe->instance, &describe->op.err);
    if (code)
        return code;
    describe->description = NULL;
    describe->not_open[0] = 0;
    describe->is_trying = false;
    fl_op_start(&describe->op, stop_now, describe->instance);
    fl_slot_wake(&describe->instance->slots[0]);
    return FL_OK;
}

/* ---- for people ---- */

static struct fl_host_process_info info_of(const struct fl_slot *slot)
{
    return (struct fl_host_process_info){
        .state = fl_slot_state_name(slot->state),
        .pid = slot->child.pid,
        .running = slot->running_count,
        .queued = slot->queued_count,
        .starts = slot->starts,
        .failures = slot->failures,
        .last_error = slot->last_error.text,
        .sandbox = slot->description ? slot->description->sandbox : "",
    };
}

void fl_host_instance_info(const struct fl_host_instance *instance,
                           struct fl_host_instance_info *ret)
{
    *ret = (struct fl_host_instance_info){
        .name = instance->config.name,
        .work = info_of(&instance->slots[0]),
        .preview = info_of(&instance->slots[instance->slot_count - 1]),
    };
}

/* ---- users ---- */

static bool is_number(struct fl_str text, uint32_t *ret)
{
    unsigned long long value;
    if (!fl_str_to_u64(text, &value) || value > UINT32_MAX - 1)
        return false;
    *ret = (uint32_t)value;
    return true;
}

enum fl_code fl_host_user(const char *text, uint32_t *ret_uid, uint32_t *ret_gid,
                          struct fl_err *err)
{
    char user[64], group[64] = "";
    const char *colon = strchr(text, ':');
    size_t user_n = colon ? (size_t)(colon - text) : strlen(text);
    if (user_n == 0 || user_n >= sizeof user || (colon && strlen(colon + 1) >= sizeof group))
        return fl_err_set(err, FL_CONFIG, "\"%.80s\" is not USER or USER:GROUP", text);
    memcpy(user, text, user_n);
    user[user_n] = 0;
    if (colon)
        memcpy(group, colon + 1, strlen(colon + 1) + 1);
    uint32_t uid, gid = 0;
    const struct passwd *entry = NULL;
    if (!is_number(fl_str_of(user), &uid)) {
        if ((entry = getpwnam(user)) == NULL)
            return fl_err_set(err, FL_CONFIG, "there is no operating-system user %s", user);
        uid = entry->pw_uid;
        gid = entry->pw_gid;
    } else if (!colon) {
        gid = uid;
    }
    if (colon && !is_number(fl_str_of(group), &gid)) {
        const struct group *found = getgrnam(group);
        if (!found)
            return fl_err_set(err, FL_CONFIG, "there is no operating-system group %s", group);
        gid = found->gr_gid;
    }
    if (uid == 0 || gid == 0)
        return fl_err_set(err, FL_CONFIG, "a plugin never runs as root: \"%.80s\" is", text);
    *ret_uid = uid;
    *ret_gid = gid;
    return FL_OK;
}
