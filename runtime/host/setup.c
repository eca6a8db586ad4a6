/* The setup text, both directions. */
#include "runtime/host/setup.h"

#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/host/closed.h"
#include "runtime/host/frame.h"

static void put_str(struct fl_buf *out, const char *key, const char *value)
{
    fl_buf_json_key(out, key);
    fl_buf_json_str(out, fl_str_of(value));
    fl_buf_putc(out, ',');
}

static void put_u64(struct fl_buf *out, const char *key, uint64_t value)
{
    fl_buf_json_key(out, key);
    fl_buf_u64(out, value);
    fl_buf_putc(out, ',');
}

enum fl_code fl_setup_put(struct fl_buf *out, const struct fl_host_config *config,
                          struct fl_err *err)
{
    const struct fl_host_limits *limits = &config->limits;
    put_str(out, "plugin", config->plugin_path);
    put_str(out, "name", config->name);
    put_u64(out, "uid", config->sandbox.uid);
    put_u64(out, "gid", config->sandbox.gid);
    put_u64(out, "network", config->sandbox.may_network);
    put_u64(out, "memory", limits->memory_bytes);
    put_u64(out, "output", limits->output_bytes);
    put_u64(out, "cpu", limits->cpu_s);
    put_u64(out, "descriptors", limits->descriptors);
    put_u64(out, "processes", limits->processes);
    fl_buf_puts(out, "\"paths\":[");
    for (size_t i = 0; i < config->sandbox.path_count; i++) {
        fl_buf_puts(out, i ? ",[" : "[");
        fl_buf_json_str(out, fl_str_of(config->sandbox.paths[i].path));
        fl_buf_printf(out, ",%u]", config->sandbox.paths[i].access);
    }
    fl_buf_puts(out, "],\"closed\":[");
    for (const char *const *c = config->sandbox.closed; c && *c; c++) {
        char path[PATH_MAX];
        fl_closed_resolve(*c, path);
        fl_buf_puts(out, c == config->sandbox.closed ? "" : ",");
        fl_buf_json_str(out, fl_str_of(path));
    }
    fl_buf_puts(out, "],\"configuration\":");
    if (config->configuration)
        fl_json_put(out, config->configuration);
    else
        fl_buf_puts(out, "{}");
    return fl_buf_code(out, err);
}

void fl_setup_finish(struct fl_buf *out, struct fl_str members, enum fl_setup_mode mode)
{
    fl_buf_printf(out, "{\"protocol\":%d,\"version\":\"%s\",\"mode\":%d,\"parent\":%ld,",
                  FL_FRAME_PROTOCOL, FL_VERSION, (int)mode, (long)getpid());
    fl_buf_str(out, members);
    fl_buf_putc(out, '}');
}

static uint64_t get_u64(const json_t *root, const char *key, bool *is_bad)
{
    const json_t *value = json_object_get(root, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        *is_bad = true;
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static uint32_t get_u32(const json_t *root, const char *key, bool *is_bad)
{
    uint64_t value = get_u64(root, key, is_bad);
    *is_bad |= value > UINT32_MAX;
    return (uint32_t)value;
}

enum fl_code fl_setup_read(struct fl_str json, struct fl_setup *ret, struct fl_err *err)
{
    json_t *root = fl_json_parse(json, err);
    if (!root)
        return err->code;
    bool is_bad = false;
    if (get_u32(root, "protocol", &is_bad) != FL_FRAME_PROTOCOL ||
        !fl_str_is(fl_json_get_str(root, "version"), FL_VERSION)) {
        json_decref(root);
        return fl_err_set(err, FL_PLUGIN,
                          "the program on disk is another version than the running worker: "
                          "restart the worker");
    }
    struct fl_setup setup = {
        .mode = (enum fl_setup_mode)get_u32(root, "mode", &is_bad),
        .plugin_path = json_string_value(json_object_get(root, "plugin")),
        .name = json_string_value(json_object_get(root, "name")),
        .parent_pid = (long)get_u64(root, "parent", &is_bad),
        .uid = get_u32(root, "uid", &is_bad),
        .gid = get_u32(root, "gid", &is_bad),
        .may_network = get_u32(root, "network", &is_bad) != 0,
        .memory_bytes = get_u64(root, "memory", &is_bad),
        .output_bytes = get_u64(root, "output", &is_bad),
        .cpu_s = get_u32(root, "cpu", &is_bad),
        .descriptors = get_u32(root, "descriptors", &is_bad),
        .processes = get_u32(root, "processes", &is_bad),
        .configuration = json_object_get(root, "configuration"),
        .paths = json_object_get(root, "paths"),
        .closed = json_object_get(root, "closed"),
        .root = root,
    };
    if (is_bad || setup.mode > FL_SETUP_TRY || !setup.plugin_path || !setup.name ||
        !json_is_object(setup.configuration) || !json_is_array(setup.paths) ||
        !json_is_array(setup.closed)) {
        json_decref(root);
        return fl_err_set(err, FL_PLUGIN, "the setup frame is not complete");
    }
    *ret = setup;
    return FL_OK;
}

void fl_setup_fini(struct fl_setup *setup)
{
    json_decref(setup->root);
    *setup = (struct fl_setup){ 0 };
}
