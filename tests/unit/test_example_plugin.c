/* examples/plugin builds alone, as its README says, and does what it says. */
#include <dlfcn.h>
#include <unistd.h>

#include "fake_host.h"
#include "harness.h"

static char dir[] = "/tmp/flopinio-example-XXXXXX";

FL_PRINTF(1, 2) static void shell(const char *fmt, ...)
{
    struct fl_buf command = FL_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(&command, fmt, ap);
    va_end(ap);
    CHECK_MSG(system(command.p) == 0, "this failed: %s", command.p);
    fl_buf_fini(&command);
}

static void drive(void)
{
    char path[80];
    struct fake_host host;
    flopinio_instance *in;
    snprintf(path, sizeof path, "%s/hello.so", dir);
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK_MSG(so, "%s", dlerror());
    const struct flopinio_plugin *(*entry)(void);
    *(void **)&entry = dlsym(so, "flopinio_plugin");
    CHECK(entry);
    const struct flopinio_plugin *plugin = entry();
    CHECK_INT(fake_check_plugin(plugin), 2);
    fake_host_init(&host, "{}");
    CHECK(plugin->open(&host.table, &in) == 0);
    const struct flopinio_tool *set = fake_tool(plugin, "set_greeting");
    struct flopinio_job *job = fake_preview(set, in, "{\"text\": \"Good evening\"}");
    CHECK_STR(job->preview_text.p, "\"Hello, world!\" becomes \"Good evening\"");
    CHECK_STR(job->bound, "Hello, world!");
    struct flopinio_job *done = fake_start(set, in, "{\"text\": \"Good evening\"}", job->bound);
    CHECK_INT(done->outcome, FLOPINIO_OK);
    fake_job_free(&done);
    /* the same approval does not hold a second time: the greeting is another one now */
    done = fake_start(set, in, "{\"text\": \"Good night\"}", job->bound);
    CHECK_INT(done->outcome, FLOPINIO_TARGET_CHANGED);
    fake_job_free(&done);
    fake_job_free(&job);
    job = fake_start(fake_tool(plugin, "hello"), in, "{}", NULL);
    CHECK_STR(fake_text(job, 0), "Good evening");
    fake_job_free(&job);
    /* the longest text that the schema allows */
    struct fl_buf args = FL_BUF_INIT;
    fl_buf_puts(&args, "{\"text\": \"");
    for (int i = 0; i < 25; i++)
        fl_buf_puts(&args, "\xf0\x9f\x98\x80");
    fl_buf_puts(&args, "\"}");
    job = fake_preview(set, in, args.p);
    done = fake_start(set, in, args.p, NULL);
    CHECK_INT(strlen(fake_text(done, 0)), 100);
    fake_job_free(&done);
    fake_job_free(&job);
    fl_buf_fini(&args);
    plugin->close(in);
    fake_host_fini(&host);
    dlclose(so);
    shell("rm -r %s", dir);
}

static void compile(const char *compiler)
{
    CHECK(mkdtemp(dir));
    shell("%s -Wall -Werror -shared -fPIC -I%s/include -o %s/hello.so %s/examples/plugin/hello.c",
          compiler, FL_SOURCE_DIR, dir, FL_SOURCE_DIR);
    drive();
}

static void test_it_builds_with_a_c_compiler(void)
{
    compile("cc -std=c11 -Wextra -pedantic");
}

static void test_it_builds_with_a_cxx_compiler(void)
{
    compile("c++ -x c++ -std=c++17");
}

static void test_it_builds_with_make(void)
{
    if (system("command -v make >/dev/null 2>&1") != 0)
        fl_test_skip("make is not installed");
    CHECK(mkdtemp(dir));
    shell("cp %s/examples/plugin/hello.c %s/examples/plugin/Makefile %s", FL_SOURCE_DIR,
          FL_SOURCE_DIR, dir);
    shell("make -s -C %s CFLAGS=-I%s/include", dir, FL_SOURCE_DIR);
    drive();
}

static void test_it_builds_with_cmake(void)
{
    CHECK(mkdtemp(dir));
    shell("cmake -S %s/examples/plugin -B %s/build -DFLOPINIO_INCLUDE=%s/include >/dev/null",
          FL_SOURCE_DIR, dir, FL_SOURCE_DIR);
    shell("cmake --build %s/build >/dev/null && cp %s/build/hello.so %s", dir, dir, dir);
    drive();
}

static void test_the_header_compiles_alone_in_both_languages(void)
{
    CHECK(mkdtemp(dir));
    shell("echo '#include <flopinio/plugin.h>' > %s/x.c", dir);
    shell("cc -std=c11 -Wall -Wextra -Werror -pedantic -fsyntax-only -I%s/include %s/x.c",
          FL_SOURCE_DIR, dir);
    shell("c++ -x c++ -std=c++17 -Wall -Wextra -Werror -pedantic -fsyntax-only -I%s/include %s/x.c",
          FL_SOURCE_DIR, dir);
    shell("rm -r %s", dir);
}

static const struct fl_test tests[] = {
    T(it_builds_with_a_c_compiler),
    T(it_builds_with_a_cxx_compiler),
    T(it_builds_with_make),
    T_LIMIT(it_builds_with_cmake, 60),
    T(the_header_compiles_alone_in_both_languages),
};
TEST_MAIN(tests)
