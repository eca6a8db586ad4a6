/* The command line: reading arguments by the table, help, tables and texts on the terminal. */
#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "harness.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cli_table.h"
#include "runtime/cli/config.h"
#include "runtime/notify/show.h"
#include "runtime/store/states.h"

/* ---------------------------------------------------------------- reading a line */
static struct fl_arena *arena;
static struct fl_cli_parsed parsed;
static struct fl_err err;

/* Words with blanks between; "~" stands for an empty one. */
static enum fl_code parse(const char *line)
{
    static char text[1024];
    static char *argv[64];
    int argc = 0;
    snprintf(text, sizeof text, "flopinio %s", line);
    for (char *p = strtok(text, " "); p; p = strtok(NULL, " "))
        argv[argc++] = strcmp(p, "~") == 0 ? p + 1 : p;
    fl_arena_free(&arena);
    arena = fl_arena_new(0);
    err = (struct fl_err){ 0 };
    return fl_cli_parse(arena, argc, argv, &parsed, &err);
}

static void check_wrong(const char *line, const char *says)
{
    CHECK_INT(parse(line), FL_BAD_PARAMS);
    CHECK_STR(err.text, says);
}

static void test_a_line_becomes_command_arguments_and_flags(void)
{
    CHECK_OK(parse("agent create bot --owner ana --label a=1 --label=b=2 --no-credential"));
    CHECK_STR(parsed.command->name, "agent create");
    CHECK_INT(parsed.arg_count, 1);
    CHECK_STR(parsed.args[0], "bot");
    CHECK_STR(fl_cli_parsed_flag(&parsed, "owner"), "ana");
    CHECK_STR(fl_cli_parsed_flag(&parsed, "label"), "b=2");
    CHECK_INT(parsed.set_count, 4);
    CHECK(fl_cli_parsed_flag(&parsed, "no-credential"));
    CHECK(!fl_cli_parsed_flag(&parsed, "title"));
}

static void test_the_longest_name_is_the_command(void)
{
    CHECK_OK(parse("agent credential revoke bot 7"));
    CHECK_STR(parsed.command->name, "agent credential revoke");
    CHECK_INT(parsed.arg_count, 2);
}

static void test_common_flags_stand_anywhere(void)
{
    CHECK_OK(parse("--org acme --json agent list"));
    CHECK_STR(parsed.command->name, "agent list");
    CHECK_STR(fl_cli_parsed_flag(&parsed, "org"), "acme");
    CHECK(fl_cli_parsed_flag(&parsed, "json"));
    CHECK_OK(parse("agent show bot --org=acme"));
    check_wrong("--org acme org list", "org list does not take --org");
}

static void test_a_command_may_have_a_flag_that_others_share(void)
{
    CHECK_OK(parse("server add files --plugin files --config {}"));
    CHECK_STR(fl_cli_parsed_flag(&parsed, "config"), "{}");
    CHECK(!fl_cli_parsed_common(&parsed, "config"));
    CHECK_OK(parse("server list --config /etc/x.yaml"));
    CHECK_STR(fl_cli_parsed_common(&parsed, "config"), "/etc/x.yaml");
}

static void test_two_dashes_end_the_flags(void)
{
    CHECK_OK(parse("agent show -- --bot"));
    CHECK_STR(parsed.args[0], "--bot");
    CHECK_OK(parse("policy check -"));
    CHECK_STR(parsed.args[0], "-");
}

