/* make_directory and move: names, not content. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "text.h"
#include "tools.h"

/* A changed directory that cannot be flushed: the change is there, and the agent is told. */
static int flush(struct call *call, int dir, const char *what)
{
    if (fsync(dir) == 0 || errno == EINVAL)
        return 0;
    return problem_set(&call->problem,
                       "%s, but the directory could not be flushed: it may not "
                       "survive a power failure",
                       what);
}

static int make_directory(struct call *call)
{
    const struct root *root = &call->in->root;
    struct path path;
    struct place place;
    struct stat st;
    enum kind kind;
    char name[TEXT_NAME_BYTES];
    if (call_path(call, "/path", true, &path) != 0 ||
        place_open(root, &path, call_flag(call, "/create_parents"), &place, &call->problem) != 0)
        return -1;
    text_name(path.text, name);
    int rc = place_stat(root, &place, &st, &kind, &call->problem);
    if (rc == 0)
        rc = call_check(call, kind == KIND_ABSENT ? "absent" : kind_name(kind), path.text);
    if (rc == 0 && kind != KIND_ABSENT)
        rc = problem_set(&call->problem, "\"%s\" exists already", name);
    if (rc == 0 && call->is_preview) {
        struct buf text = BUF_INIT;
        buf_puts(&text, "Make directory ");
        buf_name(&text, path.text, path.n);
        if (place.lacks_parents)
            buf_puts(&text, " and the directories above it that do not exist");
        buf_puts(&text, "\n");
        rc = call_show_text(call, &text);
        buf_fini(&text);
    } else if (rc == 0) {
        if (place.lacks_parents)
            rc = place_make_parents(root, &place, &call->problem);
        if (rc == 0 && mkdirat(place.dir, place.leaf, 0777) != 0)
            rc = problem_errno(&call->problem, errno, "make", path.text);
        if (rc == 0)
            rc = flush(call, place.dir, "the directory is made");
        if (rc == 0)
            call_say(call, "made directory \"%s\"", name);
    }
    place_close(&place);
    return rc;
}

struct move {
    struct path from_path, to_path;
    struct place from, to;
    struct state was, target;
    bool overwrites;
};

static int move_check(struct call *call, struct move *m)
{
    char both[FLOPINIO_PRECONDITION_MAX], name[TEXT_NAME_BYTES];
    snprintf(both, sizeof both, "from=%s;to=%s", m->was.text, m->target.text);
    if (call_check(call, both, m->from_path.text) != 0)
        return -1;
    if (m->was.kind == KIND_ABSENT)
        return problem_set(&call->problem, "\"%s\" does not exist",
                           text_name(m->from_path.text, name));
    if (m->was.kind == KIND_LINK)
        return problem_set(&call->problem, "\"%s\" is a symbolic link; links are not moved",
                           text_name(m->from_path.text, name));
    if (m->target.kind == KIND_ABSENT)
        return 0;
    text_name(m->to_path.text, name);
    if (m->target.st.st_ino == m->was.st.st_ino && m->target.st.st_dev == m->was.st.st_dev)
        return problem_set(&call->problem, "from and to are the same %s", kind_name(m->was.kind));
    if (!m->overwrites)
        return problem_set(&call->problem,
                           "\"%s\" exists already; it is replaced only with "
                           "overwrite: true",
                           name);
    if (m->target.kind != KIND_FILE || m->was.kind != KIND_FILE)
        return problem_set(&call->problem, "\"%s\" is a %s; only a file replaces a file", name,
                           kind_name(m->target.kind));
    return 0;
}

static int move_show(struct call *call, const struct move *m)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "Move %s ", kind_name(m->was.kind));
    buf_name(&text, m->from_path.text, m->from_path.n);
    buf_puts(&text, " to ");
    buf_name(&text, m->to_path.text, m->to_path.n);
    buf_puts(&text, "\nfrom: ");
    state_describe(&m->was, &text);
    buf_puts(&text, "\nto:   ");
    state_describe(&m->target, &text);
    if (m->target.kind == KIND_FILE)
        buf_puts(&text, "; IT IS REPLACED and its content is lost");
    if (m->to.lacks_parents)
        buf_puts(&text, "; the directories above it that do not exist are made");
    buf_puts(&text, "\n");
    int rc = call_show_text(call, &text);
    buf_fini(&text);
    return rc;
}

