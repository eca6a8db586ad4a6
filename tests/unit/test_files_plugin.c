/* The files plugin: what it offers, its configuration, and the tools that only look. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "files_fixture.h"
#include "harness.h"

static void test_the_shared_object_offers_nine_tools(void)
{
    void *so = dlopen(FL_BUILD_DIR "/plugins/files.so", RTLD_NOW | RTLD_LOCAL);
    CHECK_MSG(so, "%s", dlerror());
    const struct flopinio_plugin *(*entry)(void);
    *(void **)&entry = dlsym(so, "flopinio_plugin");
    CHECK(entry);
    CHECK_STR(entry()->name, "files");
    CHECK_INT(fake_check_plugin(entry()), 9);
    CHECK_MSG(!dlsym(so, "root_openat"), "an inner name is exported");
    dlclose(so);
    /* the copy that the other tests drive is the same plugin */
    CHECK_INT(fake_check_plugin(flopinio_plugin()), 9);
}

static void test_effects_say_what_the_tools_do(void)
{
    static const struct {
        const char *name;
        unsigned effects;
    } want[] = {
        { "list", FLOPINIO_READS | FLOPINIO_IDEMPOTENT },
        { "stat", FLOPINIO_READS | FLOPINIO_IDEMPOTENT },
        { "read", FLOPINIO_READS | FLOPINIO_IDEMPOTENT },
        { "search", FLOPINIO_READS | FLOPINIO_IDEMPOTENT },
        { "write", FLOPINIO_WRITES | FLOPINIO_DESTROYS | FLOPINIO_IDEMPOTENT },
        { "edit", FLOPINIO_WRITES | FLOPINIO_DESTROYS },
        { "make_directory", FLOPINIO_WRITES },
        { "move", FLOPINIO_WRITES | FLOPINIO_DESTROYS },
        { "delete", FLOPINIO_WRITES | FLOPINIO_DESTROYS },
    };
    for (size_t i = 0; i < FL_COUNTOF(want); i++) {
        const struct flopinio_tool *tool = fake_tool(flopinio_plugin(), want[i].name);
        CHECK_INT(tool->effects, want[i].effects);
        json_t *schema = json_loads(tool->input_schema, 0, NULL);
        CHECK(json_is_false(json_object_get(schema, "additionalProperties")));
        json_decref(schema);
    }
}

static void test_a_wrong_configuration_is_refused(void)
{
    static const struct {
        const char *config, *why;
    } cases[] = {
        { "{}", "root is missing: the absolute path of the directory to serve" },
        { "{\"root\": 7}", "root is missing: the absolute path of the directory to serve" },
        { "{\"root\": \"tmp\"}", "root must be an absolute path" },
        { "{\"root\": \"/nowhere/at/all\"}", "the root directory does not exist" },
        { "{\"root\": \"/dev/null\"}", "the root is not a directory" },
        { "{\"root\": \"/tmp\", \"read_only\": \"yes\"}", "read_only must be true or false" },
        { "{\"root\": \"/tmp\", \"show_hidden\": 0}", "show_hidden must be true or false" },
        { "{\"root\": \"/tmp\", \"max_results\": 0}", "max_results is 0, not from 1 to 100000" },
        { "{\"root\": \"/tmp\", \"max_file_bytes\": \"4M\"}",
          "max_file_bytes must be an integer from 1024 to 67108864" },
    };
    const struct flopinio_plugin *plugin = flopinio_plugin();
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fake_host host;
        flopinio_instance *in = NULL;
        char want[200];
        fake_host_init(&host, cases[i].config);
        CHECK(plugin->open(&host.table, &in) != 0);
        CHECK(!in);
        snprintf(want, sizeof want, "%s\n", cases[i].why);
        CHECK_STR(host.log.p, want);
        fake_host_fini(&host);
    }
}

