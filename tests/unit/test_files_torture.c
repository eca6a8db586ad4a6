/* The files plugin when memory runs out, the disk fills, the process dies, or others write too. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fault.h"
#include "files_fixture.h"
#include "harness.h"

static const struct scenario {
    const char *tool, *args;
    bool is_write;
} scenarios[] = {
    { "list", "{\"depth\": 3}", false },
    { "stat", "{\"path\": \"t\"}", false },
    { "read", "{\"path\": \"t\"}", false },
    { "read", "{\"path\": \"t\", \"line\": 2}", false },
    { "read", "{\"path\": \"t\", \"encoding\": \"base64\"}", false },
    { "search", "{\"text\": \"two\", \"name\": \"*\"}", false },
    { "write", "{\"path\": \"new\", \"content\": \"n\"}", true },
    { "write", "{\"path\": \"a/b/new\", \"content\": \"n\", \"create_parents\": true}", true },
    { "write", "{\"path\": \"t\", \"content\": \"fresh\", \"overwrite\": true}", true },
    { "write",
      "{\"path\": \"t\", \"content\": \"AAEC\", \"encoding\": \"base64\", "
      "\"overwrite\": true}",
      true },
    { "edit", "{\"path\": \"t\", \"old\": \"two\", \"new\": \"2\"}", true },
    { "make_directory", "{\"path\": \"p/q\", \"create_parents\": true}", true },
    { "move", "{\"from\": \"d\", \"to\": \"e\"}", true },
    { "move", "{\"from\": \"t\", \"to\": \"d/s/x\", \"overwrite\": true}", true },
    { "delete", "{\"path\": \"t\"}", true },
    { "delete", "{\"path\": \"d\", \"recursive\": true}", true },
};

static void fill(struct files *f)
{
    files_put_text(f, "t", "one\ntwo\nthree\n");
    files_mkdir(f, "d");
    files_mkdir(f, "d/s");
    files_put_text(f, "d/s/x", "x");
    files_put_text(f, "d/y", "y");
}

/* ---- memory ---- */
static void test_without_memory_calls_fail_whole(void)
{
    size_t failures = 0;
    for (size_t i = 0; i < FL_COUNTOF(scenarios); i++) {
        for (int is_preview = 0; is_preview <= scenarios[i].is_write; is_preview++) {
            for (uint64_t n = 1;; n++) {
                struct files f;
                files_open(&f, "");
                fill(&f);
                char *before = files_snapshot(&f);
                const struct flopinio_tool *tool = fake_tool(flopinio_plugin(), scenarios[i].tool);
                struct flopinio_job *job = fake_job_new(scenarios[i].args, NULL);
                fault_alloc_at(n);
                (is_preview ? tool->preview : tool->start)(f.in, job);
                uint64_t count = fault_alloc_at(0);
                CHECK_INT(job->done, 1);
                char *after = files_snapshot(&f);
                bool is_same = strcmp(after, before) == 0;
                bool is_ok = job->outcome == FLOPINIO_OK;
                if (!is_preview)
                    fake_check_structured(tool, job);
                /* refused, and then nothing was changed; or done, and whole */
                CHECK_MSG(is_same == (is_preview || !scenarios[i].is_write || !is_ok),
                          "%s, allocation %d: %s", scenarios[i].args, (int)n, fake_text(job, 0));
                CHECK(is_ok || *fake_text(job, 0));
                failures += !is_ok || (is_preview && strcmp(job->bound, "would-fail") == 0);
                free(before);
                free(after);
                fake_job_free(&job);
                files_close(&f);
                if (count < n)
                    break;
            }
        }
    }
    CHECK_MSG(failures > 60, "only %zu calls were refused", failures);
    for (uint64_t n = 1;; n++) { /* open */
        struct fake_host host;
        flopinio_instance *in = NULL;
        fake_host_init(&host, "{\"root\": \"/tmp\"}");
        fault_alloc_at(n);
        int rc = flopinio_plugin()->open(&host.table, &in);
        fault_alloc_at(0);
        if (rc == 0)
            flopinio_plugin()->close(in);
        else
            CHECK_STR(host.log.p, "out of memory\n");
        fake_host_fini(&host);
        if (rc == 0) {
            CHECK_INT(n, 2);
            break;
        }
    }
}

