/* Loads a plugin's shared object and turns its tables into the description. In the plugin process,
 * or for in-process instances in the thread that will call it. */
#ifndef FLOPINIO_HOST_LOAD_H
#define FLOPINIO_HOST_LOAD_H

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/plugin.h"

/* dlopen, the symbol, magic, sizes, ABI, and that no pointer which must be there is NULL. The
 * object stays loaded for ever: its threads may outlive its instance. FL_PLUGIN, one sentence. */
enum fl_code fl_plugin_load(const char *path, const struct flopinio_plugin **ret,
                            struct fl_err *err) FL_MUST_CHECK;
/* The JSON text that fl_description_read reads. */
enum fl_code fl_plugin_describe(const struct flopinio_plugin *plugin, const char *sandbox,
                                bool is_sandboxed, struct fl_buf *out,
                                struct fl_err *err) FL_MUST_CHECK;
/* NULL if there is no such tool. */
const struct flopinio_tool *fl_plugin_tool(const struct flopinio_plugin *plugin,
                                           struct fl_str name);

#endif