/* ---- list, stat ---- */
static void test_list_shows_what_is_there_in_order(void)
{
    struct files f;
    files_open(&f, "");
    files_mkdir(&f, "sub");
    files_put_text(&f, "sub/deep", "12345");
    files_put_text(&f, "b.txt", "hello");
    files_put_text(&f, ".hidden", "");
    files_symlink(&f, "b.txt", "a-link");
    CHECK(mkfifo(files_path(&f, "pipe"), 0600) == 0);
    struct flopinio_job *job = files_call(&f, "list", NULL, "{}");
    CHECK_INT(job->outcome, FLOPINIO_OK);
    char *entries = json_dumps(json_object_get(job->structured, "entries"), JSON_COMPACT);
    const char *want[] = { "{\"path\":\".hidden\",\"type\":\"file\",\"size\":0,",
                           "{\"path\":\"a-link\",\"type\":\"symlink\",",
                           "{\"path\":\"b.txt\",\"type\":\"file\",\"size\":5,",
                           "{\"path\":\"pipe\",\"type\":\"other\",",
                           "{\"path\":\"sub\",\"type\":\"directory\"," };
    const char *at = entries;
    for (size_t i = 0; i < FL_COUNTOF(want); i++) {
        at = strstr(at, want[i]);
        CHECK_MSG(at, "%s is missing or out of order in %s", want[i], entries);
    }
    free(entries);
    CHECK_INT(json_array_size(json_object_get(job->structured, "entries")), 5);
    CHECK(json_is_true(json_object_get(job->structured, "is_complete")));
    CHECK(strstr(fake_text(job, 0), ".: 5 entries\n") == fake_text(job, 0));
    CHECK(strstr(fake_text(job, 0), "  sub/\n"));
    fake_job_free(&job);
    job = files_call(&f, "list", NULL, "{\"path\": \"./\", \"depth\": 2}");
    CHECK_INT(json_array_size(json_object_get(job->structured, "entries")), 6);
    CHECK(strstr(fake_text(job, 0), "  sub/deep\n"));
    fake_job_free(&job);
    FILES_EXPECT_ERROR(&f, "list", "{\"path\": \"b.txt\"}", "\"b.txt\" is a file, not a directory");
    FILES_EXPECT_ERROR(&f, "list", "{\"path\": \"a-link\"}",
                       "\"a-link\" is a symbolic link (links are not followed), not a directory");
    FILES_EXPECT_ERROR(&f, "list", "{\"path\": \"nope\"}",
                       "cannot open \"nope\": it does not exist");
    files_close(&f);
}

static void test_list_says_when_it_is_not_complete(void)
{
    struct files f;
    files_open(&f, "\"max_results\": 3, \"show_hidden\": false");
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        files_put_text(&f, name, "");
    }
    files_put_text(&f, ".x", "");
    struct flopinio_job *job = files_call(&f, "list", NULL, "{}");
    CHECK_INT(json_array_size(json_object_get(job->structured, "entries")), 3);
    CHECK(json_is_false(json_object_get(job->structured, "is_complete")));
    CHECK(strstr(fake_text(job, 0), "(there are more: stopped after 3 entries;"));
    CHECK(strstr(fake_text(job, 0), "(left out: 1 hidden names)"));
    fake_job_free(&job);
    files_close(&f);
}

static void test_odd_names_are_escaped_or_counted_never_garbled(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "new\nline", "x");
    files_put_text(&f, "esc\x1b[2J", "x");
    files_put_text(&f, "not\xff utf8", "x");
    files_put_text(&f, "\xc3\xbc", "x");
    struct flopinio_job *job = files_call(&f, "list", NULL, "{}");
    CHECK_INT(json_array_size(json_object_get(job->structured, "entries")), 3);
    CHECK(strstr(fake_text(job, 0), "new\\x0aline\n"));
    CHECK(strstr(fake_text(job, 0), "esc\\x1b[2J\n"));
    CHECK(strstr(fake_text(job, 0), "(left out: 1 names that are not UTF-8"));
    CHECK_INT(json_integer_value(
                  json_object_get(json_object_get(job->structured, "left_out"), "not_utf8")),
              1);
    fake_job_free(&job);
    /* what list shows can be used: the exact name is in the structured answer */
    job = files_call(&f, "read", NULL, "{\"path\": \"new\\nline\"}");
    CHECK_STR(fake_text(job, 1), "x");
    CHECK_STR(fake_text(job, 0), "new\\x0aline: all 1 bytes\n");
    fake_job_free(&job);
    files_close(&f);
}

