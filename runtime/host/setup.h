/* The first frame: what a plugin process must know about its instance. Written by the worker,
 * read by the process. */
#ifndef FLOPINIO_HOST_SETUP_H
#define FLOPINIO_HOST_SETUP_H

#include <jansson.h>

#include "flopinio/base/buf.h"
#include "runtime/host/host.h"

enum fl_setup_mode {
    FL_SETUP_WORK,
    FL_SETUP_PREVIEW,  /* as WORK, but nothing may be written */
    FL_SETUP_DESCRIBE, /* loads, describes, never opens */
    FL_SETUP_TRY       /* describes, then opens as for PREVIEW to see whether it does */
};

struct fl_setup {
    enum fl_setup_mode mode;
    const char *plugin_path;
    const char *name;
    long parent_pid; /* of the worker */
    uint32_t uid, gid;
    bool may_network;
    uint64_t memory_bytes, output_bytes;
    uint32_t cpu_s, descriptors, processes;
    json_t *configuration; /* an object */
    json_t *paths;         /* [[path, access], ...] */
    json_t *closed;        /* [path, ...], without links: the runtime's own */
    json_t *root;          /* owns all of the above when read */
};

/* The part that is the same for each start of an instance: all but mode and parent, as the
 * members of an object without its braces. */
enum fl_code fl_setup_put(struct fl_buf *out, const struct fl_host_config *config,
                          struct fl_err *err) FL_MUST_CHECK;
/* The whole text, from those members. */
void fl_setup_finish(struct fl_buf *out, struct fl_str members, enum fl_setup_mode mode);
/* FL_PLUGIN on anything missing. */
enum fl_code fl_setup_read(struct fl_str json, struct fl_setup *ret,
                           struct fl_err *err) FL_MUST_CHECK;
void fl_setup_fini(struct fl_setup *setup);

#endif
