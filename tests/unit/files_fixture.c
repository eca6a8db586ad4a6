/* Making and looking at the tree. */
#define _XOPEN_SOURCE 700
#include "files_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

void files_open(struct files *f, const char *extra)
{
    char config[400];
    memset(f, 0, sizeof *f);
    snprintf(f->base, sizeof f->base, "/tmp/flopinio-files-XXXXXX");
    CHECK(mkdtemp(f->base));
    snprintf(f->root, sizeof f->root, "%s/root", f->base);
    snprintf(f->outside, sizeof f->outside, "%s/outside", f->base);
    CHECK(mkdir(f->root, 0755) == 0 && mkdir(f->outside, 0755) == 0);
    snprintf(config, sizeof config, "{\"root\": \"%s\"%s%s}", f->root, *extra ? ", " : "", extra);
    fake_host_init(&f->host, config);
    const struct flopinio_plugin *plugin = flopinio_plugin();
    CHECK_MSG(plugin->open(&f->host.table, &f->in) == 0, "open: %s",
              f->host.log.p ? f->host.log.p : "");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void files_close(struct files *f)
{
    flopinio_plugin()->close(f->in);
    fake_host_fini(&f->host);
    CHECK(strncmp(f->base, "/tmp/flopinio-files-", 20) == 0);
    CHECK(nftw(f->base, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

FL_PRINTF(5, 0)
static struct flopinio_job *run(struct files *f, const char *tool, const char *bound,
                                bool is_preview, const char *args, va_list ap)
{
    const struct flopinio_tool *t = fake_tool(flopinio_plugin(), tool);
    struct fl_buf b = FL_BUF_INIT;
    fl_buf_vprintf(&b, args, ap);
    struct flopinio_job *job =
        is_preview ? fake_preview(t, f->in, b.p) : fake_start(t, f->in, b.p, bound);
    CHECK_MSG(job->done == 1, "%s did not end before it returned", tool);
    if (!is_preview)
        fake_check_structured(t, job);
    fl_buf_fini(&b);
    return job;
}

struct flopinio_job *files_call(struct files *f, const char *tool, const char *bound,
                                const char *args, ...)
{
    va_list ap;
    va_start(ap, args);
    struct flopinio_job *job = run(f, tool, bound, false, args, ap);
    va_end(ap);
    return job;
}

struct flopinio_job *files_preview(struct files *f, const char *tool, const char *args, ...)
{
    va_list ap;
    va_start(ap, args);
    struct flopinio_job *job = run(f, tool, NULL, true, args, ap);
    va_end(ap);
    return job;
}

void files_expect(struct files *f, const char *tool, const char *bound, const char *args,
                  enum flopinio_outcome outcome, const char *text)
{
    struct flopinio_job *job = files_call(f, tool, bound, "%s", args);
    CHECK_MSG(job->outcome == outcome, "%s %s ended with %d: %s", tool, args, (int)job->outcome,
              fake_text(job, 0));
    CHECK_STR(fake_text(job, 0), text);
    fake_job_free(&job);
}

const char *files_path(struct files *f, const char *path)
{
    static char paths[4][4096];
    static unsigned at;
    char *out = paths[at++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", f->root, path);
    return out;
}

void files_put(struct files *f, const char *path, const void *bytes, size_t n)
{
    int fd = open(files_path(f, path), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK_MSG(fd >= 0, "cannot make %s: %s", path, strerror(errno));
    for (size_t at = 0; at < n;) {
        ssize_t put = write(fd, (const char *)bytes + at, n - at);
        CHECK(put > 0);
        at += (size_t)put;
    }
    close(fd);
}

void files_put_text(struct files *f, const char *path, const char *text)
{
    files_put(f, path, text, strlen(text));
}

void files_mkdir(struct files *f, const char *path)
{
    CHECK_MSG(mkdir(files_path(f, path), 0755) == 0, "mkdir %s: %s", path, strerror(errno));
}

void files_symlink(struct files *f, const char *target, const char *path)
{
    CHECK(symlink(target, files_path(f, path)) == 0);
}

bool files_exists(struct files *f, const char *path)
{
    struct stat st;
    return lstat(files_path(f, path), &st) == 0;
}

void files_holds(struct files *f, const char *path, const char *text)
{
    if (!text) {
        CHECK_MSG(!files_exists(f, path), "%s is there", path);
        return;
    }
    char *now = fl_test_read_file(files_path(f, path), NULL);
    CHECK_MSG(strcmp(now, text) == 0, "%s holds \"%s\", not \"%s\"", path, now, text);
    free(now);
}

static struct fl_buf *picture;

static int draw(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    fl_buf_printf(picture, "%s %o %lld %lld.%09ld %lld.%09ld", path, st->st_mode,
                  (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                  (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    if (type == FTW_F && S_ISREG(st->st_mode)) {
        unsigned char digest[SHA256_DIGEST_LENGTH];
        size_t n;
        char *text = fl_test_read_file(path, &n);
        SHA256((unsigned char *)text, n, digest);
        free(text);
        for (size_t i = 0; i < sizeof digest; i++)
            fl_buf_printf(picture, "%02x", digest[i]);
    }
    fl_buf_puts(picture, "\n");
    return 0;
}

static int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *files_snapshot(struct files *f)
{
    struct fl_buf raw = FL_BUF_INIT, sorted = FL_BUF_INIT;
    char *lines[4096], *save = NULL;
    size_t n = 0;
    picture = &raw;
    CHECK(nftw(f->base, draw, 32, FTW_PHYS) == 0);
    for (char *line = strtok_r(raw.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        CHECK(n < FL_COUNTOF(lines));
        lines[n++] = line;
    }
    qsort(lines, n, sizeof *lines, by_line); /* the order of a directory may change by itself */
    for (size_t i = 0; i < n; i++)
        fl_buf_printf(&sorted, "%s\n", lines[i]);
    fl_buf_fini(&raw);
    return fl_buf_take(&sorted, NULL);
}