static void test_stat_tells_kind_mode_and_hash(void)
{
    struct files f;
    files_open(&f, "");
    files_put_text(&f, "a", "abc");
    CHECK(chmod(files_path(&f, "a"), 0640) == 0);
    CHECK(link(files_path(&f, "a"), files_path(&f, "b")) == 0);
    files_symlink(&f, "../outside", "l");
    struct flopinio_job *job = files_call(&f, "stat", NULL, "{\"path\": \"a\"}");
    CHECK_STR(json_string_value(json_object_get(job->structured, "sha256")),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_STR(json_string_value(json_object_get(job->structured, "mode")), "0640");
    CHECK_INT(json_integer_value(json_object_get(job->structured, "links")), 2);
    CHECK(json_is_true(json_object_get(job->structured, "is_text")));
    fake_job_free(&job);
    job = files_call(&f, "stat", NULL, "{\"path\": \"l\"}");
    CHECK_STR(json_string_value(json_object_get(job->structured, "type")), "symlink");
    fake_job_free(&job);
    job = files_call(&f, "stat", NULL, "{\"path\": \".\"}");
    CHECK_STR(json_string_value(json_object_get(job->structured, "type")), "directory");
    fake_job_free(&job);
    FILES_EXPECT_ERROR(&f, "stat", "{\"path\": \"nope\"}",
                       "cannot look at \"nope\": it does not exist");
    FILES_EXPECT_ERROR(&f, "stat", "{\"path\": \"a/b\"}",
                       "cannot look at \"a/b\": a part of the path is not a directory");
    files_close(&f);
}

/* ---- read ---- */
static void read_gives(struct files *f, const char *args, const char *head, const char *body)
{
    struct flopinio_job *job = files_call(f, "read", NULL, "%s", args);
    CHECK_MSG(job->outcome == FLOPINIO_OK, "%s: %s", args, fake_text(job, 0));
    CHECK_STR(fake_text(job, 0), head);
    CHECK_STR(fake_text(job, 1), body);
    CHECK_STR(json_string_value(json_object_get(job->structured, "content")), body);
    fake_job_free(&job);
}

static void test_read_gives_all_or_a_range_and_says_which(void)
{
    struct files f;
    files_open(&f, "\"max_read_bytes\": 1024");
    files_put_text(&f, "t", "one\ntwo\nthree");
    files_put_text(&f, "e", "");
    read_gives(&f, "{\"path\": \"t\"}", "t: all 13 bytes\n", "one\ntwo\nthree");
    read_gives(&f, "{\"path\": \"e\"}", "e: all 0 bytes\n", "");
    read_gives(&f, "{\"path\": \"t\", \"offset\": 4, \"length\": 3}", "t: bytes 4-6 of 13\n",
               "two");
    read_gives(&f, "{\"path\": \"t\", \"offset\": 8}", "t: bytes 8-12 of 13\n", "three");
    read_gives(&f, "{\"path\": \"t\", \"offset\": 13}", "t: no bytes at 13 of 13\n", "");
    read_gives(&f, "{\"path\": \"t\", \"line\": 2}", "t: bytes 4-12 of 13, lines 2-3 of 3\n",
               "two\nthree");
    read_gives(&f, "{\"path\": \"t\", \"lines\": 2}", "t: bytes 0-7 of 13, lines 1-2 of 3\n",
               "one\ntwo\n");
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"t\", \"offset\": 14}",
                       "offset 14 is behind the end of the file (13 bytes)");
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"t\", \"line\": 4}",
                       "line 4 is behind the last line (3)");
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"t\", \"line\": 1, \"offset\": 0}",
                       "a range is given in bytes (offset, length) or in lines (line, lines), not "
                       "both");
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \".\"}", "cannot read \".\": it is a directory");
    files_close(&f);
}

