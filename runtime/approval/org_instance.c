/* Plugin instances of an organization's servers. */
#include <stdio.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/org_priv.h"

/* A plugin is named, never a path: what may be loaded is what the operator put in the folders. */
static enum fl_code find_plugin(const struct fl_core *core, struct fl_arena *arena,
                                struct fl_str name, const char **ret, struct fl_err *err)
{
    bool is_name = name.n > 0 && name.n <= 32;
    for (size_t i = 0; i < name.n; i++)
        is_name &= (name.p[i] >= 'a' && name.p[i] <= 'z') ||
                   (name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '-';
    if (!is_name)
        return fl_err_set(err, FL_CONFIG, "a plugin's name has only a-z, 0-9 and hyphens");
    for (const char *const *dir = core->plugins.dirs; dir && *dir; dir++) {
        char *path = fl_arena_printf(arena, "%s/%.*s.so", *dir, FL_STR_ARG(name));
        if (!path)
            return fl_err_code(err, FL_NOMEM);
        if (access(path, R_OK) == 0) {
            *ret = path;
            return FL_OK;
        }
    }
    return fl_err_set(err, FL_CONFIG, "there is no plugin %.*s in the plugin folders",
                      FL_STR_ARG(name));
}

/* `root` is the folder that an instance may touch, `read_only` narrows that; "sandbox" has more:
 * {"read": [..], "write": [..], "network": false, "environment": [..]}. */
static bool read_sandbox(struct fl_arena *arena, const json_t *config, struct fl_host_sandbox *ret)
{
    const json_t *sandbox = json_object_get(config, "sandbox");
    const json_t *lists[] = { json_object_get(sandbox, "read"), json_object_get(sandbox, "write") };
    const char *root = json_string_value(json_object_get(config, "root"));
    size_t most = json_array_size(lists[0]) + json_array_size(lists[1]) + 1;
    struct fl_host_path *paths = fl_arena_array(arena, most, sizeof *paths);
    const json_t *names = json_object_get(sandbox, "environment");
    const char **environment =
        fl_arena_array(arena, json_array_size(names) + 1, sizeof *environment);
    if (!paths || !environment)
        return false;
    if (root)
        paths[ret->path_count++] =
            (struct fl_host_path){ fl_arena_strdup(arena, root),
                                   json_is_true(json_object_get(config, "read_only"))
                                       ? FL_HOST_READ
                                       : FL_HOST_READ | FL_HOST_WRITE };
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < json_array_size(lists[k]); i++) {
            const char *path = json_string_value(json_array_get(lists[k], i));
            if (path)
                paths[ret->path_count++] =
                    (struct fl_host_path){ fl_arena_strdup(arena, path),
                                           k ? FL_HOST_READ | FL_HOST_WRITE : FL_HOST_READ };
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name)
            environment[count++] = fl_arena_strdup(arena, name);
    }
    for (size_t i = 0; i < ret->path_count; i++) {
        if (!paths[i].path)
            return false;
    }
    ret->paths = paths;
    ret->environment = environment;
    ret->may_network = json_is_true(json_object_get(sandbox, "network"));
    return true;
}

/* Where started as root: the user named in the instance's sandbox, or the installation's. */
static enum fl_code read_user(const struct fl_core *core, const json_t *config,
                              struct fl_host_sandbox *ret, struct fl_err *err)
{
    if (geteuid() != 0)
        return FL_OK;
    const char *user =
        json_string_value(json_object_get(json_object_get(config, "sandbox"), "user"));
    if (!user)
        user = core->plugins.user ? core->plugins.user : "nobody";
    return fl_host_user(user, &ret->uid, &ret->gid, err);
}

/* In one address space nothing is apart. A start and `org create` refuse a second one; another node
 * of the same database may have made it all the same. */
static bool is_the_one(struct fl_core *core, const struct fl_uuid *organization)
{
    static const struct fl_uuid none;
    if (fl_uuid_cmp(&core->plugins.in_process_of, &none) == 0)
        core->plugins.in_process_of = *organization;
    return fl_uuid_cmp(&core->plugins.in_process_of, organization) == 0;
}

