/* dlopen and the tables. What the values say is checked by definition.c; here only that they can
 * be read at all. */
#include "runtime/host/load.h"

#include <dlfcn.h>

#include "flopinio/base/utf8.h"

#define SYMBOL    "flopinio_plugin"
#define TOOLS_MAX 512

typedef const struct flopinio_plugin *(*entry_function)(void);

static enum fl_code check_head(const struct flopinio_plugin *plugin, const char *path,
                               struct fl_err *err)
{
    if (!plugin)
        return fl_err_set(err, FL_PLUGIN, "%s: " SYMBOL "() returned nothing", path);
    if (plugin->magic != FLOPINIO_PLUGIN_MAGIC)
        return fl_err_set(err, FL_PLUGIN, "%s is not a flopinio plugin: its magic is 0x%08x", path,
                          plugin->magic);
    if (plugin->abi_major != FLOPINIO_PLUGIN_ABI_MAJOR)
        return fl_err_set(err, FL_PLUGIN,
                          "%s was built for plugin ABI %u.%u, this runtime has %u.%u: build it "
                          "again with this runtime's header",
                          path, plugin->abi_major, plugin->abi_minor, FLOPINIO_PLUGIN_ABI_MAJOR,
                          FLOPINIO_PLUGIN_ABI_MINOR);
    if (plugin->abi_minor > FLOPINIO_PLUGIN_ABI_MINOR)
        return fl_err_set(err, FL_PLUGIN,
                          "%s needs plugin ABI %u.%u, this runtime has %u.%u: it needs a newer "
                          "runtime",
                          path, plugin->abi_major, plugin->abi_minor, FLOPINIO_PLUGIN_ABI_MAJOR,
                          FLOPINIO_PLUGIN_ABI_MINOR);
    if (plugin->size < sizeof *plugin)
        return fl_err_set(err, FL_PLUGIN, "%s: struct flopinio_plugin has %u bytes, not %zu", path,
                          plugin->size, sizeof *plugin);
    return FL_OK;
}

static enum fl_code check_tool(const struct flopinio_tool *tool, size_t i, struct fl_err *err)
{
    if (tool->size < sizeof *tool)
        return fl_err_set(err, FL_PLUGIN, "tool %zu: struct flopinio_tool has %u bytes, not %zu", i,
                          tool->size, sizeof *tool);
    if (!tool->name)
        return fl_err_set(err, FL_PLUGIN, "tool %zu has no name", i);
    if (!tool->description)
        return fl_err_set(err, FL_PLUGIN, "tool %.64s has no description", tool->name);
    if (!tool->input_schema)
        return fl_err_set(err, FL_PLUGIN, "tool %.64s has no input schema", tool->name);
    if (!tool->start)
        return fl_err_set(err, FL_PLUGIN, "tool %.64s has no start function", tool->name);
    return FL_OK;
}

static enum fl_code check_tables(const struct flopinio_plugin *plugin, struct fl_err *err)
{
    if (!plugin->name || !plugin->version || !plugin->description)
        return fl_err_set(err, FL_PLUGIN, "the plugin has no %s",
                          !plugin->name      ? "name"
                          : !plugin->version ? "version"
                                             : "description");
    if (!plugin->open || !plugin->close)
        return fl_err_set(err, FL_PLUGIN, "the plugin has no %s function",
                          plugin->open ? "close" : "open");
    if (!plugin->tools)
        return fl_err_set(err, FL_PLUGIN, "the plugin has no table of tools");
    for (size_t i = 0; plugin->tools[i]; i++) {
        if (i == TOOLS_MAX)
            return fl_err_set(err, FL_PLUGIN, "the plugin has more than %d tools", TOOLS_MAX);
        enum fl_code code = check_tool(plugin->tools[i], i + 1, err);
        if (code)
            return code;
    }
    return FL_OK;
}

enum fl_code fl_plugin_load(const char *path, const struct flopinio_plugin **ret,
                            struct fl_err *err)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        return fl_err_set(err, FL_PLUGIN, "cannot load the plugin: %s", dlerror());
    entry_function entry;
    *(void **)&entry = dlsym(object, SYMBOL); /* the conversion that POSIX asks for */
    if (!entry)
        return fl_err_set(err, FL_PLUGIN, "%s does not export " SYMBOL, path);
    const struct flopinio_plugin *plugin = entry();
    enum fl_code code = check_head(plugin, path, err);
    if (!code)
        code = check_tables(plugin, err);
    if (!code)
        *ret = plugin;
    return code;
}

const struct flopinio_tool *fl_plugin_tool(const struct flopinio_plugin *plugin, struct fl_str name)
{
    for (const struct flopinio_tool *const *tool = plugin->tools; *tool; tool++) {
        if (fl_str_is(name, (*tool)->name))
            return *tool;
    }
    return NULL;
}

/* ---- description ---- */

struct writer {
    struct fl_buf *out;
    struct fl_err *err;
    enum fl_code code;
};

static void put(struct writer *w, const char *key, const char *value)
{
    if (!value || w->code)
        return;
    struct fl_str s = fl_str_of(value);
    if (!fl_utf8_is_valid(s)) {
        w->code =
            fl_err_set(w->err, FL_PLUGIN, "a %s in the plugin's tables is not valid UTF-8", key);
        return;
    }
    fl_buf_json_key(w->out, key);
    fl_buf_json_str(w->out, s);
    fl_buf_putc(w->out, ',');
}

static void put_tool(struct writer *w, const struct flopinio_tool *tool)
{
    fl_buf_putc(w->out, '{');
    put(w, "name", tool->name);
    put(w, "title", tool->title);
    put(w, "description", tool->description);
    put(w, "card", tool->card);
    put(w, "inputSchema", tool->input_schema);
    put(w, "outputSchema", tool->output_schema);
    fl_buf_printf(w->out, "\"effects\":%u,\"task\":%u,\"hasPreview\":%s}", tool->effects,
                  (unsigned)tool->task, tool->preview ? "true" : "false");
}

enum fl_code fl_plugin_describe(const struct flopinio_plugin *plugin, const char *sandbox,
                                bool is_sandboxed, struct fl_buf *out, struct fl_err *err)
{
    struct writer w = { .out = out, .err = err };
    fl_buf_putc(out, '{');
    put(&w, "name", plugin->name);
    put(&w, "version", plugin->version);
    put(&w, "description", plugin->description);
    put(&w, "sandbox", sandbox);
    fl_buf_printf(out, "\"isSandboxed\":%s,\"tools\":[", is_sandboxed ? "true" : "false");
    for (size_t i = 0; plugin->tools[i]; i++) {
        if (i)
            fl_buf_putc(out, ',');
        put_tool(&w, plugin->tools[i]);
    }
    fl_buf_puts(out, "]}");
    if (w.code)
        return w.code;
    return fl_buf_code(out, err);
}
