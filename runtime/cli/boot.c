/* Handing over to a worker. */
#include "runtime/cli/boot.h"

#include <sys/mman.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/crypto/secret.h"

static json_t *uuid_json(const struct fl_uuid *id)
{
    char text[FL_UUID_TEXT];
    return json_string(fl_uuid_format(id, text));
}

static json_t *to_json(const struct fl_boot *b)
{
    json_t *sockets = json_array(), *gone = json_array();
    for (size_t i = 0; gone && i < b->gone_count; i++)
        json_array_append_new(gone, uuid_json(&b->gone[i]));
    for (size_t i = 0; sockets && i < b->socket_count; i++)
        json_array_append_new(sockets,
                              json_pack("{s:i, s:i, s:i}", "kind", (int)b->sockets[i].kind, "fd",
                                        b->sockets[i].fd, "port", b->sockets[i].port));
    const char *file = b->config.file ? b->config.file : "";
    return json_pack("{s:o, s:s, s:s%, s:s%, s:i, s:i, s:i, s:o, s:o, s:i, s:i, s:i, s:o}",
                     "config", fl_config_to_json(&b->config), "file", file, "conninfo",
                     b->conninfo.p, b->conninfo.n, "keys", b->keys.p, b->keys.n, "worker",
                     b->worker, "workers", b->workers, "supervisor", b->supervisor, "id",
                     uuid_json(&b->id), "gone", gone, "ready", b->ready_fd, "stats", b->stats_fd,
                     "reload", b->reload_fd, "sockets", sockets);
}

int fl_boot_write(const struct fl_boot *boot)
{
    json_t *object = to_json(boot);
    struct fl_buf text = FL_BUF_INIT;
    int fd = -1;
    if (object)
        fl_json_put(&text, object);
    if (object && !text.is_failed)
        fd = memfd_create("flopinio-boot", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, text.p, text.n) != (ssize_t)text.n || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        fd = -1;
    }
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    json_decref(object);
    return fd;
}

static int number(const json_t *object, const char *name)
{
    return (int)json_integer_value(json_object_get(object, name));
}

static bool read_ids(const json_t *object, struct fl_boot *b)
{
    const json_t *gone = json_object_get(object, "gone");
    for (size_t i = 0; i < json_array_size(gone) && i < FL_BOOT_GONE; i++) {
        if (!fl_uuid_parse(fl_json_str(json_array_get(gone, i)), &b->gone[b->gone_count++]))
            return false;
    }
    return fl_uuid_parse(fl_json_get_str(object, "id"), &b->id);
}

static enum fl_code from_json(const json_t *object, struct fl_boot *b, struct fl_err *err)
{
    const json_t *sockets = json_object_get(object, "sockets");
    enum fl_code code = fl_config_from_json(json_object_get(object, "config"), &b->config, err);
    if (code)
        return code;
    struct fl_str file = fl_arena_str(b->config.arena, fl_json_get_str(object, "file"));
    if (file.n)
        b->config.file = file.p;
    b->conninfo = fl_arena_str(b->config.arena, fl_json_get_str(object, "conninfo"));
    b->keys = fl_arena_str(b->config.arena, fl_json_get_str(object, "keys"));
    b->worker = number(object, "worker");
    b->workers = number(object, "workers");
    b->supervisor = number(object, "supervisor");
    b->ready_fd = number(object, "ready");
    b->stats_fd = number(object, "stats");
    b->reload_fd = number(object, "reload");
    for (size_t i = 0; i < json_array_size(sockets) && i < FL_BOOT_SOCKETS; i++) {
        const json_t *s = json_array_get(sockets, i);
        b->sockets[b->socket_count++] =
            (struct fl_boot_socket){ (enum fl_boot_kind)number(s, "kind"), number(s, "fd"),
                                     number(s, "port") };
    }
    return b->conninfo.n && b->keys.n && read_ids(object, b) ? FL_OK : fl_err_code(err, FL_NOMEM);
}

bool fl_boot_write_reload(int fd, const struct fl_config *config)
{
    json_t *object = fl_config_to_json(config);
    struct fl_buf text = FL_BUF_INIT;
    if (object) {
        json_object_del(object, "database_url");
        fl_json_put(&text, object);
    }
    bool is_fine = object && !text.is_failed && ftruncate(fd, 0) == 0 &&
                   pwrite(fd, text.p, text.n, 0) == (ssize_t)text.n;
    fl_buf_fini(&text);
    json_decref(object);
    return is_fine;
}

enum fl_code fl_boot_read_reload(int fd, struct fl_config *ret, struct fl_err *err)
{
    struct fl_buf text;
    fl_buf_init(&text, 1 << 20);
    ssize_t n = 1;
    while (n > 0 && fl_buf_reserve(&text, 65536)) {
        n = pread(fd, text.p + text.n, 65536, (off_t)text.n);
        if (n > 0)
            text.n += (size_t)n;
    }
    json_t *object = n == 0 ? fl_json_parse(fl_buf_view(&text), err) : NULL;
    enum fl_code code = object ? fl_config_from_json(object, ret, err)
                               : fl_err_set(err, FL_CONFIG, "could not read the configuration");
    json_decref(object);
    fl_buf_fini(&text);
    return code;
}

enum fl_code fl_boot_read(int fd, struct fl_boot *ret, struct fl_err *err)
{
    struct fl_buf text;
    struct fl_boot b = { .worker = 0 };
    fl_buf_init(&text, 1 << 20);
    ssize_t n = 1;
    while (n > 0 && fl_buf_reserve(&text, 65536)) {
        n = read(fd, text.p + text.n, 65536);
        if (n > 0)
            text.n += (size_t)n;
    }
    close(fd);
    json_t *object = n == 0 ? fl_json_parse(fl_buf_view(&text), err) : NULL;
    enum fl_code code =
        object ? from_json(object, &b, err)
               : fl_err_set(err, FL_CONFIG, "a worker is started by flopinio serve only");
    json_decref(object);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    if (code)
        fl_arena_free(&b.config.arena);
    else
        *ret = b;
    return code;
}
