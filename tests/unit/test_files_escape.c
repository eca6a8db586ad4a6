/* Nothing leaves the root: not by spelling, links, mounts, or races. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files_fixture.h"
#include "harness.h"
#include "plugins/files/root.h"

/* Every tool with one path; write tools in the form that goes furthest. */
static const struct {
    const char *tool, *args;
    bool is_write;
} probes[] = {
    { "list", "{\"path\": \"%s\"}", false },
    { "stat", "{\"path\": \"%s\"}", false },
    { "read", "{\"path\": \"%s\"}", false },
    { "search", "{\"path\": \"%s\", \"text\": \"secret\"}", false },
    { "write",
      "{\"path\": \"%s\", \"content\": \"pwned\", \"overwrite\": true, \"create_parents\": true}",
      true },
    { "edit", "{\"path\": \"%s\", \"old\": \"secret\", \"new\": \"pwned\"}", true },
    { "make_directory", "{\"path\": \"%s\", \"create_parents\": true}", true },
    { "move", "{\"from\": \"%s\", \"to\": \"stolen\"}", true },
    { "move", "{\"from\": \"mine\", \"to\": \"%s\", \"overwrite\": true, \"create_parents\": true}",
      true },
    { "delete", "{\"path\": \"%s\", \"recursive\": true}", true },
};

static struct flopinio_job *probe(struct files *f, size_t i, bool is_preview, const char *path)
{
    struct fl_buf args = FL_BUF_INIT;
    const char *at = strstr(probes[i].args, "%s");
    fl_buf_put(&args, probes[i].args, (size_t)(at - probes[i].args));
    fl_buf_puts(&args, path);
    fl_buf_puts(&args, at + 2);
    struct flopinio_job *job = is_preview ? files_preview(f, probes[i].tool, "%s", args.p)
                                          : files_call(f, probes[i].tool, NULL, "%s", args.p);
    fl_buf_fini(&args);
    return job;
}

static void test_no_spelling_and_no_link_leads_outside(void)
{
    static const char *const paths[] = {
        "../outside/secret", "..",
        "../outside",        "d/../../outside/secret",
        "/etc/passwd",       "/",
        "out/secret",        "d/up/secret",
        "d/up/../secret",    "self/out/secret",
        "abs/passwd",        "lf/x",
        "d/./up/secret",     "loop/x",
        "self/mine", /* does not leave the root; refused all the same */
    };
    struct files f;
    size_t tried = 0;
    files_open(&f, "");
    files_put_text(&f, "../outside/secret", "secret");
    files_mkdir(&f, "d");
    files_put_text(&f, "mine", "mine");
    files_symlink(&f, "../outside", "out");
    files_symlink(&f, "../../outside", "d/up");
    files_symlink(&f, ".", "self");
    files_symlink(&f, "/etc", "abs");
    files_symlink(&f, "../outside/secret", "lf");
    files_symlink(&f, "loop", "loop");
    char *before = files_snapshot(&f);
    for (size_t i = 0; i < FL_COUNTOF(probes); i++) {
        for (size_t k = 0; k < FL_COUNTOF(paths); k++) {
            struct flopinio_job *job = probe(&f, i, false, paths[k]);
            CHECK_MSG(job->outcome == FLOPINIO_TOOL_ERROR, "%s of %s: %s", probes[i].tool, paths[k],
                      fake_text(job, 0));
            fake_job_free(&job);
            tried++;
            if (!probes[i].is_write)
                continue;
            job = probe(&f, i, true, paths[k]);
            CHECK_STR(job->bound, "would-fail");
            fake_job_free(&job);
        }
    }
    CHECK_INT(tried, 150);
    char *after = files_snapshot(&f);
    CHECK_STR(after, before);
    free(before);
    free(after);
    /* the canary: the same links do lead outside for a plain open */
    CHECK(access(files_path(&f, "d/up/secret"), R_OK) == 0);
    files_close(&f);
}