static void test_help_is_found_everywhere(void)
{
    CHECK_OK(parse(""));
    CHECK_STR(parsed.group, "");
    CHECK(!parsed.wants_help);
    CHECK_OK(parse("--help"));
    CHECK(parsed.wants_help);
    CHECK_OK(parse("agent --help"));
    CHECK(parsed.wants_help && !parsed.command);
    CHECK_STR(parsed.group, "agent");
    CHECK_OK(parse("agent"));
    CHECK(!parsed.wants_help && !parsed.command);
    CHECK_OK(parse("agent create --help")); /* though NAME and --owner are missing */
    CHECK(parsed.wants_help);
    CHECK_OK(parse("agent create -h"));
    CHECK(parsed.wants_help);
    CHECK_OK(parse("help agent create"));
    CHECK(parsed.wants_help);
    CHECK_STR(parsed.command->name, "agent create");
    CHECK_OK(parse("--version"));
    CHECK(parsed.wants_version);
}

static void test_settings_are_handed_on_as_they_are(void)
{
    CHECK_OK(parse("serve --listen=127.0.0.1:0 --workers=1"));
    CHECK_INT(parsed.arg_count, 2);
    CHECK_STR(parsed.args[1], "--workers=1");
    check_wrong("--data-dir /x serve", "serve: its flags stand behind it");
}

static void test_what_is_unknown_names_the_nearest(void)
{
    check_wrong("agnet list", "there is no command 'agnet'; did you mean 'agent'?");
    check_wrong("agent craete x",
                "there is no command 'agent craete'; did you mean 'agent create'?");
    check_wrong("appr", "there is no command 'appr'; did you mean 'approvals'?");
    check_wrong("zzzzzzzz", "there is no command 'zzzzzzzz'");
    check_wrong("agent create x --ower ana",
                "agent create: there is no flag '--ower'; did you mean '--owner'?");
    check_wrong("agent list --jsn", "agent list: there is no flag '--jsn'; did you mean '--json'?");
    check_wrong("agent --org x list", "agent: say which command first; flags stand behind it");
    check_wrong("agent list -x", "agent list: there is no flag '-x'");
    check_wrong(
        "agent create x --owner y --client cursr",
        "agent create: --client 'cursr' is none of claude-code|cursor|codex|vscode|sdk; did "
        "you mean 'cursor'?");
    check_wrong(
        "stop agnt x --reason y",
        "stop: 'agnt' is none of org|group|server|agent|person|tool; did you mean 'agent'?");
}

static void test_what_is_missing_or_too_much_is_said(void)
{
    check_wrong("agent create", "agent create: NAME is missing");
    check_wrong("agent create x", "agent create: --owner PERSON is missing");
    check_wrong("agent list x", "agent list: 'x' is one argument too many");
    check_wrong("agent create x --owner", "--owner needs a value: --owner PERSON");
    check_wrong("agent create x --owner a --owner b", "--owner is given twice");
    check_wrong("agent list --json=yes", "--json takes no value");
    check_wrong("tool quarantine", "tool quarantine: TOOL is missing");
    CHECK_OK(parse("tool quarantine a b c"));
    CHECK_OK(parse("agent credential revoke bot"));
    check_wrong("stop agent", "stop: NAME is missing");
    CHECK_OK(parse("stop agent bot --reason ~"));
}

static void test_lists_of_choices_are_checked_one_by_one(void)
{
    CHECK_OK(parse("user token create x --scope read,decide --expires 1h"));
    CHECK_OK(parse("user token create x --scope read --scope admin --expires 1h"));
    check_wrong("user token create x --scope read,deside --expires 1h",
                "user token create: --scope 'deside' is none of read|decide|admin; did you mean "
                "'decide'?");
}

static void test_arguments_are_text(void)
{
    check_wrong("agent show \xff", "argument 3 is not UTF-8");
    check_wrong("agent \xff", "there is no command 'agent ?'");
}

/* ---------------------------------------------------------------- the table itself */
#define EACH(topic, c)                                                                             \
    for (const struct fl_cli_topic *topic = fl_cli_topics; topic->title; topic++)                  \
        for (const struct fl_cli_command *c = topic->commands; c->name; c++)