/* ---- death and failing system calls ---- */
static bool is_there(struct files *f, const char *path, const char *text)
{
    char *now = files_exists(f, path) ? fl_test_read_file(files_path(f, path), NULL) : NULL;
    bool is = now ? text && strcmp(now, text) == 0 : !text;
    free(now);
    return is;
}

/* Temporary files in root and below; everything else that is not expected is found elsewhere. */
static size_t leftovers(struct files *f)
{
    struct flopinio_job *job = files_call(f, "search", NULL, "{\"name\": \".flopinio-*\"}");
    size_t n = json_array_size(json_object_get(job->structured, "matches"));
    fake_job_free(&job);
    return n;
}

/* What may be seen after a call died or failed: all of before, or all of after. */
static void check_old_or_new(struct files *f, const struct scenario *s)
{
    static const char old[] = "one\ntwo\nthree\n";
    if (strcmp(s->tool, "edit") == 0)
        CHECK(is_there(f, "t", old) || is_there(f, "t", "one\n2\nthree\n"));
    else if (strstr(s->args, "fresh"))
        CHECK(is_there(f, "t", old) || is_there(f, "t", "fresh"));
    else if (strstr(s->args, "a/b/new"))
        CHECK(is_there(f, "a/b/new", NULL) || is_there(f, "a/b/new", "n"));
    else if (strstr(s->args, "\"new\""))
        CHECK(is_there(f, "new", NULL) || is_there(f, "new", "n"));
    else if (strstr(s->args, "\"e\""))
        CHECK((is_there(f, "d/y", "y") && !files_exists(f, "e")) ||
              (is_there(f, "e/y", "y") && !files_exists(f, "d")));
    else if (strstr(s->args, "d/s/x"))
        CHECK((is_there(f, "t", old) && is_there(f, "d/s/x", "x")) ||
              (is_there(f, "t", NULL) && is_there(f, "d/s/x", old)));
    else if (strcmp(s->args, "{\"path\": \"t\"}") == 0)
        CHECK(is_there(f, "t", old) || is_there(f, "t", NULL));
}