static void test_read_stops_at_its_limit_and_goes_on_from_there(void)
{
    struct files f;
    char big[5000], text[5000];
    size_t at = 0, pieces = 0;
    files_open(&f, "\"max_read_bytes\": 1024");
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = i % 2 ? '\xa9' : '\xc3';
    files_put(&f, "big", big, sizeof big);
    while (at < sizeof big) {
        struct flopinio_job *job =
            files_call(&f, "read", NULL, "{\"path\": \"big\", \"offset\": %zu}", at);
        size_t n = (size_t)json_integer_value(json_object_get(job->structured, "length"));
        CHECK(json_is_false(json_object_get(job->structured, "is_whole")));
        CHECK(n > 0 && n <= 1024);
        memcpy(text + at, fake_text(job, 1), n);
        at += n;
        pieces++;
        fake_job_free(&job);
    }
    CHECK_INT(pieces, 5);
    CHECK(memcmp(text, big, sizeof big) == 0);
    /* from within a character: the next whole one */
    struct flopinio_job *job =
        files_call(&f, "read", NULL, "{\"path\": \"big\", \"offset\": 1, \"length\": 4}");
    CHECK_STR(fake_text(job, 0), "big: bytes 2-3 of 5000\n");
    fake_job_free(&job);
    /* whole lines while they fit, a single long one in part */
    memset(text, 'x', 3000);
    memcpy(text, "short\n", 6);
    text[3000] = 0;
    files_put_text(&f, "lines", text);
    job = files_call(&f, "read", NULL, "{\"path\": \"lines\", \"line\": 1}");
    CHECK_STR(fake_text(job, 0), "lines: bytes 0-5 of 3000, lines 1-1 of 2\n");
    fake_job_free(&job);
    job = files_call(&f, "read", NULL, "{\"path\": \"lines\", \"line\": 2}");
    CHECK_STR(fake_text(job, 0), "lines: bytes 6-1029 of 3000, lines 2-2 of 2\n");
    fake_job_free(&job);
    files_close(&f);
}

static void test_read_of_a_file_over_the_limit_goes_by_bytes(void)
{
    struct files f;
    char big[3000];
    files_open(&f, "\"max_file_bytes\": 1024");
    memset(big, 'y', sizeof big);
    files_put(&f, "big", big, sizeof big);
    struct flopinio_job *job =
        files_call(&f, "read", NULL, "{\"path\": \"big\", \"offset\": 2990}");
    CHECK_STR(fake_text(job, 0), "big: bytes 2990-2999 of 3000\n");
    CHECK_STR(fake_text(job, 1), "yyyyyyyyyy");
    CHECK(!json_object_get(job->structured, "sha256"));
    fake_job_free(&job);
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"big\", \"line\": 1}",
                       "\"big\" has more than 1024 bytes, the limit for lines; read it by bytes "
                       "(offset, length)");
    files_close(&f);
}