static void test_the_table_is_sound(void)
{
    EACH(t, c)
    {
        size_t same = 0, words = 1;
        EACH(u, d)
        same += strcmp(c->name, d->name) == 0;
        CHECK_MSG(same == 1, "%s stands %zu times in the table", c->name, same);
        for (const char *p = c->name; *p; p++)
            words += *p == ' ';
        CHECK_MSG(words <= 3, "%s has too many words", c->name);
        CHECK_MSG(c->run && c->args && c->summary && *c->summary, "%s lacks something", c->name);
        CHECK_MSG(c->summary[strlen(c->summary) - 1] != '.', "%s: a period", c->name);
        for (const struct fl_cli_flag *f = c->flags; f && f->name; f++) {
            CHECK_MSG(f->help && *f->help, "%s --%s has no help", c->name, f->name);
            bool is_secret = strstr(f->name, "passphrase") || strstr(f->name, "token");
            CHECK_MSG(!is_secret || !f->value || strcmp(f->name, "passphrase-fd") == 0,
                      "%s --%s: a secret must not be a flag", c->name, f->name);
        }
    }
}

static void check_width(const struct fl_buf *text, const char *what)
{
    for (const char *p = text->p; *p;) {
        size_t n = strcspn(p, "\n");
        bool is_example = n > 12 && strncmp(p, "  ", 2) == 0 && memmem(p, n, "flopinio ", 9);
        CHECK_MSG(n <= (is_example ? 100 : 80), "%s: a line of %zu: %.*s", what, n, (int)n, p);
        CHECK_MSG(n == 0 || p[n - 1] != ' ', "%s: a blank at the end: %.*s", what, (int)n, p);
        CHECK_MSG(!memchr(p, '\t', n), "%s: a tab: %.*s", what, (int)n, p);
        p += n + (p[n] == '\n');
    }
}

static void test_help_fits_a_terminal(void)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_cli_help_overview(&out);
    check_width(&out, "overview");
    EACH(t, c)
    {
        fl_buf_reset(&out);
        fl_cli_help_group(&out, c->name);
        check_width(&out, c->name);
        fl_buf_reset(&out);
        fl_cli_help_command(&out, c);
        check_width(&out, c->name);
        CHECK(strstr(out.p, "usage: flopinio "));
    }
    fl_buf_fini(&out);
}

static void compare_page(const char *name, void (*put)(struct fl_buf *out), const char *topic)
{
    char path[512];
    struct fl_buf out = FL_BUF_INIT;
    snprintf(path, sizeof path, "%s/docs/%s", FL_SOURCE_DIR, name);
    char *page = fl_test_read_file(path, NULL);
    put(&out);
    CHECK_MSG(strcmp(out.p, page) == 0,
              "docs/%s is not what the table says: flopinio generate %s > docs/%s", name, topic,
              name);
    free(page);
    fl_buf_fini(&out);
}

static void test_the_pages_are_those_of_the_tables(void)
{
    compare_page("cli.md", fl_cli_markdown, "cli");
    compare_page("configuration.md", fl_config_markdown, "configuration");
    compare_page("approval-states.md", fl_states_markdown, "approval-states");
}

/* ---------------------------------------------------------------- tables */
#define NOW INT64_C(1795734000000) /* 2026-11-26T23:00:00Z */

static struct fl_buf out;

static void table(const char *columns, const char *items, size_t width)
{
    json_t *list = json_loads(items, 0, NULL);
    CHECK(list);
    fl_buf_fini(&out);
    fl_print_table(&out, columns, list, width, NOW);
    CHECK(!out.is_failed);
    json_decref(list);
}

static void test_a_table_lines_up(void)
{
    table("NAME=name IN=a.b N=n OK=ok TAGS=tags",
          "[{\"name\":\"a\",\"a\":{\"b\":\"deep\"},\"n\":5,\"ok\":true,\"tags\":[\"x\",\"y\"]},"
          "{\"name\":\"longer\",\"ok\":false},{\"name\":\"\\u6f22\\u5b57\",\"n\":1.5,\"ok\":null}]",
          0);
    CHECK_STR(out.p, "NAME    IN    N    OK   TAGS\n"
                     "a       deep  5    yes  x, y\n"
                     "longer             no\n"
                     "\u6f22\u5b57          1.5\n");
}