static void test_death_between_any_two_steps_leaves_old_or_new(void)
{
    size_t deaths = 0;
    for (size_t i = 0; i < FL_COUNTOF(scenarios); i++) {
        for (uint64_t n = 1; scenarios[i].is_write; n++) {
            struct files f;
            int status;
            files_open(&f, "");
            fill(&f);
            fflush(stdout);
            pid_t pid = fork();
            if (pid == 0) {
                fault_call_at(n, FAULT_KILL, 0);
                struct flopinio_job *job =
                    files_call(&f, scenarios[i].tool, NULL, "%s", scenarios[i].args);
                _exit(job->outcome == FLOPINIO_OK ? 0 : 1);
            }
            CHECK(waitpid(pid, &status, 0) == pid);
            bool is_dead = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            CHECK(is_dead || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
            check_old_or_new(&f, &scenarios[i]);
            CHECK(leftovers(&f) <= is_dead);
            deaths += is_dead;
            files_close(&f);
            if (!is_dead)
                break;
        }
    }
    printf("    killed %zu times\n", deaths);
    CHECK(deaths >= 30);
}

static void test_a_failing_system_call_is_told_and_leaves_no_half(void)
{
    static const int errors[] = { ENOSPC, EIO };
    size_t failures = 0;
    for (size_t i = 0; i < FL_COUNTOF(scenarios) * FL_COUNTOF(errors); i++) {
        const struct scenario *s = &scenarios[i / FL_COUNTOF(errors)];
        for (uint64_t n = 1; s->is_write; n++) {
            struct files f;
            files_open(&f, "");
            fill(&f);
            fault_call_at(n, FAULT_FAIL, errors[i % FL_COUNTOF(errors)]);
            struct flopinio_job *job = files_call(&f, s->tool, NULL, "%s", s->args);
            uint64_t count = fault_call_at(0, FAULT_NONE, 0);
            if (n <= count) {
                CHECK_MSG(job->outcome == FLOPINIO_TOOL_ERROR, "%s, call %d was lost: %s", s->args,
                          (int)n, fake_text(job, 0));
                failures++;
            }
            check_old_or_new(&f, s);
            CHECK_INT(leftovers(&f), 0);
            fake_job_free(&job);
            files_close(&f);
            if (count < n)
                break;
        }
    }
    CHECK_MSG(failures >= 60, "only %zu failures were met", failures);
}

static void test_content_is_flushed_before_its_name_is_switched(void)
{
    static const struct {
        const char *tool, *args, *calls;
    } cases[] = {
        { "write", "{\"path\": \"n\", \"content\": \"x\"}", "openat write fsync renameat2 fsync " },
        { "edit", "{\"path\": \"n\", \"old\": \"x\", \"new\": \"y\"}",
          "openat fchmod write fsync renameat2 fsync " },
        { "move", "{\"from\": \"n\", \"to\": \"d/n\", \"create_parents\": true}",
          "mkdirat fsync renameat2 fsync fsync " },
        { "delete", "{\"path\": \"d/n\"}", "unlinkat fsync " },
    };
    struct files f;
    files_open(&f, "");
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        fault_call_at(0, FAULT_NONE, 0);
        struct flopinio_job *job = files_call(&f, cases[i].tool, NULL, "%s", cases[i].args);
        CHECK_MSG(job->outcome == FLOPINIO_OK, "%s", fake_text(job, 0));
        CHECK_STR(fault_calls(), cases[i].calls);
        fake_job_free(&job);
    }
    files_close(&f);
}

static void test_a_file_system_without_noreplace_is_served_by_a_link(void)
{
    struct files f;
    files_open(&f, "");
    fault_call_at(4, FAULT_FAIL, EINVAL); /* openat, write, fsync, renameat2 */
    struct flopinio_job *job =
        files_call(&f, "write", NULL, "{\"path\": \"n\", \"content\": \"x\"}");
    fault_call_at(0, FAULT_NONE, 0);
    CHECK_MSG(job->outcome == FLOPINIO_OK, "%s", fake_text(job, 0));
    fake_job_free(&job);
    files_holds(&f, "n", "x");
    CHECK_INT(leftovers(&f), 0);
    files_close(&f);
}

static void test_a_full_disk_keeps_the_old_file(void)
{
    struct files f;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        fl_test_skip("only root may mount");
    files_open(&f, "\"cross_mounts\": true");
    files_mkdir(&f, "mnt");
    CHECK(mount("tmpfs", files_path(&f, "mnt"), "tmpfs", 0, "size=64k") == 0);
    files_put_text(&f, "mnt/t", "old");
    struct flopinio_job *job =
        files_call(&f, "write", NULL,
                   "{\"path\": \"mnt/t\", \"content\": \"%0100000d\", \"overwrite\": true}", 0);
    CHECK_INT(job->outcome, FLOPINIO_TOOL_ERROR);
    CHECK_STR(fake_text(job, 0), "could not write \"mnt/t\": there is no space left");
    fake_job_free(&job);
    files_holds(&f, "mnt/t", "old");
    CHECK_INT(leftovers(&f), 0);
    /* and from one file system to another nothing is moved */
    files_put_text(&f, "t", "1");
    FILES_EXPECT_ERROR(&f, "move", "{\"from\": \"t\", \"to\": \"mnt/u\"}",
                       "cannot move \"t\": it is on another file system than the root");
    CHECK(umount(files_path(&f, "mnt")) == 0);
    files_close(&f);
}

/* ---- others who write ---- */
struct meddler {
    struct files *f;
    const char *path, *text;
};

