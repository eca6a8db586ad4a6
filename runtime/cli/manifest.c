/* The manifest of a backup. */
#include "runtime/cli/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "runtime/crypto/digest.h"
#include "runtime/store/migrate.h"

#define FORMAT       1
#define MANIFEST_MAX (64 << 10)
#define HEX_BYTES    (2 * FL_SHA256_BYTES + 1)

/* ---------------------------------------------------------------- the dump's digest */
static enum fl_code digest(const char *dir, char hex[HEX_BYTES], long long *ret_bytes,
                           struct fl_err *err)
{
    char path[600], piece[65536];
    uint8_t raw[FL_SHA256_BYTES];
    struct fl_sha256 sha;
    ssize_t n;
    snprintf(path, sizeof path, "%s/" FL_MANIFEST_DUMP, dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    fl_sha256_init(&sha);
    *ret_bytes = 0;
    while ((n = fd < 0 ? -1 : read(fd, piece, sizeof piece)) > 0) {
        fl_sha256_put(&sha, piece, (size_t)n);
        *ret_bytes += n;
    }
    int saved = errno;
    fl_sha256_final(&sha, raw);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return fl_err_set(err, FL_CONFIG, "cannot read %s: %s", path, strerror(saved));
    fl_hex(raw, sizeof raw, hex);
    return FL_OK;
}

/* ---------------------------------------------------------------- writing */
static enum fl_code write_file(const char *path, const json_t *object, struct fl_err *err)
{
    char *text = json_dumps(object, JSON_INDENT(2));
    int fd = text ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    size_t n = text ? strlen(text) : 0;
    bool is_fine =
        fd >= 0 && write(fd, text, n) == (ssize_t)n && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    fl_free(text);
    return is_fine ? FL_OK
                   : fl_err_set(err, FL_IO, "could not write %s: %s", path, strerror(saved));
}

enum fl_code fl_manifest_write(const char *dir, const struct fl_dump_facts *facts, bool has_keys,
                               struct fl_err *err)
{
    char path[600], hex[HEX_BYTES], at[FL_TIME_BYTES];
    long long bytes;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    enum fl_code code = digest(dir, hex, &bytes, err);
    if (code)
        return code;
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:I, s:i, s:i, s:{s:s, s:I, s:s}, s:{s:b, s:O}}", "format",
                  FORMAT, "made_by", "flopinio " FL_VERSION, "made_at",
                  fl_time_format(fl_real_ms(), at), "installation", facts->installation, "epoch",
                  (json_int_t)facts->epoch, "schema", facts->schema, "postgresql",
                  facts->postgresql, "dump", "file", FL_MANIFEST_DUMP, "bytes", (json_int_t)bytes,
                  "sha256", hex, "keys", "included", (int)has_keys, "checks", facts->key_checks);
    code = object ? write_file(path, object, err) : fl_err_code(err, FL_NOMEM);
    json_decref(object);
    return code;
}

/* ---------------------------------------------------------------- reading */
static enum fl_code read_file(const char *path, json_t **ret, struct fl_err *err)
{
    char text[MANIFEST_MAX];
    struct fl_err why;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return fl_err_set(err, FL_CONFIG, "cannot read %s: %s", path, strerror(saved));
    *ret = fl_json_parse((struct fl_str){ text, (size_t)n }, &why);
    return *ret ? FL_OK : fl_err_set(err, FL_CONFIG, "%s: %s", path, why.text);
}

static enum fl_code check(const char *dir, const json_t *manifest, struct fl_err *err)
{
    char hex[HEX_BYTES];
    long long bytes;
    int format = (int)json_integer_value(json_object_get(manifest, "format"));
    int schema = (int)json_integer_value(json_object_get(manifest, "schema"));
    if (format != FORMAT || schema < 1 || !json_is_object(fl_manifest_key_checks(manifest)))
        return fl_err_set(err, FL_CONFIG,
                          "the manifest in %s is none that this program can read (format %d)", dir,
                          format);
    if (schema > fl_schema_version())
        return fl_err_set(err, FL_CONFIG,
                          "the backup has schema %d and this program knows only %d; use the newer "
                          "program",
                          schema, fl_schema_version());
    enum fl_code code = digest(dir, hex, &bytes, err);
    if (code == FL_OK &&
        !fl_str_is(fl_json_get_str(json_object_get(manifest, "dump"), "sha256"), hex))
        code = fl_err_set(err, FL_CONFIG,
                          "%s/" FL_MANIFEST_DUMP " is not what was backed up: its digest is not "
                          "the one of the manifest",
                          dir);
    return code;
}

enum fl_code fl_manifest_read(const char *dir, json_t **ret, struct fl_err *err)
{
    char path[600];
    json_t *manifest = NULL;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    enum fl_code code = read_file(path, &manifest, err);
    if (code == FL_OK)
        code = check(dir, manifest, err);
    if (code)
        json_decref(manifest);
    else
        *ret = manifest;
    return code;
}

const json_t *fl_manifest_key_checks(const json_t *manifest)
{
    return json_object_get(json_object_get(manifest, "keys"), "checks");
}

void fl_manifest_key_names(const json_t *key_checks, struct fl_buf *out)
{
    const char *id;
    json_t *value;
    json_object_foreach ((json_t *)key_checks, id, value) {
        if (strcmp(id, "0") != 0)
            fl_buf_printf(out, "%s%s", out->n ? ", " : "primary ", id);
    }
    fl_buf_puts(out, out->n ? " and the index key" : "the index key");
}