enum fl_code fl_org_config_check(const struct fl_core *core, struct fl_arena *arena,
                                 struct fl_str config, struct fl_err *err)
{
    struct fl_host_sandbox sandbox = { .closed = core->plugins.closed };
    json_t *parsed = fl_json_parse(config, err);
    if (!parsed)
        return err->code;
    enum fl_code code = read_sandbox(arena, parsed, &sandbox) ? fl_host_paths_check(&sandbox, err)
                                                              : fl_err_code(err, FL_NOMEM);
    json_decref(parsed);
    return code;
}

enum fl_code fl_org_host_config(struct fl_core *core, const struct fl_uuid *organization,
                                struct fl_arena *arena, const struct fl_org_server *server,
                                struct fl_host_config *ret, struct fl_err *err)
{
    *ret = (struct fl_host_config){ .id = server->id, .organization_id = *organization };
    enum fl_code code = find_plugin(core, arena, server->plugin, &ret->plugin_path, err);
    if (code)
        return code;
    json_t *config = fl_json_parse(server->config, err);
    if (!config)
        return err->code;
    ret->name = fl_arena_strndup(arena, server->name.p, server->name.n);
    ret->configuration = config; /* the caller's to free */
    ret->is_in_process = core->plugins.in_process;
    ret->sandbox.closed = core->plugins.closed;
    if (ret->is_in_process && !is_the_one(core, organization))
        code = fl_err_set(err, FL_CONFIG,
                          "plugins_in_process is for one organization only, and there is another");
    else if (!ret->name || !read_sandbox(arena, config, &ret->sandbox))
        code = fl_err_code(err, FL_NOMEM);
    else
        code = read_user(core, config, &ret->sandbox, err);
    const json_t *limits = json_object_get(config, "limits");
    ret->limits.memory_bytes =
        (uint64_t)json_integer_value(json_object_get(limits, "memory_bytes"));
    ret->limits.parallel_jobs =
        (uint32_t)json_integer_value(json_object_get(limits, "parallel_jobs"));
    ret->limits.call_ms = core->times.execute_ms;
    if (code) {
        json_decref(config);
        ret->configuration = NULL;
    }
    return code;
}

static void release(struct fl_org_instance *i)
{
    fl_list_remove(&i->link);
    fl_host_instance_free(&i->host);
    fl_free(i);
}

static void on_stopped(struct fl_op *op)
{
    struct fl_org_instance *i = FL_CONTAINER(op, struct fl_org_instance, op);
    struct fl_orgs *orgs = i->orgs;
    release(i);
    orgs->stopping--;
    if (orgs->stopping == 0 && orgs->stop_op) {
        struct fl_op *stop = orgs->stop_op;
        orgs->stop_op = NULL;
        fl_op_finish(stop, FL_OK);
    }
}

static void stop(struct fl_org_instance *i)
{
    if (i->is_stopping)
        return;
    i->is_stopping = true;
    i->op = (struct fl_op){ .done = on_stopped };
    if (fl_host_instance_stop_start(&i->op, i->host) == FL_OK)
        i->orgs->stopping++;
    else
        i->is_stopping = false;
}

static void digest_of(const struct fl_org_server *server, uint8_t out[FL_SHA256_BYTES])
{
    struct fl_sha256 sha;
    fl_sha256_init(&sha);
    fl_sha256_part(&sha, server->name);
    fl_sha256_part(&sha, server->plugin);
    fl_sha256_part(&sha, server->config);
    fl_sha256_final(&sha, out);
}