static void meddle(void *context)
{
    struct meddler *m = context;
    files_put_text(m->f, m->path, m->text);
}

static void test_a_change_while_the_call_runs_is_kept(void)
{
    static const struct {
        const char *args, *before_call, *path;
    } cases[] = {
        /* an existing file, changed after the first look */
        { "{\"path\": \"t\", \"content\": \"mine\", \"overwrite\": true}", "write", "t" },
        { "{\"path\": \"t\", \"content\": \"mine\", \"overwrite\": true}", "fsync", "t" },
        /* a new one that came into being, even between the last look and the rename */
        { "{\"path\": \"n\", \"content\": \"mine\"}", "write", "n" },
        { "{\"path\": \"n\", \"content\": \"mine\"}", "fsync", "n" },
        { "{\"path\": \"n\", \"content\": \"mine\"}", "renameat2", "n" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct files f;
        files_open(&f, "");
        fill(&f);
        struct meddler m = { &f, cases[i].path, "theirs" };
        fault_before(cases[i].before_call, meddle, &m);
        struct flopinio_job *job = files_call(&f, "write", NULL, "%s", cases[i].args);
        CHECK_MSG(job->outcome == FLOPINIO_TARGET_CHANGED, "case %zu: %s", i, fake_text(job, 0));
        CHECK(strstr(fake_text(job, 0), "meanwhile; nothing was written"));
        fake_job_free(&job);
        files_holds(&f, cases[i].path, "theirs");
        CHECK_INT(leftovers(&f), 0);
        files_close(&f);
    }
}

static void test_delete_of_a_tree_stops_at_what_nobody_saw(void)
{
    static const struct {
        const char *path, *why;
    } cases[] = {
        { "d/s/new", "\"s/new\" changed meanwhile" }, /* before s is listed: one more */
        { "d/zz", "cannot delete \"d\": it is not empty" },
        { "d/y", "\"y\" changed meanwhile" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct files f;
        files_open(&f, "");
        fill(&f);
        files_put_text(&f, "d/a", "first to go");
        struct meddler m = { &f, cases[i].path, "theirs" };
        fault_before("unlinkat", meddle, &m);
        struct flopinio_job *job =
            files_call(&f, "delete", NULL, "{\"path\": \"d\", \"recursive\": true}");
        CHECK_INT(job->outcome, FLOPINIO_TOOL_ERROR);
        CHECK_MSG(strstr(fake_text(job, 0), "stopped in \"d\" after ") &&
                      strstr(fake_text(job, 0), " of 5 entries were deleted: "),
                  "%s", fake_text(job, 0));
        if (i > 0)
            CHECK_MSG(strstr(fake_text(job, 0), cases[i].why), "%s", fake_text(job, 0));
        fake_job_free(&job);
        files_holds(&f, cases[i].path, "theirs");
        files_close(&f);
    }
}

/* Each process counts the file up by one exact replacement at a time. */
static void count_up(struct files *f, int times)
{
    flopinio_instance *in = NULL;
    CHECK(flopinio_plugin()->open(&f->host.table, &in) == 0); /* a lock of its own */
    f->in = in;
    for (int done = 0; done < times;) {
        char *now = fl_test_read_file(files_path(f, "n"), NULL);
        int n = atoi(now);
        free(now);
        struct flopinio_job *job = files_call(
            f, "edit", NULL, "{\"path\": \"n\", \"old\": \"%d\\n\", \"new\": \"%d\\n\"}", n, n + 1);
        done += job->outcome == FLOPINIO_OK;
        fake_job_free(&job);
    }
    flopinio_plugin()->close(in);
}

static void test_no_edit_is_lost_between_processes(void)
{
    enum { PROCESSES = 4, TIMES = 40 };
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "n", "1000\n");
    fflush(stdout);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            count_up(&f, TIMES);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    char want[20];
    snprintf(want, sizeof want, "%d\n", 1000 + PROCESSES * TIMES);
    files_holds(&f, "n", want);
    files_close(&f);
}

static void test_a_held_lock_is_waited_for_and_then_refused(void)
{
    struct files f;
    files_open(&f, "");
    int fd = open(f.root, O_RDONLY | O_DIRECTORY);
    CHECK(flock(fd, LOCK_EX) == 0);
    FILES_EXPECT_ERROR(&f, "write", "{\"path\": \"n\", \"content\": \"x\"}",
                       "could not lock the root: another writer holds it; nothing was changed");
    files_holds(&f, "n", NULL);
    if (fork() == 0) { /* the lock is this process's too: it goes when both have let go */
        usleep(100000);
        _exit(0);
    }
    close(fd);
    struct flopinio_job *job =
        files_call(&f, "write", NULL, "{\"path\": \"n\", \"content\": \"x\"}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    CHECK(wait(NULL) > 0);
    files_close(&f);
}

static void test_an_access_list_is_kept(void)
{
    /* as the kernel takes it (linux/posix_acl_xattr.h): version 2, then tag, rights, id each */
    static const struct {
        uint32_t version;
        struct {
            uint16_t tag, rights;
            uint32_t id;
        } entries[5];
    } acl = { 2,
              { { 0x01, 6, UINT32_MAX },     /* the owner */
                { 0x02, 4, 65534 },          /* this user may read */
                { 0x04, 0, UINT32_MAX },     /* the group may not */
                { 0x10, 4, UINT32_MAX },     /* mask */
                { 0x20, 0, UINT32_MAX } } }; /* others may not */
    char now[200];
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "t", "abc");
    if (setxattr(files_path(&f, "t"), "system.posix_acl_access", &acl, sizeof acl, 0) != 0)
        fl_test_skip("this file system has no access lists");
    struct flopinio_job *job =
        files_call(&f, "edit", NULL, "{\"path\": \"t\", \"old\": \"abc\", \"new\": \"x\"}");
    CHECK_MSG(job->outcome == FLOPINIO_OK, "%s", fake_text(job, 0));
    fake_job_free(&job);
    files_holds(&f, "t", "x");
    ssize_t n = getxattr(files_path(&f, "t"), "system.posix_acl_access", now, sizeof now);
    CHECK(n == sizeof acl && memcmp(now, &acl, sizeof acl) == 0);
    /* and one that the directory gives to new files does not open an old one that has none */
    files_put_text(&f, "plain", "abc");
    CHECK(chmod(files_path(&f, "plain"), 0640) == 0);
    CHECK(setxattr(f.root, "system.posix_acl_default", &acl, sizeof acl, 0) == 0);
    job = files_call(&f, "edit", NULL, "{\"path\": \"plain\", \"old\": \"abc\", \"new\": \"x\"}");
    CHECK_MSG(job->outcome == FLOPINIO_OK, "%s", fake_text(job, 0));
    fake_job_free(&job);
    n = getxattr(files_path(&f, "plain"), "system.posix_acl_access", now, sizeof now);
    CHECK(n == -1 && errno == ENODATA);
    struct stat st;
    CHECK(stat(files_path(&f, "plain"), &st) == 0 && (st.st_mode & 07777) == 0640);
    files_close(&f);
}

static const struct fl_test tests[] = {
    T_LIMIT(without_memory_calls_fail_whole, 60),
    T(death_between_any_two_steps_leaves_old_or_new),
    T(a_failing_system_call_is_told_and_leaves_no_half),
    T(content_is_flushed_before_its_name_is_switched),
    T(a_file_system_without_noreplace_is_served_by_a_link),
    T(a_full_disk_keeps_the_old_file),
    T(a_change_while_the_call_runs_is_kept),
    T(delete_of_a_tree_stops_at_what_nobody_saw),
    T(no_edit_is_lost_between_processes),
    T(a_held_lock_is_waited_for_and_then_refused),
    T(an_access_list_is_kept),
};
TEST_MAIN(tests)
