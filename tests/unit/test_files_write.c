/* The files plugin's tools that change something: what they do, refuse, show and bind. */
#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files_fixture.h"
#include "harness.h"

#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* A preview, and that it changed nothing. */
static struct flopinio_job *show(struct files *f, const char *tool, const char *args)
{
    char *before = files_snapshot(f);
    struct flopinio_job *job = files_preview(f, tool, "%s", args);
    char *after = files_snapshot(f);
    CHECK_INT(job->outcome, FLOPINIO_OK);
    CHECK_STR(after, before);
    free(before);
    free(after);
    return job;
}

static void shows_text(struct files *f, const char *tool, const char *args, const char *text,
                       const char *bound)
{
    struct flopinio_job *job = show(f, tool, args);
    CHECK_STR(job->preview_text.p, text);
    CHECK_STR(job->bound, bound);
    fake_job_free(&job);
}

static void shows_diff(struct files *f, const char *tool, const char *args, const char *diff,
                       const char *bound)
{
    struct flopinio_job *job = show(f, tool, args);
    CHECK_STR(job->preview_diff.p, diff);
    CHECK_STR(job->bound, bound);
    fake_job_free(&job);
}

/* Refused with this text, in the preview as well, and nothing changed by either. */
static void refuses(struct files *f, const char *tool, const char *args, const char *text)
{
    char want[2000], *before = files_snapshot(f);
    FILES_EXPECT_ERROR(f, tool, args, text);
    snprintf(want, sizeof want, "As things stand this call would fail: %s.", text);
    shows_text(f, tool, args, want, "would-fail");
    char *after = files_snapshot(f);
    CHECK_STR(after, before);
    free(before);
    free(after);
    files_expect(f, tool, "would-fail", args, FLOPINIO_TARGET_CHANGED,
                 "the preview could only show that this call would fail, so nobody saw what it "
                 "does; ask again");
}

static unsigned mode_of(struct files *f, const char *path)
{
    struct stat st;
    CHECK(lstat(files_path(f, path), &st) == 0);
    return st.st_mode & 07777;
}