static void test_values_are_shown_as_they_are_meant(void)
{
    table("A=a:t B=a:ts C=a:ago D=d:left E=e:left F=f:n G=g:d H=h:b I=i:t",
          "[{\"a\":\"2026-11-26T22:00:30.5Z\",\"d\":\"2026-11-27T03:00:00Z\","
          "\"e\":\"2026-11-26T22:00:00Z\",\"f\":123456,"
          "\"g\":\"sha256:0123456789abcdef0123\",\"h\":false,\"i\":\"never\"}]",
          0);
    CHECK_STR(strchr(out.p, '\n') + 1,
              "2026-11-26 22:00Z  2026-11-26 22:00:30Z  59 min  4 h  over  123 kB  "
              "sha256:0123456789ab     never\n");
}

static void test_a_wide_table_gives_way_where_it_is_widest(void)
{
    const char *items = "[{\"id\":\"01a21a1e-87c3-7d7e-a6ee-2a2e68fe985a\","
                        "\"text\":\"0123456789012345678901234567890123456789\",\"last\":\"end\"}]";
    table("ID=id:id TEXT=text LAST=last", items, 40);
    CHECK_STR(out.p, "ID        TEXT                      LAST\n"
                     "68fe985a  012345678901234567890...  end\n");
    table("ID=id:id TEXT=text LAST=last", items, 0); /* no terminal: everything, and whole ids */
    CHECK(strstr(out.p, "01a21a1e-87c3-7d7e-a6ee-2a2e68fe985a  "
                        "0123456789012345678901234567890123456789  end\n"));
    table("ID=id:id TEXT=text LAST=last", items, 10); /* less than it can: it wraps */
    CHECK(strstr(out.p, "012345678...  end\n"));
}

static void test_columns_that_may_are_left_out_first(void)
{
    const char *items = "[{\"id\":\"a-name-that-is-typed\",\"text\":\"0123456789\",\"b\":\"bbbbb\","
                        "\"c\":\"ccccc\"}]";
    const char *columns = "NAME=id:k TEXT=text ?B=b ?C=c";
    table(columns, items, 46);
    CHECK(strstr(out.p, "a-name-that-is-typed  0123456789  bbbbb  ccccc\n"));
    table(columns, items, 45);
    CHECK(strstr(out.p, "NAME                  TEXT        B\n"));
    CHECK(strstr(out.p, "a-name-that-is-typed  0123456789  bbbbb\n"));
    table(columns, items, 33);
    CHECK(strstr(out.p, "a-name-that-is-typed  0123456789\n"));
    table(columns, items, 5); /* what is typed is never cut */
    CHECK(strstr(out.p, "a-name-that-is-typed  0123456789\n"));
}

static void check_clean(struct fl_str text)
{
    for (size_t i = 0; i < text.n; i++)
        CHECK_MSG((unsigned char)text.p[i] >= 0x20 || text.p[i] == '\n', "byte %zu is %02x", i,
                  (unsigned char)text.p[i]);
    CHECK(!memmem(text.p, text.n, "\xc2\x9b", 2) && !memmem(text.p, text.n, "\xe2\x80\xae", 3));
    CHECK(!memchr(text.p, 0x7f, text.n));
}

#define HOSTILE "\\u001b]0;x\\u0007\\u009b31m\\u202e\\r\\n\\u007f"

