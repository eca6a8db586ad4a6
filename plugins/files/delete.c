/* delete: a file, a symbolic link itself, a directory with what was shown below it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "text.h"
#include "tools.h"
#include "tree.h"

enum { LISTING_MAX = 1 << 20 /* bytes: a list is shown whole or the call is refused */ };

struct victim {
    struct path path;
    struct place place;
    struct state state;
    struct content content;
    struct tree tree;
};

static int look(struct call *call, struct victim *v)
{
    const flopinio_instance *in = call->in;
    char digest[SHA256_HEX_BYTES];
    struct stat st;
    enum kind kind;
    if (call_path(call, "/path", false, &v->path) != 0 ||
        place_open(&in->root, &v->path, false, &v->place, &call->problem) != 0 ||
        place_stat(&in->root, &v->place, &st, &kind, &call->problem) != 0)
        return -1;
    if (kind != KIND_DIR)
        return state_of(&in->root, &v->place, in->max_file_bytes, &v->state,
                        call->is_preview ? &v->content : NULL, &call->problem);
    v->tree.keeps_records = true;
    if (tree_scan(&in->root, v->place.dir, v->place.leaf, in->max_results, &v->tree, digest,
                  &call->problem) != 0)
        return -1;
    v->state.kind = KIND_DIR;
    v->state.st = st;
    memcpy(v->state.text, "tree:", 5);
    memcpy(v->state.text + 5, digest, sizeof digest);
    return 0;
}

static int check(struct call *call, const struct victim *v)
{
    char name[TEXT_NAME_BYTES];
    if (call_check(call, v->state.text, v->path.text) != 0)
        return -1;
    text_name(v->path.text, name);
    if (v->state.kind == KIND_ABSENT)
        return problem_set(&call->problem, "\"%s\" does not exist", name);
    if (v->tree.count && !call_flag(call, "/recursive"))
        return problem_set(&call->problem,
                           "\"%s\" is a directory with %zu entries; it goes only "
                           "with recursive: true",
                           name, v->tree.count);
    if (v->tree.others)
        return problem_set(&call->problem,
                           "\"%s\" holds %zu devices, FIFOs or sockets; such things "
                           "are left alone",
                           name, v->tree.others);
    return 0;
}

static int show(struct call *call, const struct victim *v)
{
    struct buf text = { .max = LISTING_MAX };
    if (v->state.kind == KIND_FILE)
        return call_show_change(call, v->path.text, &v->state, v->content.p ? &v->content : NULL,
                                NULL, 0);
    buf_printf(&text, "Delete %s ", v->state.kind == KIND_DIR ? "directory" : "symbolic link");
    buf_name(&text, v->path.text, v->path.n);
    if (v->state.kind == KIND_LINK) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(v->place.dir, v->place.leaf, target, sizeof target);
        buf_puts(&text, " (not what it points to: ");
        buf_name(&text, target, n > 0 ? (size_t)n : 0);
        buf_puts(&text, ")");
    } else if (v->tree.count == 0) {
        buf_puts(&text, ", which is empty");
    } else {
        buf_printf(&text, " with %zu files (%llu bytes), %zu directories, %zu symbolic links:",
                   v->tree.files, (unsigned long long)v->tree.bytes, v->tree.dirs, v->tree.links);
    }
    buf_puts(&text, "\n");
    tree_list(&v->tree, &text);
    int rc = text.is_over ? problem_set(&call->problem,
                                        "the list of what goes is longer than %d bytes, too long "
                                        "to be shown; delete parts of it",
                                        LISTING_MAX)
                          : call_show_text(call, &text);
    buf_fini(&text);
    return rc;
}

static int remove_it(struct call *call, const struct victim *v)
{
    char name[TEXT_NAME_BYTES], why[sizeof call->problem.text];
    size_t removed = 0;
    text_name(v->path.text, name);
    if (call_is_cancelled(call))
        return problem_set(&call->problem, "cancelled; nothing was deleted");
    if (v->state.kind != KIND_DIR) {
        if (unlinkat(v->place.dir, v->place.leaf, 0) != 0)
            return problem_errno(&call->problem, errno, "delete", v->path.text);
    } else if (tree_remove(&call->in->root, v->place.dir, v->place.leaf, &v->tree, &removed,
                           &call->problem) != 0) {
        memcpy(why, call->problem.text, sizeof why);
        return problem_set(&call->problem,
                           "stopped in \"%s\" after %zu of %zu entries were "
                           "deleted: %.300s",
                           name, removed, v->tree.count + 1, why);
    }
    if (fsync(v->place.dir) != 0 && errno != EINVAL)
        return problem_set(&call->problem,
                           "\"%s\" is deleted, but the directory could not be "
                           "flushed: it may come back after a power failure",
                           name);
    if (v->tree.count)
        return call_say(call, "deleted \"%s\" with the %zu entries below it", name, v->tree.count);
    return call_say(call, "deleted \"%s\"", name);
}

static int delete_path(struct call *call)
{
    struct victim v = { .place = { .dir = -1 } };
    int rc = look(call, &v);
    if (rc == 0)
        rc = check(call, &v);
    if (rc == 0)
        rc = call->is_preview ? show(call, &v) : remove_it(call, &v);
    content_free(&v.content);
    tree_free(&v.tree);
    place_close(&v.place);
    return rc;
}

WRITE_TOOL(delete_path)

/* clang-format off */
const struct flopinio_tool tool_delete = {
    .size = sizeof tool_delete,
    .effects = FLOPINIO_WRITES | FLOPINIO_DESTROYS,
    .name = "delete",
    .title = "Delete a file or directory",
    .description =
        "Deletes a file, a symbolic link (not what it points to), or an empty directory below the "
        "root; with recursive: true also a directory with everything in it. There is no way back.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"},
            "recursive": {"type": "boolean", "default": false,
                          "description": "delete a directory with everything in it"}
        },
        "required": ["path"],
        "additionalProperties": false
    }),
    .card = "Delete {path}",
    .start = delete_path_start,
    .preview = delete_path_preview,
};
/* clang-format on */