static void test_binary_files_need_base64_and_images_come_as_media(void)
{
    struct files f;
    files_open(&f, "");
    files_put(&f, "bin", "a\0b\xff", 4);
    files_put(&f, "p.png", "\x89PNG\r\n\x1a\n\0\0", 10);
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"bin\"}",
                       "\"bin\" is not text here (4 bytes in all); ask with encoding \"base64\"");
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"bin\", \"encoding\": \"base64\", \"line\": 1}",
                       "base64 goes with bytes (offset, length), not lines");
    read_gives(&f, "{\"path\": \"bin\", \"encoding\": \"base64\"}", "bin: all 4 bytes\n",
               "YQBi/w==");
    read_gives(&f, "{\"path\": \"bin\", \"encoding\": \"base64\", \"offset\": 1, \"length\": 2}",
               "bin: bytes 1-2 of 4\n", "AGI=");
    struct flopinio_job *job = files_call(&f, "read", NULL, "{\"path\": \"p.png\"}");
    CHECK_STR(fake_text(job, 0), "p.png: all 10 bytes, given as media\n");
    json_t *item = json_array_get(job->content, 1);
    CHECK_STR(json_string_value(json_object_get(item, "type")), "image");
    CHECK_STR(json_string_value(json_object_get(item, "mimeType")), "image/png");
    CHECK(job->media.n == 10 && memcmp(job->media.p, "\x89PNG\r\n\x1a\n\0\0", 10) == 0);
    fake_job_free(&job);
    files_close(&f);
}

static void test_only_regular_files_are_read(void)
{
    struct files f;
    files_open(&f, "");
    CHECK(mkfifo(files_path(&f, "fifo"), 0600) == 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", f.root);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
    /* it is not even opened: that alone can do something to a device, or to who waits at a FIFO */
    int watch = inotify_init1(IN_NONBLOCK);
    char event[sizeof(struct inotify_event) + NAME_MAX + 1];
    CHECK(inotify_add_watch(watch, files_path(&f, "fifo"), IN_OPEN) >= 0);
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"fifo\"}",
                       "cannot read \"fifo\": it is neither a file nor a directory");
    CHECK(read(watch, event, sizeof event) == -1 && errno == EAGAIN);
    close(open(files_path(&f, "fifo"), O_RDONLY | O_NONBLOCK));
    CHECK(read(watch, event, sizeof event) > 0); /* the canary */
    close(watch);
    FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"sock\"}",
                       "cannot read \"sock\": it is neither a file nor a directory");
    if (mknod(files_path(&f, "null"), S_IFCHR | 0600, (1 << 8) | 3) == 0)
        FILES_EXPECT_ERROR(&f, "read", "{\"path\": \"null\"}",
                           "cannot read \"null\": it is neither a file nor a directory");
    files_close(&f);
}

/* ---- search ---- */
static void test_search_finds_names_and_lines(void)
{
    struct files f;
    files_open(&f, "");
    files_mkdir(&f, "src");
    files_mkdir(&f, "src/deep");
    files_put_text(&f, "src/a.c", "int main\nint other\n  main()\n");
    files_put_text(&f, "src/deep/b.c", "nothing");
    files_put_text(&f, "src/deep/main.h", "main\r\n");
    files_put(&f, "src/bin", "main\0", 5);
    files_symlink(&f, "../outside", "src/out");
    files_put_text(&f, "../outside/secret.c", "main");
    struct flopinio_job *job =
        files_call(&f, "search", NULL, "{\"text\": \"main\", \"name\": \"*.c\"}");
    CHECK_STR(fake_text(job, 0),
              "2 matches in 2 files\nsrc/a.c:1: int main\nsrc/a.c:3:   main()\n");
    CHECK_STR(json_string_value(json_object_get(job->structured, "stopped_by")), "nothing");
    fake_job_free(&job);
    job = files_call(&f, "search", NULL, "{\"text\": \"main\", \"path\": \"src/deep\"}");
    CHECK_STR(fake_text(job, 0), "1 match in 2 files\nsrc/deep/main.h:1: main\r\n");
    fake_job_free(&job);
    job = files_call(&f, "search", NULL, "{\"text\": \"main\"}");
    CHECK(strstr(fake_text(job, 0), "(not searched: 1 binary, 0 too large, 0 unreadable"));
    CHECK(!strstr(fake_text(job, 0), "secret"));
    fake_job_free(&job);
    job = files_call(&f, "search", NULL, "{\"name\": \"main*\"}");
    CHECK_STR(fake_text(job, 0), "1 match\nsrc/deep/main.h\n");
    fake_job_free(&job);
    job = files_call(&f, "search", NULL, "{\"name\": \"src/d*\"}");
    CHECK_STR(fake_text(job, 0), "3 matches\nsrc/deep/\nsrc/deep/b.c\nsrc/deep/main.h\n");
    fake_job_free(&job);
    FILES_EXPECT_ERROR(&f, "search", "{}", "give a name pattern, a text, or both");
    FILES_EXPECT_ERROR(&f, "search", "{\"name\": \"x\", \"path\": \"src/out\"}",
                       "\"src/out\" is a symbolic link (links are not followed), not a directory");
    FILES_EXPECT_ERROR(&f, "search", "{\"name\": \"x\", \"path\": \"src/out/x\"}",
                       "cannot open \"src/out/x\": it is or goes through a symbolic link, and "
                       "links are not followed");
    files_close(&f);
}