/* ---- write ---- */
static void test_write_creates_and_replaces(void)
{
    struct files f;
    files_open(&f, "");
    umask(022);
    const char *args = "{\"path\": \"n\", \"content\": \"abc\"}";
    shows_diff(&f, "write", args,
               "--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+abc\n\\ No newline at end of file\n",
               "absent");
    files_expect(&f, "write", "absent", args, FLOPINIO_OK,
                 "created \"n\": 3 bytes, sha256 "
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    files_holds(&f, "n", "abc");
    CHECK_INT(mode_of(&f, "n"), 0644);
    refuses(&f, "write", args, "\"n\" exists already; it is replaced only with overwrite: true");
    CHECK(chmod(files_path(&f, "n"), 04750) == 0);
    args = "{\"path\": \"./n\", \"content\": \"abd\\n\", \"overwrite\": true}";
    shows_diff(&f, "write", args,
               "--- a/n\n+++ b/n\n@@ -1 +1 @@\n-abc\n\\ No newline at end of file\n+abd\n", ABC);
    struct flopinio_job *job = files_call(&f, "write", ABC, "%s", args);
    CHECK_INT(job->outcome, FLOPINIO_OK);
    CHECK(json_is_false(json_object_get(job->structured, "is_new")));
    CHECK_STR(json_string_value(json_object_get(job->structured, "path")), "n");
    fake_job_free(&job);
    files_holds(&f, "n", "abd\n");
    CHECK_INT(mode_of(&f, "n"), 0750); /* kept, but for what gives privileges */
    job = files_call(&f, "write", NULL, "%s", args);
    CHECK(strstr(fake_text(job, 0), "(it had this content already)"));
    fake_job_free(&job);
    files_close(&f);
}

static void test_write_makes_parents_only_when_asked(void)
{
    struct files f;
    files_open(&f, "");
    refuses(&f, "write", "{\"path\": \"a/b/c\", \"content\": \"x\"}",
            "the directory of \"a/b/c\" does not exist");
    const char *args = "{\"path\": \"a/b/c\", \"content\": \"x\", \"create_parents\": true}";
    struct flopinio_job *job = show(&f, "write", args);
    CHECK_STR(job->bound, "absent");
    fake_job_free(&job);
    job = files_call(&f, "write", "absent", "%s", args);
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    files_holds(&f, "a/b/c", "x");
    refuses(&f, "write", "{\"path\": \"a/b/c/d/e\", \"content\": \"x\", \"create_parents\": true}",
            "cannot reach \"a/b/c/d/e\": a part of the path is not a directory");
    files_symlink(&f, "../outside", "out");
    refuses(&f, "write", "{\"path\": \"out/d/e\", \"content\": \"x\", \"create_parents\": true}",
            "cannot reach \"out/d/e\": it is or goes through a symbolic link, and links are not "
            "followed");
    files_close(&f);
}

static void test_write_refuses_what_is_no_file(void)
{
    struct files f;
    files_open(&f, "\"max_file_bytes\": 1024");
    files_mkdir(&f, "d");
    files_symlink(&f, "../outside/x", "l");
    CHECK(mkfifo(files_path(&f, "p"), 0600) == 0);
    refuses(&f, "write", "{\"path\": \"d\", \"content\": \"\", \"overwrite\": true}",
            "\"d\" is a directory, not a file");
    refuses(&f, "write", "{\"path\": \"l\", \"content\": \"\", \"overwrite\": true}",
            "\"l\" is a symbolic link (links are not followed), not a file");
    refuses(&f, "write", "{\"path\": \"p\", \"content\": \"\", \"overwrite\": true}",
            "\"p\" is a device, FIFO or socket, not a file");
    refuses(&f, "write", "{\"path\": \".\", \"content\": \"\"}",
            "the root itself cannot be changed");
    refuses(&f, "write", "{\"path\": \"a\\nb\", \"content\": \"\"}",
            "\"a\\x0ab\" holds a control character; such names are not created");
    refuses(&f, "write", "{\"path\": \"x\", \"content\": \"Zh==\", \"encoding\": \"base64\"}",
            "the content is not base64");
    files_expect(&f, "write", ABC, "{\"path\": \"l\", \"content\": \"\", \"overwrite\": true}",
                 FLOPINIO_TARGET_CHANGED,
                 "\"l\" is not as it was shown (then " ABC ", now symlink); nothing was changed");
    char args[2000], name[300];
    snprintf(args, sizeof args, "{\"path\": \"x\", \"content\": \"%01025d\"}", 0);
    refuses(&f, "write", args,
            "the file would have 1025 bytes, more than the limit of 1024 of this instance");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    snprintf(args, sizeof args, "{\"path\": \"%s\", \"content\": \"\"}", name);
    struct flopinio_job *job = files_call(&f, "write", NULL, "%s", args);
    CHECK_INT(job->outcome, FLOPINIO_TOOL_ERROR);
    CHECK(strstr(fake_text(job, 0), "longer than the file system allows"));
    fake_job_free(&job);
    files_close(&f);
}

static void test_binary_and_large_changes_are_summed_up_not_cut(void)
{
    struct files f;
    files_open(&f, "");
    files_put(&f, "bin", "\0\1\2", 3);
    const char *args = "{\"path\": \"bin\", \"content\": \"YWJj\", \"encoding\": \"base64\", "
                       "\"overwrite\": true}";
    shows_text(&f, "write", args,
               "This is not text; its bytes are not shown.\n"
               "before: file, 3 bytes, "
               "sha256:ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc\n"
               "after:  file, 3 bytes, " ABC "\n",
               "sha256:ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc");
    struct flopinio_job *job = files_call(&f, "write", NULL, "%s", args);
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    files_holds(&f, "bin", "abc");
    shows_text(&f, "write", "{\"path\": \"bin\", \"content\": \"abc\", \"overwrite\": true}",
               "Nothing changes: the content is the same.\nbefore: file, 3 bytes, " ABC
               "\nafter:  file, 3 bytes, " ABC "\n",
               ABC);
    struct fl_buf big = FL_BUF_INIT;
    for (int i = 0; i < 20000; i++)
        fl_buf_printf(&big, "line %d\\n", i);
    job = files_preview(&f, "write", "{\"path\": \"new\", \"content\": \"%s\"}", big.p);
    CHECK_INT(job->preview_diff.n, 0);
    CHECK(strstr(job->preview_text.p,
                 "The change is too large to show: 0 lines removed, 20000 lines added.\n"
                 "before: does not exist\nafter:  file, 208890 bytes, sha256:"));
    fake_job_free(&job);
    fl_buf_fini(&big);
    shows_text(&f, "write", "{\"path\": \"e\", \"content\": \"\"}",
               "The file is empty.\nbefore: does not exist\nafter:  file, 0 bytes, sha256:"
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
               "absent");
    files_close(&f);
}

static void test_a_large_file_is_bound_by_its_times(void)
{
    struct files f;
    char big[2000];
    files_open(&f, "\"max_file_bytes\": 1024");
    memset(big, 'x', sizeof big);
    files_put(&f, "big", big, sizeof big);
    const char *args = "{\"path\": \"big\", \"content\": \"s\", \"overwrite\": true}";
    struct flopinio_job *job = show(&f, "write", args);
    CHECK(strncmp(job->bound, "large:", 6) == 0 && strlen(job->bound) == 70);
    CHECK(strstr(job->preview_text.p, "The file is too large to show what changes in it.\n"
                                      "before: file, 2000 bytes, large:"));
    usleep(20000); /* the clock of the file system has steps of some milliseconds */
    files_put(&f, "big", big, sizeof big);
    struct flopinio_job *late = files_call(&f, "write", job->bound, "%s", args);
    CHECK_INT(late->outcome, FLOPINIO_TARGET_CHANGED);
    fake_job_free(&late);
    fake_job_free(&job);
    job = show(&f, "write", args);
    late = files_call(&f, "write", job->bound, "%s", args);
    CHECK_INT(late->outcome, FLOPINIO_OK);
    files_holds(&f, "big", "s");
    fake_job_free(&late);
    fake_job_free(&job);
    files_close(&f);
}

static void test_a_changed_target_is_refused_and_untouched(void)
{
    static const struct {
        const char *tool, *args;
    } calls[] = {
        { "write", "{\"path\": \"t\", \"content\": \"new\", \"overwrite\": true}" },
        { "edit", "{\"path\": \"t\", \"old\": \"abc\", \"new\": \"x\"}" },
        { "move", "{\"from\": \"t\", \"to\": \"u\"}" },
        { "move", "{\"from\": \"s\", \"to\": \"t\", \"overwrite\": true}" },
        { "delete", "{\"path\": \"t\"}" },
    };
    for (size_t i = 0; i < FL_COUNTOF(calls); i++) {
        struct files f;
        files_open(&f, "");
        files_put_text(&f, "t", "abc");
        files_put_text(&f, "s", "source");
        struct flopinio_job *job = show(&f, calls[i].tool, calls[i].args);
        files_put_text(&f, "t", "abcd");
        char *before = files_snapshot(&f);
        struct flopinio_job *late = files_call(&f, calls[i].tool, job->bound, "%s", calls[i].args);
        CHECK_MSG(late->outcome == FLOPINIO_TARGET_CHANGED, "%s: %s", calls[i].tool,
                  fake_text(late, 0));
        CHECK(strstr(fake_text(late, 0), "\" is not as it was shown (then "));
        CHECK(strstr(fake_text(late, 0), "); nothing was changed"));
        char *after = files_snapshot(&f);
        CHECK_STR(after, before);
        free(before);
        free(after);
        /* the canary: put back, the same call goes through */
        files_put_text(&f, "t", "abc");
        fake_job_free(&late);
        late = files_call(&f, calls[i].tool, job->bound, "%s", calls[i].args);
        CHECK_MSG(late->outcome == FLOPINIO_OK, "%s: %s", calls[i].tool, fake_text(late, 0));
        fake_job_free(&late);
        fake_job_free(&job);
        files_close(&f);
    }
}

/* ---- edit ---- */
static void test_edit_replaces_exactly_what_it_counted(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "t", "one\ntwo\ntwo\nthree\n");
    const char *args = "{\"path\": \"t\", \"old\": \"three\", \"new\": \"3\"}";
    struct flopinio_job *job = show(&f, "edit", args);
    CHECK_STR(job->preview_diff.p,
              "--- a/t\n+++ b/t\n@@ -1,4 +1,4 @@\n one\n two\n two\n-three\n+3\n");
    struct flopinio_job *done = files_call(&f, "edit", job->bound, "%s", args);
    CHECK_INT(done->outcome, FLOPINIO_OK);
    fake_job_free(&done);
    fake_job_free(&job);
    files_holds(&f, "t", "one\ntwo\ntwo\n3\n");
    refuses(&f, "edit", "{\"path\": \"t\", \"old\": \"two\", \"new\": \"2\"}",
            "old occurs 2 times in \"t\", not 1; nothing was changed");
    refuses(&f, "edit", "{\"path\": \"t\", \"old\": \"four\", \"new\": \"4\"}",
            "old occurs 0 times in \"t\", not 1; nothing was changed");
    job = files_call(&f, "edit", NULL,
                     "{\"path\": \"t\", \"old\": \"two\\n\", \"new\": \"\", \"count\": 2}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    files_holds(&f, "t", "one\n3\n");
    files_put_text(&f, "aaa", "aaaa"); /* occurrences do not overlap */
    job = files_call(&f, "edit", NULL,
                     "{\"path\": \"aaa\", \"old\": \"aa\", \"new\": \"a\", \"count\": 2}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    files_holds(&f, "aaa", "aa");
    files_close(&f);
}

static void test_edit_refuses_what_it_cannot_do(void)
{
    struct files f;
    char big[2000];
    files_open(&f, "\"max_file_bytes\": 1024");
    memset(big, 'x', sizeof big);
    files_put(&f, "big", big, sizeof big);
    files_put(&f, "full", big, 1024);
    files_put(&f, "bin", "a\0b", 3);
    files_put_text(&f, "crlf", "one\r\ntwo\r\n");
    refuses(&f, "edit", "{\"path\": \"no\", \"old\": \"a\", \"new\": \"b\"}",
            "\"no\" does not exist");
    refuses(&f, "edit", "{\"path\": \"bin\", \"old\": \"a\", \"new\": \"b\"}",
            "\"bin\" is not text; edit works on text");
    refuses(&f, "edit", "{\"path\": \"bin\", \"old\": \"a\", \"new\": \"a\"}",
            "old and new are the same");
    refuses(&f, "edit", "{\"path\": \"bin\", \"old\": \"\", \"new\": \"a\"}", "old is empty");
    refuses(&f, "edit", "{\"path\": \"crlf\", \"old\": \"one\\ntwo\", \"new\": \"1\"}",
            "old occurs 0 times in \"crlf\", not 1; nothing was changed (its lines end in CR LF, "
            "those of old in LF)");
    refuses(&f, "edit", "{\"path\": \"big\", \"old\": \"x\", \"new\": \"y\"}",
            "\"big\" has more than 1024 bytes, the limit of this instance");
    refuses(&f, "edit", "{\"path\": \"full\", \"old\": \"x\", \"new\": \"yy\", \"count\": 1024}",
            "the file would have more than 1024 bytes, the limit of this instance");
    files_close(&f);
}

/* ---- make_directory, move ---- */
static void test_make_directory(void)
{
    struct files f;
    files_open(&f, "");
    shows_text(&f, "make_directory", "{\"path\": \"d\"}", "Make directory d\n", "absent");
    files_expect(&f, "make_directory", "absent", "{\"path\": \"d\"}", FLOPINIO_OK,
                 "made directory \"d\"");
    CHECK(S_ISDIR(mode_of(&f, "d") | S_IFDIR) && files_exists(&f, "d/."));
    refuses(&f, "make_directory", "{\"path\": \"d\"}", "\"d\" exists already");
    refuses(&f, "make_directory", "{\"path\": \"x/y\"}", "the directory of \"x/y\" does not exist");
    shows_text(&f, "make_directory", "{\"path\": \"x/y/z\", \"create_parents\": true}",
               "Make directory x/y/z and the directories above it that do not exist\n", "absent");
    files_expect(&f, "make_directory", NULL, "{\"path\": \"x/y/z\", \"create_parents\": true}",
                 FLOPINIO_OK, "made directory \"x/y/z\"");
    CHECK(files_exists(&f, "x/y/z/."));
    files_expect(&f, "make_directory", "absent", "{\"path\": \"x\"}", FLOPINIO_TARGET_CHANGED,
                 "\"x\" is not as it was shown (then absent, now directory); nothing was changed");
    files_close(&f);
}

static void test_move_renames_files_and_directories(void)
{
    struct files f;
    files_open(&f, "");
    files_mkdir(&f, "d");
    files_put_text(&f, "d/x", "abc");
    const char *args = "{\"from\": \"d/x\", \"to\": \"y\"}";
    shows_text(&f, "move", args,
               "Move file d/x to y\nfrom: file, 3 bytes, " ABC "\nto:   does not exist\n",
               "from=" ABC ";to=absent");
    files_expect(&f, "move", "from=" ABC ";to=absent", args, FLOPINIO_OK, "moved \"d/x\" to \"y\"");
    files_holds(&f, "d/x", NULL);
    files_holds(&f, "y", "abc");
    files_put_text(&f, "d/z", "zzz");
    refuses(&f, "move", "{\"from\": \"y\", \"to\": \"d/z\"}",
            "\"d/z\" exists already; it is replaced only with overwrite: true");
    args = "{\"from\": \"y\", \"to\": \"d/z\", \"overwrite\": true}";
    struct flopinio_job *job = show(&f, "move", args);
    CHECK(strstr(job->preview_text.p, "; IT IS REPLACED and its content is lost\n"));
    files_expect(&f, "move", job->bound, args, FLOPINIO_OK,
                 "moved \"y\" to \"d/z\", replacing the file that was there");
    fake_job_free(&job);
    files_holds(&f, "d/z", "abc");
    args = "{\"from\": \"d\", \"to\": \"e/f\", \"create_parents\": true}";
    job = show(&f, "move", args);
    CHECK(strncmp(job->bound, "from=tree:", 10) == 0);
    CHECK(strstr(job->preview_text.p, "; the directories above it that do not exist are made"));
    files_expect(&f, "move", job->bound, args, FLOPINIO_OK, "moved \"d\" to \"e/f\"");
    fake_job_free(&job);
    files_holds(&f, "e/f/z", "abc");
    files_close(&f);
}

static void test_move_refuses_what_makes_no_sense(void)
{
    struct files f;
    files_open(&f, "");
    files_mkdir(&f, "d");
    files_mkdir(&f, "e");
    files_put_text(&f, "a", "1");
    CHECK(link(files_path(&f, "a"), files_path(&f, "same")) == 0);
    files_symlink(&f, "a", "l");
    refuses(&f, "move", "{\"from\": \"d\", \"to\": \"d/x/y\", \"create_parents\": true}",
            "to lies below from; nothing is moved into itself");
    refuses(&f, "move", "{\"from\": \"a\", \"to\": \"./a\"}", "from and to are the same path");
    refuses(&f, "move", "{\"from\": \"a\", \"to\": \"same\", \"overwrite\": true}",
            "from and to are the same file");
    refuses(&f, "move", "{\"from\": \"no\", \"to\": \"x\"}", "\"no\" does not exist");
    refuses(&f, "move", "{\"from\": \"l\", \"to\": \"x\"}",
            "\"l\" is a symbolic link; links are not moved");
    refuses(&f, "move", "{\"from\": \"a\", \"to\": \"d\", \"overwrite\": true}",
            "\"d\" is a directory; only a file replaces a file");
    refuses(&f, "move", "{\"from\": \"d\", \"to\": \"e\", \"overwrite\": true}",
            "\"e\" is a directory; only a file replaces a file");
    refuses(&f, "move", "{\"from\": \".\", \"to\": \"x\"}",
            "to lies below from; nothing is moved into itself");
    refuses(&f, "move", "{\"from\": \"a\", \"to\": \".\"}", "the root itself cannot be changed");
    files_close(&f);
}

static void test_a_directory_that_changed_below_is_not_moved(void)
{
    struct files f;
    files_open(&f, "");
    files_mkdir(&f, "d");
    files_mkdir(&f, "d/e");
    files_put_text(&f, "d/e/x", "1");
    const char *args = "{\"from\": \"d\", \"to\": \"moved\"}";
    struct flopinio_job *job = show(&f, "move", args), *late;
    files_put_text(&f, "d/e/new", "");
    late = files_call(&f, "move", job->bound, "%s", args);
    CHECK_INT(late->outcome, FLOPINIO_TARGET_CHANGED);
    CHECK(unlink(files_path(&f, "d/e/new")) == 0);
    fake_job_free(&late);
    late = files_call(&f, "move", job->bound, "%s", args);
    CHECK_INT(late->outcome, FLOPINIO_OK);
    fake_job_free(&late);
    fake_job_free(&job);
    files_close(&f);
}

/* ---- delete ---- */
static void test_delete_of_files_links_and_empty_directories(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "a", "abc");
    files_put_text(&f, "../outside/kept", "kept");
    files_symlink(&f, "../outside/kept", "l");
    files_symlink(&f, "../outside", "dl");
    files_mkdir(&f, "d");
    shows_diff(&f, "delete", "{\"path\": \"a\"}",
               "--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-abc\n\\ No newline at end of file\n", ABC);
    files_expect(&f, "delete", ABC, "{\"path\": \"a\"}", FLOPINIO_OK, "deleted \"a\"");
    struct flopinio_job *job = show(&f, "delete", "{\"path\": \"l\"}");
    CHECK_STR(job->preview_text.p,
              "Delete symbolic link l (not what it points to: ../outside/kept)\n");
    CHECK(strncmp(job->bound, "link:", 5) == 0);
    files_expect(&f, "delete", job->bound, "{\"path\": \"l\"}", FLOPINIO_OK, "deleted \"l\"");
    fake_job_free(&job);
    files_expect(&f, "delete", NULL, "{\"path\": \"dl\", \"recursive\": true}", FLOPINIO_OK,
                 "deleted \"dl\"");
    files_holds(&f, "../outside/kept", "kept");
    job = show(&f, "delete", "{\"path\": \"d\"}");
    CHECK_STR(job->preview_text.p, "Delete directory d, which is empty\n");
    fake_job_free(&job);
    files_expect(&f, "delete", NULL, "{\"path\": \"d\"}", FLOPINIO_OK, "deleted \"d\"");
    CHECK(mkfifo(files_path(&f, "p"), 0600) == 0);
    refuses(&f, "delete", "{\"path\": \"p\"}",
            "\"p\" is a device, FIFO or socket; such things are left alone");
    refuses(&f, "delete", "{\"path\": \"no\"}", "\"no\" does not exist");
    refuses(&f, "delete", "{\"path\": \".\", \"recursive\": true}",
            "the root itself cannot be changed");
    files_close(&f);
}

static void test_delete_of_a_tree_shows_all_that_goes(void)
{
    struct files f;
    files_open(&f, "\"max_results\": 6");
    files_mkdir(&f, "d");
    files_mkdir(&f, "d/e");
    files_put_text(&f, "d/e/x", "12345");
    files_put_text(&f, "d/a\nb", "1");
    files_put_text(&f, "d/\xff", "1");
    files_symlink(&f, "/", "d/l");
    CHECK(link(files_path(&f, "d/e/x"), files_path(&f, "d/y")) == 0);
    refuses(&f, "delete", "{\"path\": \"d\"}",
            "\"d\" is a directory with 6 entries; it goes only with recursive: true");
    const char *args = "{\"path\": \"d\", \"recursive\": true}";
    struct flopinio_job *job = show(&f, "delete", args);
    CHECK_STR(job->preview_text.p,
              "Delete directory d with 4 files (12 bytes), 1 directories, 1 symbolic links:\n"
              "  a\\x0ab (1 bytes)\n  e/\n  e/x (5 bytes)\n  l (symbolic link)\n  y (5 bytes)\n"
              "  \\xff (1 bytes)\n");
    files_put_text(&f, "d/more", "1");
    refuses(&f, "delete", args, "there are more than 6 entries in it");
    CHECK(unlink(files_path(&f, "d/more")) == 0);
    files_expect(&f, "delete", job->bound, args, FLOPINIO_OK,
                 "deleted \"d\" with the 6 entries below it");
    CHECK(!files_exists(&f, "d"));
    fake_job_free(&job);
    files_mkdir(&f, "s");
    CHECK(mkfifo(files_path(&f, "s/p"), 0600) == 0);
    refuses(&f, "delete", "{\"path\": \"s\", \"recursive\": true}",
            "\"s\" holds 1 devices, FIFOs or sockets; such things are left alone");
    files_close(&f);
}

static void test_a_list_too_long_to_show_is_not_approved(void)
{
    struct files f;
    char name[240], path[260];
    files_open(&f, "\"max_results\": 100000");
    files_mkdir(&f, "d");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (int i = 0; i < 4400; i++) {
        snprintf(path, sizeof path, "d/%s%05d", name, i);
        files_put(&f, path, "", 0);
    }
    struct flopinio_job *job =
        files_preview(&f, "delete", "{\"path\": \"d\", \"recursive\": true}");
    CHECK_STR(job->preview_text.p,
              "As things stand this call would fail: the list of what goes is "
              "longer than 1048576 bytes, too long to be shown; delete parts of "
              "it.");
    CHECK_STR(job->bound, "would-fail");
    fake_job_free(&job);
    files_close(&f);
}

static void test_a_read_only_instance_changes_nothing(void)
{
    struct files f;
    files_open(&f, "\"read_only\": true");
    files_put_text(&f, "a", "1");
    const char *calls[][2] = {
        { "write", "{\"path\": \"b\", \"content\": \"\"}" },
        { "edit", "{\"path\": \"a\", \"old\": \"1\", \"new\": \"2\"}" },
        { "make_directory", "{\"path\": \"d\"}" },
        { "move", "{\"from\": \"a\", \"to\": \"b\"}" },
        { "delete", "{\"path\": \"a\"}" },
    };
    for (size_t i = 0; i < FL_COUNTOF(calls); i++)
        FILES_EXPECT_ERROR(&f, calls[i][0], calls[i][1],
                           "this instance is read-only; nothing was changed");
    struct flopinio_job *job = files_call(&f, "read", NULL, "{\"path\": \"a\"}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    fake_job_free(&job);
    files_close(&f);
}

static void test_a_cancelled_call_changes_nothing(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "a", "1");
    const char *calls[][2] = {
        { "write", "{\"path\": \"b\", \"content\": \"\"}" },
        { "edit", "{\"path\": \"a\", \"old\": \"1\", \"new\": \"2\"}" },
        { "make_directory", "{\"path\": \"d\"}" },
        { "move", "{\"from\": \"a\", \"to\": \"b\"}" },
        { "delete", "{\"path\": \"a\"}" },
    };
    char *before = files_snapshot(&f);
    for (size_t i = 0; i < FL_COUNTOF(calls); i++) {
        struct flopinio_job *job = fake_job_new(calls[i][1], NULL);
        job->is_cancelled = 1;
        fake_tool(flopinio_plugin(), calls[i][0])->start(f.in, job);
        CHECK_INT(job->outcome, FLOPINIO_TOOL_ERROR);
        CHECK_STR(fake_text(job, 0), "cancelled; nothing was changed");
        fake_job_free(&job);
    }
    char *after = files_snapshot(&f);
    CHECK_STR(after, before);
    free(before);
    free(after);
    files_close(&f);
}

static const struct fl_test tests[] = {
    T(write_creates_and_replaces),
    T(write_makes_parents_only_when_asked),
    T(write_refuses_what_is_no_file),
    T(binary_and_large_changes_are_summed_up_not_cut),
    T(a_large_file_is_bound_by_its_times),
    T(a_changed_target_is_refused_and_untouched),
    T(edit_replaces_exactly_what_it_counted),
    T(edit_refuses_what_it_cannot_do),
    T(make_directory),
    T(move_renames_files_and_directories),
    T(move_refuses_what_makes_no_sense),
    T(a_directory_that_changed_below_is_not_moved),
    T(delete_of_files_links_and_empty_directories),
    T(delete_of_a_tree_shows_all_that_goes),
    T(a_list_too_long_to_show_is_not_approved),
    T(a_read_only_instance_changes_nothing),
    T(a_cancelled_call_changes_nothing),
};
TEST_MAIN(tests)
