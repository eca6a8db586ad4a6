/* The end of the demo: what the audit has to say about it, and how to go on with a real client. */
#include <stdio.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cmd_connect.h"
#include "runtime/cli/demo_priv.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/show.h"

#define ORG "/orgs/" DEMO_ORG

/* ---------------------------------------------------------------- audit */
/* Who did it: an agent or a person by name, else the runtime. */
static struct fl_str who_did(const json_t *leaf)
{
    const json_t *data = json_object_get(leaf, "data");
    struct fl_str actor = fl_json_get_str(json_object_get(leaf, "actor"), "kind");
    struct fl_str name = { NULL, 0 };
    if (fl_str_is(actor, "agent"))
        name = fl_json_get_str(data, "agent");
    else if (fl_str_is(actor, "person"))
        name = fl_json_get_str(data, "person");
    return name.n ? name : fl_str_is(actor, "agent") ? FL_STR(DEMO_AGENT) : FL_STR("runtime");
}

static void show_event(const json_t *event)
{
    const json_t *leaf = json_object_get(event, "leaf");
    struct fl_str at = fl_json_get_str(event, "at"), who = who_did(leaf);
    struct fl_str tool = fl_json_get_str(json_object_get(leaf, "data"), "tool");
    struct fl_buf line = FL_BUF_INIT;
    fl_buf_puts(&line, "     ");
    fl_buf_str(&line, at.n >= 19 ? (struct fl_str){ at.p + 11, 8 } : at);
    fl_buf_printf(&line, "  %-7.*s  ", FL_STR_ARG(who));
    fl_show(&line, fl_json_get_str(event, "meaning"), 0, NULL);
    if (tool.n) {
        fl_buf_puts(&line, ": ");
        fl_show(&line, tool, FL_SHOW_ASCII, NULL);
    }
    if (!line.is_failed)
        puts(line.p);
    fl_buf_fini(&line);
}

static unsigned count(const json_t *events, const char *kind)
{
    const json_t *event;
    unsigned n = 0;
    size_t at;
    json_array_foreach (events, at, event)
        n += fl_str_is(fl_json_get_str(event, "kind"), kind);
    return n;
}

static bool is_about_calls(const json_t *event)
{
    struct fl_str kind = fl_json_get_str(event, "kind");
    return fl_str_has_prefix(kind, FL_STR("call.")) || fl_str_has_prefix(kind, FL_STR("approval."));
}

bool demo_audit(struct demo *d)
{
    json_t *answer = NULL;
    const json_t *event;
    size_t at;
    if (!demo_ask(d, DEMO_ANA, "GET", ORG "/audit?order=oldest&limit=500", NULL, NULL, &answer))
        return false;
    const json_t *events = json_object_get(answer, "items");
    json_array_foreach (events, at, event) {
        if (is_about_calls(event))
            show_event(event);
    }
    struct {
        const char *kind;
        unsigned must;
    } const told[] = { { "call.read", d->reads },
                       { "call.denied", d->denied },
                       { "approval.requested", d->held },
                       { "approval.refused", 1 },
                       { "approval.dispatched", d->executed },
                       { "approval.succeeded", d->executed } };
    bool is_fine = true;
    for (size_t i = 0; is_fine && i < FL_COUNTOF(told); i++) {
        unsigned there = count(events, told[i].kind);
        if (there != told[i].must)
            is_fine = demo_fail(d, "the audit has %u rows of %s, and %u of them happened", there,
                                told[i].kind, told[i].must);
    }
    json_decref(answer);
    if (is_fine)
        demo_say(d, "Each row was written in the same transaction as what it tells.");
    return is_fine;
}

/* ---------------------------------------------------------------- clients */
static bool show_client(struct demo *d, const char *name, const char *client)
{
    char url[64], credential[DEMO_TOKEN_BYTES];
    struct fl_buf text = FL_BUF_INIT;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/mcp", d->port);
    if (!demo_credential(d, name, client, credential))
        return false;
    fl_connect_put(&text, client, url, credential);
    bool is_fine = fl_buf_code(&text, &d->err) == FL_OK;
    if (is_fine)
        printf("\n%s", text.p);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    return is_fine;
}

bool demo_clients(struct demo *d)
{
    demo_say(d, "The runtime stays up. Each client gets a credential of its own, shown now and "
                "never again.");
    if (!show_client(d, "Claude Code", "claude-code") || !show_client(d, "VS Code", "vscode") ||
        !show_client(d, "Cursor", "cursor"))
        return false;
    putchar('\n');
    demo_say(d, "What they ask for waits here. Look from another terminal, and decide as ben or "
                "cleo:");
    printf("     %s approvals list --watch --data-dir %s\n\n", d->program, d->options.data_dir);
    return true;
}