static void test_no_escape_of_others_reaches_a_table(void)
{
    table("A=a B=b C=c:t D=d:id E=e:d",
          "[{\"a\":\"" HOSTILE "\",\"b\":{\"" HOSTILE "\":\"" HOSTILE "\"},\"c\":\"" HOSTILE
          "\",\"d\":\"aaaaaaaaa" HOSTILE "\",\"e\":[\"" HOSTILE "\"]}]",
          40);
    check_clean(fl_buf_view(&out));
    CHECK(strstr(out.p, "\\u{1B}"));
    json_t *object = json_loads("{\"a\":\"" HOSTILE "\"}", 0, NULL);
    fl_buf_fini(&out);
    fl_print_object(&out, "what=a", object, 0);
    check_clean(fl_buf_view(&out));
    CHECK_INT(out.p[out.n - 1], '\n');
    CHECK(strchr(out.p, '\n') == out.p + out.n - 1); /* one line */
    json_decref(object);
}

static void test_shown_lines_stay_what_they_are(void)
{
    fl_buf_fini(&out);
    fl_print_lines(&out, FL_STR("| a\\u{1B}\\n \\\\ b\n\nend"), 2);
    CHECK_STR(out.p, "  | a\\u{1B}\\n \\\\ b\n\n  end\n");
    fl_buf_fini(&out);
    fl_print_lines(&out, FL_STR("a\x1b[31m\xc2\x9b\xe2\x80\xae\x7f\r\n\tb \\\xcc\x81"), 0);
    check_clean(fl_buf_view(&out));
    CHECK_STR(out.p, "a\\u{1B}[31m\\u{9B}\\u{202E}\\u{7F}\\r\n\\tb \\\\u{301}\n");
}

static void test_json_in_ascii_means_the_same(void)
{
    struct fl_str json = FL_STR("{\"a\":\"\xc2\x9b\xe2\x80\xae\x7f\xf0\x9f\x98\x80 ok\"}");
    fl_buf_fini(&out);
    fl_print_json_ascii(&out, json);
    for (size_t i = 0; i < out.n; i++)
        CHECK(out.p[i] >= 0x20 && out.p[i] < 0x7f);
    json_t *was = json_loadb(json.p, json.n, 0, NULL), *is = json_loadb(out.p, out.n, 0, NULL);
    CHECK(was && is && json_equal(was, is));
    json_decref(was);
    json_decref(is);
    fl_buf_fini(&out);
    fl_print_json_ascii(&out,
                        FL_STR("\"\x1b\xff\"")); /* not JSON, and still nothing gets through */
    check_clean(fl_buf_view(&out));
}

/* ---------------------------------------------------------------- paths */
static void test_paths_are_encoded(void)
{
    struct fl_cli cli = { .arena = fl_arena_new(0), .org = "a/b" };
    CHECK_STR(fl_cli_path(&cli, "/orgs/{org}/x/{}?y={}&z={}", "../\xc3\xa9?#%&", "a b", NULL),
              "/orgs/a%2Fb/x/..%2F%C3%A9%3F%23%25%26?y=a%20b&z=");
    fl_arena_free(&cli.arena);
}

static const struct fl_test tests[] = {
    T(a_line_becomes_command_arguments_and_flags),
    T(the_longest_name_is_the_command),
    T(common_flags_stand_anywhere),
    T(a_command_may_have_a_flag_that_others_share),
    T(two_dashes_end_the_flags),
    T(help_is_found_everywhere),
    T(settings_are_handed_on_as_they_are),
    T(what_is_unknown_names_the_nearest),
    T(what_is_missing_or_too_much_is_said),
    T(lists_of_choices_are_checked_one_by_one),
    T(arguments_are_text),
    T(the_table_is_sound),
    T(help_fits_a_terminal),
    T(the_pages_are_those_of_the_tables),
    T(a_table_lines_up),
    T(values_are_shown_as_they_are_meant),
    T(a_wide_table_gives_way_where_it_is_widest),
    T(columns_that_may_are_left_out_first),
    T(no_escape_of_others_reaches_a_table),
    T(shown_lines_stay_what_they_are),
    T(json_in_ascii_means_the_same),
    T(paths_are_encoded),
};
TEST_MAIN(tests)