void fl_org_instance_find(struct fl_org_entry *e, struct fl_arena *arena,
                          struct fl_org_server *server)
{
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_err err;
    digest_of(server, digest);
    FL_LIST_FOREACH (link, &e->instances) {
        struct fl_org_instance *i = FL_CONTAINER(link, struct fl_org_instance, link);
        if (!i->is_stopping && fl_uuid_cmp(&i->server_id, &server->id) == 0 &&
            memcmp(i->digest, digest, sizeof digest) == 0) {
            fl_list_remove(&i->link);
            fl_list_push_front(&e->instances, &i->link);
            return;
        }
    }
    struct fl_host_config config = { 0 };
    struct fl_org_instance *i = fl_calloc(1, sizeof *i);
    enum fl_code code = i ? fl_org_host_config(e->orgs->core, &e->id, arena, server, &config, &err)
                          : fl_err_code(&err, FL_NOMEM);
    if (code == FL_OK) {
        code = fl_host_instance_new(e->orgs->core->host, &config, &i->host, &err);
        json_decref(config.configuration);
    }
    if (code) {
        fl_free(i);
        server->refusal = fl_arena_str(arena, fl_str_of(err.text));
        return;
    }
    i->orgs = e->orgs;
    i->server_id = server->id;
    memcpy(i->digest, digest, sizeof digest);
    fl_list_push_front(&e->instances, &i->link); /* in front of one that it replaces */
}

static struct fl_org_instance *newest(struct fl_org_entry *e, const struct fl_uuid *server)
{
    FL_LIST_FOREACH (link, &e->instances) {
        struct fl_org_instance *i = FL_CONTAINER(link, struct fl_org_instance, link);
        if (!i->is_stopping && fl_uuid_cmp(&i->server_id, server) == 0)
            return i;
    }
    return NULL;
}

struct fl_host_instance *fl_orgs_instance(struct fl_orgs *orgs, const struct fl_uuid *organization,
                                          const struct fl_uuid *server)
{
    struct fl_org_entry *e = fl_org_entry_find(orgs, organization);
    struct fl_org_instance *i = e ? newest(e, server) : NULL;
    return i ? i->host : NULL;
}

struct fl_host_instance *fl_orgs_instance_as(struct fl_orgs *orgs,
                                             const struct fl_uuid *organization,
                                             const struct fl_org_server *server)
{
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_org_entry *e = fl_org_entry_find(orgs, organization);
    struct fl_org_instance *i = e ? newest(e, &server->id) : NULL;
    digest_of(server, digest);
    return i && memcmp(i->digest, digest, sizeof digest) == 0 ? i->host : NULL;
}

void fl_org_instances_trim(struct fl_org_entry *e, const struct fl_org *org)
{
    FL_LIST_FOREACH_SAFE (link, &e->instances) {
        struct fl_org_instance *i = FL_CONTAINER(link, struct fl_org_instance, link);
        bool is_used = false;
        for (size_t k = 0; k < org->server_count; k++) {
            const struct fl_org_server *s = &org->servers[k];
            is_used |=
                s->is_enabled && fl_uuid_cmp(&s->id, &i->server_id) == 0 && newest(e, &s->id) == i;
        }
        if (!is_used)
            stop(i);
    }
}

void fl_org_instances_stop(struct fl_org_entry *e)
{
    FL_LIST_FOREACH_SAFE (link, &e->instances) {
        stop(FL_CONTAINER(link, struct fl_org_instance, link));
    }
}

void fl_org_instances_free(struct fl_org_entry *e)
{
    FL_LIST_FOREACH_SAFE (link, &e->instances) {
        release(FL_CONTAINER(link, struct fl_org_instance, link));
    }
}

static void on_nothing_to_stop(struct fl_post *post)
{
    struct fl_orgs *orgs = FL_CONTAINER(post, struct fl_orgs, stop_post);
    struct fl_op *op = orgs->stop_op;
    orgs->stop_op = NULL;
    fl_op_finish(op, FL_OK);
}

enum fl_code fl_orgs_stop_instances(struct fl_op *op, struct fl_orgs *orgs)
{
    FL_ASSERT(!orgs->stop_op);
    fl_op_start(op, NULL, orgs);
    orgs->stop_op = op;
    for (int b = 0; b < FL_ORG_BUCKETS; b++) {
        FL_LIST_FOREACH_SAFE (link, &orgs->buckets[b]) {
            fl_org_instances_stop(FL_CONTAINER(link, struct fl_org_entry, link));
        }
    }
    if (orgs->stopping == 0) {
        orgs->stop_post.run = on_nothing_to_stop;
        fl_loop_post(orgs->core->loop, &orgs->stop_post);
    }
    return FL_OK;
}
