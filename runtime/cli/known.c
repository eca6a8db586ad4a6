/* The file that knows the database. */
#include "runtime/cli/known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/clock.h"

#define FILE_MAX 4096

void fl_known_path(const struct fl_config *c, char *out, size_t size)
{
    if (c->epoch_file[0])
        snprintf(out, size, "%s", c->epoch_file);
    else
        snprintf(out, size, "%s/epoch", c->data_dir);
}

enum fl_code fl_known_load(const struct fl_config *c, struct fl_known *ret, struct fl_err *err)
{
    char path[600], text[FILE_MAX];
    struct fl_err why;
    *ret = (struct fl_known){ .is_there = false };
    fl_known_path(c, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return FL_OK;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return fl_err_set(err, FL_CONFIG, "cannot read %s: %s", path, strerror(saved));
    json_t *object = fl_json_parse((struct fl_str){ text, (size_t)n }, &why);
    ret->is_there = object && fl_epoch_from_json(object, &ret->epoch);
    ret->at_ms = json_integer_value(json_object_get(object, "at_ms"));
    snprintf(ret->frozen, sizeof ret->frozen, "%.*s",
             FL_STR_ARG(fl_json_get_str(object, "frozen")));
    json_decref(object);
    return ret->is_there ? FL_OK
                         : fl_err_set(err, FL_CONFIG, "%s is not what this program wrote", path);
}

enum fl_code fl_known_save(const struct fl_config *c, const struct fl_epoch *epoch,
                           const char *frozen, struct fl_err *err)
{
    char path[600], fresh[640];
    struct fl_buf text = FL_BUF_INIT;
    fl_known_path(c, path, sizeof path);
    snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
    json_t *object = fl_epoch_to_json(epoch);
    json_object_set_new(object, "at_ms", json_integer(fl_real_ms()));
    if (frozen)
        json_object_set_new(object, "frozen", json_string(frozen));
    if (object)
        fl_json_put(&text, object);
    json_decref(object);
    fl_buf_putc(&text, '\n');
    enum fl_code code = fl_buf_code(&text, err);
    int fd = code ? -1 : open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool is_fine = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    is_fine = is_fine && rename(fresh, path) == 0;
    int saved = errno;
    if (fd >= 0 && !is_fine)
        unlink(fresh);
    fl_buf_fini(&text);
    if (code || is_fine)
        return code;
    return fl_err_set(err, FL_IO, "could not write %s: %s", path, strerror(saved));
}

enum fl_code fl_known_look(const struct fl_config *c, struct pg_conn *pg,
                           const struct fl_epoch *now, struct fl_err *err)
{
    struct fl_known known;
    struct fl_err ignored;
    char name[FL_EPOCH_NAME_BYTES], why[sizeof known.frozen];
    enum fl_code code = fl_epoch_loaded(pg, name, err);
    if (code || !name[0])
        return code;
    if (fl_known_load(c, &known, &ignored) != FL_OK)
        return FL_OK; /* it is frozen as it is */
    snprintf(why, sizeof why, FL_KNOWN_LOADED, name);
    return fl_known_save(c, known.is_there ? &known.epoch : now, why, err);
}

static enum fl_code frozen(const char *why, struct fl_err *err)
{
    return fl_err_set(err, FL_UNAVAILABLE,
                      "frozen: the database is not as it was left, %s; nothing runs until the "
                      "operator calls flopinio recover",
                      why);
}

/* *ret_why: what fl_epoch_objection said, or NULL. */
static enum fl_code judge(const struct fl_config *c, const struct fl_epoch *now,
                          struct fl_known *known, const char **ret_why, struct fl_err *err)
{
    struct fl_err why_not;
    *ret_why = NULL;
    if (fl_known_load(c, known, &why_not) != FL_OK) {
        char why[300];
        snprintf(why, sizeof why, "as far as can be told: %.250s", why_not.text);
        return frozen(why, err);
    }
    if (!known->is_there)
        return now->number == 0 /* new, or of a program before this one */
                   ? FL_OK
                   : frozen("and this node has no epoch file of it", err);
    if (known->frozen[0])
        return frozen(known->frozen, err);
    *ret_why = fl_epoch_objection(&known->epoch, now);
    return *ret_why ? frozen(*ret_why, err) : FL_OK;
}

enum fl_code fl_known_judge(const struct fl_config *c, const struct fl_epoch *now,
                            struct fl_err *err)
{
    struct fl_known known;
    const char *why;
    return judge(c, now, &known, &why, err);
}

enum fl_code fl_known_admit(const struct fl_config *c, const struct fl_epoch *now,
                            struct fl_err *err)
{
    struct fl_known known;
    struct fl_err ignored;
    const char *why;
    enum fl_code code = judge(c, now, &known, &why, err);
    struct fl_epoch in_time = known.epoch;
    in_time.wal = 0;
    if (why && !fl_epoch_objection(&in_time, now)) /* its log grows by itself, and would catch up */
        (void)!fl_known_save(c, &known.epoch, why, &ignored);
    return code;
}