static void test_search_says_where_it_stopped(void)
{
    struct files f;
    char line[2000];
    files_open(&f, "\"max_file_bytes\": 4096, \"search_timeout_ms\": 10");
    memset(line, 'z', sizeof line - 1);
    line[sizeof line - 1] = 0;
    files_put_text(&f, "long", line);
    struct flopinio_job *job = files_call(&f, "search", NULL, "{\"text\": \"zz\"}");
    json_t *match = json_array_get(json_object_get(job->structured, "matches"), 0);
    CHECK(json_is_true(json_object_get(match, "is_cut")));
    CHECK_INT(json_string_length(json_object_get(match, "text")), 300);
    CHECK(strstr(fake_text(job, 0), " (the line goes on)\n"));
    fake_job_free(&job);
    files_put_text(&f, "many", "q\nq\nq\nq\n");
    job = files_call(&f, "search", NULL, "{\"text\": \"q\", \"limit\": 3}");
    CHECK(strstr(fake_text(job, 0), "3 matches in 2 files; NOT complete (stopped by: results)\n"));
    CHECK_STR(json_string_value(json_object_get(job->structured, "stopped_by")), "results");
    fake_job_free(&job);
    job = fake_job_new("{\"text\": \"q\"}", NULL);
    job->is_cancelled = 1;
    fake_tool(flopinio_plugin(), "search")->start(f.in, job);
    CHECK_STR(json_string_value(json_object_get(job->structured, "stopped_by")), "cancelled");
    fake_job_free(&job);
    /* a tree that takes longer than 10 ms: the search ends by its time, and says so */
    char *page = malloc(4096);
    memset(page, 'n', 4096);
    for (int i = 0; i < 1500; i++) {
        char name[32];
        snprintf(name, sizeof name, "page%d", i);
        files_put(&f, name, page, 4096);
    }
    free(page);
    job = files_call(&f, "search", NULL, "{\"text\": \"not there\"}");
    CHECK_STR(json_string_value(json_object_get(job->structured, "stopped_by")), "time");
    fake_job_free(&job);
    files_close(&f);
}

static const struct fl_test tests[] = {
    T(the_shared_object_offers_nine_tools),
    T(effects_say_what_the_tools_do),
    T(a_wrong_configuration_is_refused),
    T(list_shows_what_is_there_in_order),
    T(list_says_when_it_is_not_complete),
    T(odd_names_are_escaped_or_counted_never_garbled),
    T(stat_tells_kind_mode_and_hash),
    T(read_gives_all_or_a_range_and_says_which),
    T(read_stops_at_its_limit_and_goes_on_from_there),
    T(read_of_a_file_over_the_limit_goes_by_bytes),
    T(binary_files_need_base64_and_images_come_as_media),
    T(only_regular_files_are_read),
    T(search_finds_names_and_lines),
    T(search_says_where_it_stopped),
};
TEST_MAIN(tests)