static void test_the_fence_holds_by_itself(void)
{
    /* path_parse refuses all of these before; the kernel would too */
    static const struct {
        const char *path;
        int error;
    } cases[] = {
        { "..", EXDEV },          { "d/../..", EXDEV },    { "../outside/secret", EXDEV },
        { "/etc/passwd", EXDEV }, { "out/secret", ELOOP }, { "d/up", ELOOP },
        { "lf", ELOOP },
    };
    struct files f;
    const char *why;
    struct root root;
    files_open(&f, "");
    files_put_text(&f, "../outside/secret", "secret");
    files_mkdir(&f, "d");
    files_symlink(&f, "../outside", "out");
    files_symlink(&f, "../../outside", "d/up");
    files_symlink(&f, "../outside/secret", "lf");
    CHECK(root_open(&root, f.root, true, &why) == 0);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_INT(root_openat(&root, root.fd, cases[i].path, O_RDONLY), -cases[i].error);
    int fd = root_openat(&root, root.fd, "d", O_RDONLY);
    CHECK(fd >= 0 && close(fd) == 0); /* the canary */
    root_close(&root);
    files_close(&f);
}

static void test_a_link_as_last_part_is_never_followed(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "../outside/secret", "secret");
    files_put_text(&f, "mine", "mine");
    for (size_t i = 0; i < FL_COUNTOF(probes); i++) {
        files_symlink(&f, "../outside/secret", "lf");
        struct flopinio_job *job = probe(&f, i, false, "lf");
        bool is_on_the_link =
            strcmp(probes[i].tool, "stat") == 0 || strcmp(probes[i].tool, "delete") == 0;
        CHECK_MSG((job->outcome == FLOPINIO_OK) == is_on_the_link, "%s: %s", probes[i].tool,
                  fake_text(job, 0));
        CHECK(!strstr(fake_text(job, 1), "secret"));
        fake_job_free(&job);
        files_holds(&f, "../outside/secret", "secret");
        unlink(files_path(&f, "lf"));
    }
    files_close(&f);
}

/* ---- races ---- */
struct swapper {
    struct files *f;
    const char *a, *b;
    atomic_bool is_over;
    atomic_uint swaps;
};

static void *swap(void *arg)
{
    struct swapper *s = arg;
    char a[200], b[200];
    snprintf(a, sizeof a, "%s/%s", s->f->root, s->a);
    snprintf(b, sizeof b, "%s/%s", s->f->root, s->b);
    while (!atomic_load(&s->is_over)) {
        if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0)
            atomic_fetch_add(&s->swaps, 1);
        else if (errno == ENOENT)
            sched_yield();
    }
    return NULL;
}

static void check_silent(const struct flopinio_job *job, size_t i)
{
    for (size_t k = 0; k < json_array_size(job->content); k++)
        CHECK_MSG(job->outcome != FLOPINIO_OK || strcmp(probes[i].tool, "search") == 0 ||
                      !strstr(fake_text(job, k), "secret"),
                  "%s gave the secret", probes[i].tool);
    CHECK(json_array_size(json_object_get(job->structured, "matches")) == 0);
    CHECK(!job->preview_text.n || !strstr(job->preview_text.p, "secret"));
    CHECK(!job->preview_diff.n || !strstr(job->preview_diff.p, "secret"));
}

static bool escapes_by_name(struct files *f, const char *path)
{
    char seen[16] = "";
    int fd = open(files_path(f, path), O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, seen, sizeof seen - 1) : -1;
    if (fd >= 0)
        close(fd);
    return n == 6 && strcmp(seen, "secret") == 0;
}

/* `target`, a path through or at `a`, under all tools, while a and b change places: one of them is
 * ours, the other a link to outside. write makes again what move and delete took away. */
static void race(const char *a, const char *b, const char *target, const char *outside)
{
    enum { ROUNDS = 250 };
    struct files f;
    size_t reached = 0, escaped = 0;
    files_open(&f, "");
    files_put_text(&f, "../outside/x", "secret");
    struct swapper s = { .f = &f, .a = a, .b = b };
    if (strcmp(a, target) != 0)
        files_mkdir(&f, a);
    files_put_text(&f, target, "inside");
    files_symlink(&f, outside, b);
    char *before = files_snapshot(&f);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, swap, &s) == 0);
    for (size_t n = 0; n < ROUNDS; n++) {
        for (size_t i = 0; i < FL_COUNTOF(probes); i++) {
            files_put_text(&f, "mine", "mine");
            struct flopinio_job *job = probe(&f, i, n % 2 && probes[i].is_write, target);
            check_silent(job, i);
            reached += job->outcome == FLOPINIO_OK;
            fake_job_free(&job);
        }
        escaped += escapes_by_name(&f, target);
        files_holds(&f, "../outside/x", "secret");
        remove(files_path(&f, "stolen"));
        if (strcmp(a, target) == 0) { /* the link itself may have been deleted */
            rmdir(files_path(&f, b));
            files_symlink(&f, outside, "link");
            rename(files_path(&f, "link"), files_path(&f, b));
            unlink(files_path(&f, "link"));
        }
    }
    atomic_store(&s.is_over, true);
    pthread_join(thread, NULL);
    /* outside holds x and nothing else, the same to its times */
    char *after = files_snapshot(&f);
    const char *was = strstr(before, "/outside "), *is = strstr(after, "/outside ");
    const char *end = strstr(was, "/root ");
    CHECK(is && strncmp(was, is, (size_t)(end - was)) == 0);
    printf("    %u swaps, %zu calls went through, %zu opens by name would have escaped\n",
           atomic_load(&s.swaps), reached, escaped);
    CHECK(atomic_load(&s.swaps) > 100 && reached > 100);
    CHECK_MSG(escaped > 0, "the link was never met: the test shows nothing");
    free(before);
    free(after);
    files_close(&f);
}

