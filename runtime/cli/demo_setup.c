/* Setting the demo's organization up, by the REST API (docs/api.md) on the control socket: as the
 * operator until Ana is there, then as Ana, because an administrator with a passphrase ends the
 * operator's authority. */
#include <stdio.h>

#include "flopinio/base/id.h"
#include "flopinio/base/json.h"
#include "runtime/cli/config.h"
#include "runtime/cli/demo_priv.h"
#include "runtime/crypto/secret.h"

#define PREFIX "http://localhost/api/v1"
#define ORG    "/orgs/" DEMO_ORG

/* ---------------------------------------------------------------- asking */
static bool open_socket(struct demo *d)
{
    char run[DEMO_PATH_BYTES + 200], socket[DEMO_PATH_BYTES + 240];
    struct fl_fetcher_config config = { .unix_socket = socket, .timeout_ms = 30000 };
    if (fl_config_run_dir_of_owner(d->options.data_dir, run, sizeof run, &d->err) != FL_OK)
        return false;
    snprintf(socket, sizeof socket, "%s/control.sock", run);
    return fl_fetcher_new(&config, &d->fetcher, &d->err) == FL_OK;
}

/* "Authorization: Basic ..." of a person. */
static void put_sign_in(struct fl_buf *out, const struct demo_person *p)
{
    char pair[DEMO_PASS_BYTES + 32];
    int n = snprintf(pair, sizeof pair, "%s:%s", p->name, p->passphrase);
    fl_buf_puts(out, "Authorization: Basic ");
    fl_b64(out, pair, (size_t)n);
}

static bool take_answer(struct demo *d, int status, struct fl_str text, json_t **ret)
{
    struct fl_err ignored;
    json_t *answer = text.n ? fl_json_parse(text, &ignored) : NULL;
    if (status >= 200 && status < 300) {
        if (ret)
            *ret = answer;
        else
            json_decref(answer);
        return true;
    }
    struct fl_str why = fl_json_get_str(json_object_get(answer, "error"), "text");
    if (why.n)
        demo_fail(d, "%.*s", FL_STR_ARG(why));
    else
        demo_fail(d, "the runtime answered with HTTP status %d", status);
    json_decref(answer);
    return false;
}

bool demo_ask(struct demo *d, enum demo_who as, const char *method, const char *path, json_t *body,
              int *ret_status, json_t **ret)
{
    struct fl_buf text = FL_BUF_INIT, answer = FL_BUF_INIT, sign_in = FL_BUF_INIT;
    char url[400];
    int status = 0;
    const char *headers[3] = { "Content-Type: application/json" };
    struct fl_fetch request = { .method = method, .url = url, .headers = headers };
    snprintf(url, sizeof url, PREFIX "%s", path);
    if (as != DEMO_OPERATOR) {
        put_sign_in(&sign_in, &d->people[as]);
        headers[1] = sign_in.p;
    }
    if (body) {
        fl_json_put(&text, body);
        request.body = fl_buf_view(&text);
        json_decref(body);
    }
    if (ret)
        *ret = NULL;
    bool is_fine = !text.is_failed && !sign_in.is_failed && (d->fetcher || open_socket(d)) &&
                   fl_fetch(d->fetcher, &request, &status, &answer, &d->err) == FL_OK &&
                   take_answer(d, status, fl_buf_view(&answer), ret);
    if (ret_status)
        *ret_status = status;
    if (sign_in.p)
        fl_cleanse(sign_in.p, sign_in.n);
    fl_buf_fini(&text);
    fl_buf_fini(&answer);
    fl_buf_fini(&sign_in);
    return is_fine;
}

/* ---------------------------------------------------------------- people */
static const struct demo_person cast[DEMO_PEOPLE] = {
    { .name = "ana", .display_name = "Ana", .role = "owner" },
    { .name = "ben", .display_name = "Ben", .role = "approver", .is_in_ops = true },
    { .name = "cleo", .display_name = "Cleo", .role = "approver", .is_in_ops = true },
};

/* 80 bits as four groups of letters and digits. */
static void make_passphrase(char out[DEMO_PASS_BYTES])
{
    struct fl_buf text = FL_BUF_INIT;
    uint8_t raw[10];
    fl_random(raw, sizeof raw);
    fl_b32(&text, raw, sizeof raw);
    FL_ASSERT(text.n == 16);
    snprintf(out, DEMO_PASS_BYTES, "%.4s-%.4s-%.4s-%.4s", text.p, text.p + 4, text.p + 8,
             text.p + 12);
    for (char *p = out; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p);
    fl_buf_fini(&text);
}

static bool add_person(struct demo *d, struct demo_person *p)
{
    json_t *groups = json_array();
    if (p->is_in_ops)
        json_array_append_new(groups, json_string("ops"));
    return demo_ask(d, DEMO_OPERATOR, "POST", ORG "/people",
                    json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", p->name, "display_name",
                              p->display_name, "role", p->role, "groups", groups, "passphrase",
                              p->passphrase),
                    NULL, NULL);
}