static int move_do(struct call *call, struct move *m)
{
    char from[TEXT_NAME_BYTES], to[TEXT_NAME_BYTES];
    bool is_new = m->target.kind == KIND_ABSENT;
    text_name(m->from_path.text, from);
    text_name(m->to_path.text, to);
    if (m->to.lacks_parents && place_make_parents(&call->in->root, &m->to, &call->problem) != 0)
        return -1;
    if (call_is_cancelled(call))
        return problem_set(&call->problem, "cancelled; nothing was moved");
    if (renameat2(m->from.dir, m->from.leaf, m->to.dir, m->to.leaf,
                  is_new ? RENAME_NOREPLACE : 0) != 0) {
        if (errno == EEXIST)
            return problem_changed(&call->problem,
                                   "\"%s\" came into being meanwhile; nothing was "
                                   "moved",
                                   to);
        if (errno == EINVAL)
            return problem_set(&call->problem,
                               "cannot move \"%s\": this file system does not "
                               "allow it",
                               from);
        return problem_errno(&call->problem, errno, "move", m->from_path.text);
    }
    if (flush(call, m->to.dir, "it was moved") != 0 ||
        flush(call, m->from.dir, "it was moved") != 0)
        return -1;
    return call_say(call, "moved \"%s\" to \"%s\"%s", from, to,
                    is_new ? "" : ", replacing the file that was there");
}

static int move(struct call *call)
{
    const struct root *root = &call->in->root;
    struct move m = { .from = { .dir = -1 }, .to = { .dir = -1 } };
    int rc = -1;
    m.overwrites = call_flag(call, "/overwrite");
    if (call_path(call, "/from", false, &m.from_path) != 0 ||
        call_path(call, "/to", true, &m.to_path) != 0)
        return -1;
    if (strcmp(m.to_path.text, m.from_path.text) == 0)
        return problem_set(&call->problem, "from and to are the same path");
    if (path_is_within(&m.to_path, &m.from_path))
        return problem_set(&call->problem, "to lies below from; nothing is moved into itself");
    if (place_open(root, &m.from_path, false, &m.from, &call->problem) == 0 &&
        place_open(root, &m.to_path, call_flag(call, "/create_parents"), &m.to, &call->problem) ==
            0 &&
        state_of(root, &m.from, call->in->max_file_bytes, &m.was, NULL, &call->problem) == 0 &&
        state_of(root, &m.to, call->in->max_file_bytes, &m.target, NULL, &call->problem) == 0 &&
        move_check(call, &m) == 0)
        rc = call->is_preview ? move_show(call, &m) : move_do(call, &m);
    place_close(&m.from);
    place_close(&m.to);
    return rc;
}

WRITE_TOOL(make_directory)
WRITE_TOOL(move)

/* clang-format off */
const struct flopinio_tool tool_make_directory = {
    .size = sizeof tool_make_directory,
    .effects = FLOPINIO_WRITES,
    .name = "make_directory",
    .title = "Make a directory",
    .description = "Makes an empty directory below the root. It is an error if it exists.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"},
            "create_parents": {"type": "boolean", "default": false,
                               "description": "make the directories above it that are missing"}
        },
        "required": ["path"],
        "additionalProperties": false
    }),
    .card = "Make directory {path}",
    .start = make_directory_start,
    .preview = make_directory_preview,
};

const struct flopinio_tool tool_move = {
    .size = sizeof tool_move,
    .effects = FLOPINIO_WRITES | FLOPINIO_DESTROYS,
    .name = "move",
    .title = "Move or rename",
    .description =
        "Moves or renames a file or directory below the root. A file that is there already is "
        "replaced only with overwrite: true; a directory is never replaced.",
    .input_schema = JSON({
        "type": "object",
        "properties": {
            "from": {"type": "string", "minLength": 1, "maxLength": 4095,
                     "description": "relative to the root"},
            "to": {"type": "string", "minLength": 1, "maxLength": 4095,
                   "description": "the whole new path, relative to the root"},
            "overwrite": {"type": "boolean", "default": false,
                          "description": "replace the file at to if it exists"},
            "create_parents": {"type": "boolean", "default": false,
                               "description": "make the directories above to that are missing"}
        },
        "required": ["from", "to"],
        "additionalProperties": false
    }),
    .card = "Move {from} to {to}",
    .start = move_start,
    .preview = move_preview,
};
/* clang-format on */