static void test_a_directory_swapped_for_a_link_in_a_race(void)
{
    race("d", "l", "d/x", "../outside");
}

static void test_a_file_swapped_for_a_link_in_a_race(void)
{
    race("t", "l", "t", "../outside/x");
}

/* ---- hard links, mounts, length, rights ---- */
static void test_hard_links_are_read_but_never_written_through(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "../outside/x", "shared");
    CHECK(link(files_path(&f, "../outside/x"), files_path(&f, "x")) == 0);
    struct flopinio_job *job = files_call(&f, "stat", NULL, "{\"path\": \"x\"}");
    CHECK_INT(json_integer_value(json_object_get(job->structured, "links")), 2);
    fake_job_free(&job);
    job = files_call(&f, "read", NULL, "{\"path\": \"x\"}");
    CHECK_STR(fake_text(job, 1), "shared");
    fake_job_free(&job);
    job = files_call(&f, "edit", NULL, "{\"path\": \"x\", \"old\": \"shared\", \"new\": \"own\"}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    files_holds(&f, "x", "own");
    files_holds(&f, "../outside/x", "shared");
    files_close(&f);
}

static void test_the_root_ends_where_another_file_system_begins(void)
{
    struct files f;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        fl_test_skip("only root may mount");
    files_open(&f, "");
    files_mkdir(&f, "mnt");
    files_put_text(&f, "mine", "mine");
    CHECK(mount("tmpfs", files_path(&f, "mnt"), "tmpfs", 0, NULL) == 0);
    files_put_text(&f, "mnt/x", "secret");
    for (size_t i = 0; i < FL_COUNTOF(probes); i++) {
        struct flopinio_job *job = probe(&f, i, false, "mnt/x");
        CHECK_MSG(job->outcome == FLOPINIO_TOOL_ERROR, "%s crossed", probes[i].tool);
        CHECK_MSG(strstr(fake_text(job, 0), "it is on another file system than the root"), "%s: %s",
                  probes[i].tool, fake_text(job, 0));
        fake_job_free(&job);
    }
    struct flopinio_job *job = files_call(&f, "search", NULL, "{\"text\": \"secret\"}");
    CHECK_INT(json_array_size(json_object_get(job->structured, "matches")), 0);
    fake_job_free(&job);
    FILES_EXPECT_ERROR(&f, "delete", "{\"path\": \"mnt\", \"recursive\": true}",
                       "cannot look at \"mnt\": it is on another file system than the root");
    /* unless the operator says otherwise */
    flopinio_plugin()->close(f.in);
    json_object_set_new(f.host.config, "cross_mounts", json_true());
    CHECK(flopinio_plugin()->open(&f.host.table, &f.in) == 0);
    job = files_call(&f, "read", NULL, "{\"path\": \"mnt/x\"}");
    CHECK_STR(fake_text(job, 1), "secret");
    fake_job_free(&job);
    CHECK(umount(files_path(&f, "mnt")) == 0);
    files_close(&f);
}