bool demo_people(struct demo *d)
{
    if (!demo_ask(d, DEMO_OPERATOR, "POST", "/orgs",
                  json_pack("{s:s, s:s}", "name", DEMO_ORG, "title", "Demo fruit shop"), NULL,
                  NULL) ||
        !demo_ask(d, DEMO_OPERATOR, "POST", ORG "/groups",
                  json_pack("{s:s, s:s}", "name", "ops", "title", "Operations"), NULL, NULL))
        return false;
    for (size_t i = DEMO_PEOPLE; i-- > 0;) { /* Ana last: she ends the operator's authority */
        d->people[i] = cast[i];
        make_passphrase(d->people[i].passphrase);
        if (!add_person(d, &d->people[i]))
            return false;
    }
    demo_say(d,
             "The organization is called %s. Its people sign in with a name and a passphrase, "
             "which are shown now and never again:",
             DEMO_ORG);
    static const char *const about[] = { "owns the organization, and the agent", "approves, in ops",
                                         "approves, in ops" };
    for (size_t i = 0; i < DEMO_PEOPLE; i++)
        printf("     %-5s %s   %s\n", d->people[i].name, d->people[i].passphrase, about[i]);
    return demo_ask(d, DEMO_ANA, "POST", ORG "/agents",
                    json_pack("{s:s, s:s, s:s}", "name", DEMO_AGENT, "title",
                              "Keeps the price lists", "owner", "ana"),
                    NULL, NULL) &&
           demo_credential(d, "sample agent", "claude-code", d->credential);
}

bool demo_credential(struct demo *d, const char *name, const char *client, char *out)
{
    json_t *answer = NULL;
    bool is_fine = demo_ask(d, DEMO_ANA, "POST", ORG "/agents/" DEMO_AGENT "/credentials",
                            json_pack("{s:s, s:s}", "name", name, "client", client), NULL, &answer);
    struct fl_str text = fl_json_get_str(answer, "credential");
    if (is_fine && (text.n == 0 || text.n >= DEMO_TOKEN_BYTES))
        is_fine = demo_fail(d, "the runtime gave no credential");
    if (is_fine)
        snprintf(out, DEMO_TOKEN_BYTES, "%.*s", FL_STR_ARG(text));
    json_decref(answer);
    return is_fine;
}

/* ---------------------------------------------------------------- tools */
static bool is_read(struct fl_str tool)
{
    return fl_str_is(tool, "files__list") || fl_str_is(tool, "files__stat") ||
           fl_str_is(tool, "files__read") || fl_str_is(tool, "files__search");
}

/* Each definition is accepted by the digest of what is there now. */
static bool accept_tool(struct demo *d, const json_t *tool, bool is_a_read)
{
    char path[200];
    struct fl_str name = fl_json_get_str(tool, "name");
    snprintf(path, sizeof path, ORG "/tools/%.*s/accept", FL_STR_ARG(name));
    return demo_ask(d, DEMO_ANA, "POST", path,
                    json_pack("{s:O, s:s}", "digest", json_object_get(tool, "digest"), "effects",
                              is_a_read ? "read" : "write"),
                    NULL, NULL);
}

bool demo_tools(struct demo *d)
{
    json_t *server = NULL, *tools = NULL;
    bool is_fine = demo_ask(d, DEMO_ANA, "POST", ORG "/servers",
                            json_pack("{s:s, s:s, s:{s:s}, s:s}", "name", "files", "plugin",
                                      "files", "config", "root", d->folder, "environment", "demo"),
                            NULL, &server);
    struct fl_str note = fl_json_get_str(server, "note");
    if (is_fine && note.n)
        is_fine = demo_fail(d, "%.*s", FL_STR_ARG(note));
    if (is_fine)
        is_fine = demo_ask(d, DEMO_ANA, "GET", ORG "/tools", NULL, NULL, &tools);
    size_t reads = 0, writes = 0, at;
    const json_t *tool;
    json_array_foreach (json_object_get(tools, "items"), at, tool) {
        bool is_a_read = is_read(fl_json_get_str(tool, "name"));
        reads += is_a_read;
        writes += !is_a_read;
        is_fine = is_fine && accept_tool(d, tool, is_a_read);
    }
    if (is_fine && (reads != 4 || writes == 0))
        is_fine = demo_fail(d, "the files plugin offers other tools than the demo knows");
    if (is_fine)
        demo_say(d,
                 "The server \"files\" offers %zu tools on %s and on nothing else. Ana accepts "
                 "%zu of them as reads and %zu as writes; each definition is pinned, one that "
                 "changes is refused until somebody looks at it.",
                 reads + writes, d->folder, reads, writes);
    json_decref(server);
    json_decref(tools);
    return is_fine;
}

/* ---------------------------------------------------------------- policy */
static const char policy[] = "version: 1\n"
                             "rules:\n"
                             "  - name: reads\n"
                             "    tools: [\"files__*\"]\n"
                             "    effect: allow\n"
                             "  - name: writes\n"
                             "    tools: [files__write, files__edit, files__make_directory]\n"
                             "    effect: ask\n"
                             "    reason: price lists are seen by customers\n"
                             "    ask:\n"
                             "      thresholds: [{ approve: 1, groups: [ops] }]\n"
                             "  - name: deletes\n"
                             "    tools: [files__delete]\n"
                             "    effect: ask\n"
                             "    reason: what is deleted cannot be brought back\n"
                             "    ask:\n"
                             "      thresholds: [{ approve: 2, groups: [ops] }]\n"
                             "      risk: high\n"
                             "  - name: the-rest\n"
                             "    tools: [\"*\"]\n"
                             "    effect: deny\n"
                             "    reason: agents here read, write and delete files, nothing else\n";

bool demo_policy(struct demo *d)
{
    if (!demo_ask(d, DEMO_ANA, "POST", ORG "/policy",
                  json_pack("{s:s, s:s}", "document", policy, "note", "the demo's policy"), NULL,
                  NULL))
        return false;
    demo_say(d, "Ana's policy, the first rule that matches decides:");
    printf("     reads      run at once\n"
           "     writes     wait until one of ops approves\n"
           "     deletes    wait until two of ops approve\n"
           "     the rest   is denied\n");
    return true;
}