static void test_paths_and_trees_beyond_all_limits(void)
{
    struct files f;
    char part[201];
    files_open(&f, "");
    memset(part, 'p', 200);
    part[200] = 0;
    /* 80 levels of 200 bytes: no single path names the lowest one */
    int dir = open(f.root, O_PATH | O_DIRECTORY);
    for (int i = 0; i < 80; i++) {
        CHECK(mkdirat(dir, part, 0755) == 0);
        int below = openat(dir, part, O_PATH | O_DIRECTORY);
        close(dir);
        dir = below;
        CHECK(dir >= 0);
    }
    close(dir);
    struct flopinio_job *job = files_call(&f, "search", NULL, "{\"name\": \"p*\"}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    CHECK_INT(json_array_size(json_object_get(job->structured, "matches")), 40);
    CHECK(strstr(fake_text(job, 0), "40 matches\n"));
    fake_job_free(&job);
    job = files_call(&f, "delete", NULL, "{\"path\": \"%s\", \"recursive\": true}", part);
    CHECK_STR(fake_text(job, 0), "it is nested deeper than 40 directories");
    fake_job_free(&job);
    job = files_call(&f, "list", NULL, "{\"depth\": 16}");
    CHECK_INT(json_array_size(json_object_get(job->structured, "entries")), 16);
    fake_job_free(&job);
    char command[300];
    snprintf(command, sizeof command, "rm -r %s/%s", f.root, part);
    CHECK(system(command) == 0);
    files_close(&f);
}

static void test_what_the_process_may_not_do_is_refused_in_words(void)
{
    struct files f;
    files_open(&f, "");
    files_mkdir(&f, "closed");
    files_put_text(&f, "closed/x", "1");
    files_put_text(&f, "locked", "1");
    files_put_text(&f, "fixed", "1");
    CHECK(chmod(files_path(&f, "closed"), 0) == 0 && chmod(files_path(&f, "locked"), 0) == 0 &&
          chmod(files_path(&f, "fixed"), 0444) == 0);
    uid_t me = geteuid();
    if (me == 0) {
        CHECK(chown(files_path(&f, ""), 65534, (gid_t)-1) == 0);
        CHECK(chown(files_path(&f, "fixed"), 65534, (gid_t)-1) == 0);
        CHECK(chmod(f.base, 0755) == 0 && seteuid(65534) == 0);
    }
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"locked\"}",
                       "cannot read \"locked\": permission denied");
    FILES_EXPECT_ERROR(&f, "list", "{\"path\": \"closed\"}",
                       "cannot open \"closed\": permission denied");
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"closed/x\"}",
                       "cannot read \"closed/x\": permission denied");
    FILES_EXPECT_ERROR(&f, "write", "{\"path\": \"closed/y\", \"content\": \"\"}",
                       "cannot reach \"closed/y\": permission denied");
    FILES_EXPECT_ERROR(&f, "write", "{\"path\": \"fixed\", \"content\": \"\", \"overwrite\": true}",
                       "cannot write \"fixed\": permission denied");
    if (me == 0) { /* writable for us, but not ours: a rename would make it ours */
        CHECK(seteuid(0) == 0);
        files_put_text(&f, "theirs", "2");
        CHECK(chmod(files_path(&f, "theirs"), 0666) == 0 && seteuid(65534) == 0);
        FILES_EXPECT_ERROR(
            &f, "write", "{\"path\": \"theirs\", \"content\": \"\", \"overwrite\": true}",
            "cannot write \"theirs\": it belongs to another user, who would lose it");
        files_holds(&f, "theirs", "2");
    }
    struct flopinio_job *job = files_call(&f, "search", NULL, "{\"text\": \"1\"}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    CHECK(strstr(fake_text(job, 0), me == 0 ? "1 match in 2 files\nfixed:1: 1\n"
                                            : "1 match in 1 files\nfixed:1: 1\n"));
    CHECK(strstr(fake_text(job, 0), "2 unreadable"));
    fake_job_free(&job);
    if (me == 0)
        CHECK(seteuid(0) == 0);
    files_holds(&f, "fixed", "1");
    CHECK(chmod(files_path(&f, "closed"), 0700) == 0);
    files_close(&f);
}

static const struct fl_test tests[] = {
    T(no_spelling_and_no_link_leads_outside),
    T(the_fence_holds_by_itself),
    T(a_link_as_last_part_is_never_followed),
    T_LIMIT(a_directory_swapped_for_a_link_in_a_race, 60),
    T_LIMIT(a_file_swapped_for_a_link_in_a_race, 60),
    T(hard_links_are_read_but_never_written_through),
    T(the_root_ends_where_another_file_system_begins),
    T(paths_and_trees_beyond_all_limits),
    T(what_the_process_may_not_do_is_refused_in_words),
};
TEST_MAIN(tests)
