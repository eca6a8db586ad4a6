/* Deciding: what only a person may do. The passphrase is asked on the terminal, or a personal token
 * with the scope decide is used; the decision is bound to the card that was shown. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_card.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cli_secret.h"
#include "runtime/cli/cmd_decide.h"

int fl_decide_need_person(struct fl_cli *cli)
{
    if (fl_cli_signs_in(cli))
        return FL_EXIT_DONE;
    return fl_cli_fail(cli, FL_EXIT_FORBIDDEN,
                       "only a person can decide: say who with --as NAME (the passphrase is asked "
                       "on the terminal), or set FLOPINIO_TOKEN to a token with the scope decide");
}

bool fl_decide_is_confirmed(struct fl_cli *cli, const char *question)
{
    bool is_asked_anyway = fl_cli_flag(cli, "as") && !fl_cli_flag(cli, "url");
    return is_asked_anyway || !fl_cli_may_confirm(cli) || fl_confirm(question);
}

void fl_decide_show_card(struct fl_cli *cli, const json_t *approval)
{
    struct fl_buf text = FL_BUF_INIT;
    int fd = cli->is_json ? STDERR_FILENO : STDOUT_FILENO;
    fl_card_print(cli, &text, approval, fd);
    fl_buf_putc(&text, '\n');
    fl_cli_flush(cli);
    for (size_t at = 0; at < text.n;) {
        ssize_t n = write(fd, text.p + at, text.n - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    fl_buf_fini(&text);
}

/* Where the rule asks for it: the words that are typed, or that --typed says. */
static void take_words(struct fl_cli *cli, const json_t *approval, json_t *body)
{
    const char *words = fl_cli_member(cli, approval, "typed"), *typed = fl_cli_flag(cli, "typed");
    char line[FL_SECRET_LINE_MAX] = "";
    if (!*words)
        return;
    if (!typed && fl_cli_may_confirm(cli)) {
        const char *prompt = fl_arena_printf(cli->arena, "To approve it, type '%s': ", words);
        typed = prompt && fl_ask_line(prompt, line) ? line : NULL;
    }
    fl_cli_put(body, "typed", typed);
}

/* Not decidable, or not here: says why; 0: go on. */
static int check(struct fl_cli *cli, const json_t *approval, bool is_approve)
{
    const json_t *card = json_object_get(approval, "card");
    bool can_reject = json_is_true(json_object_get(card, "can_reject"));
    if (!can_reject)
        return fl_cli_fail(cli, FL_EXIT_CONFLICT, "it is %s already",
                           fl_cli_member(cli, approval, "says"));
    if (is_approve && !json_is_true(json_object_get(card, "can_approve")))
        return fl_cli_fail(cli, FL_EXIT_FAILED, "it cannot be approved here: %s",
                           fl_cli_member(cli, card, "why_not"));
    return FL_EXIT_DONE;
}

static int decide(struct fl_cli *cli, const char *verdict)
{
    json_t *approval = NULL, *answer = NULL, *body;
    const char *id = NULL;
    bool is_approve = strcmp(verdict, "approve") == 0, is_withdraw = verdict[0] == 'w';
    int status = fl_decide_need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &approval);
    if (status)
        return status;
    fl_decide_show_card(cli, approval);
    status = is_withdraw ? FL_EXIT_DONE : check(cli, approval, is_approve);
    if (status == FL_EXIT_DONE &&
        !fl_decide_is_confirmed(cli, is_approve ? "Approve it? [y/N] " : "Sure? [y/N] "))
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "nothing was decided");
    if (status == FL_EXIT_DONE) {
        body = json_object();
        fl_cli_put(body, "verdict", verdict);
        fl_cli_put_flag(cli, body, "reason", "reason");
        fl_cli_put(body, "binding", json_string_value(json_object_get(approval, "binding")));
        if (fl_cli_has(cli, "may-ask-again"))
            json_object_set_new(body, "may_ask_again", json_true());
        if (is_approve)
            take_words(cli, approval, body);
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/{}/decision", id),
                            body, &answer);
    }
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%s", fl_cli_member(cli, answer, "text"));
    json_decref(approval);
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- several, each by itself */
/* Shows one and asks; adds it to the list if it is to be decided. 0, or it cannot be gone on. */
static int choose(struct fl_cli *cli, const char *text, const char *verdict, json_t *list)
{
    json_t *approval = NULL, *one;
    const char *id = NULL;
    bool is_approve = strcmp(verdict, "approve") == 0;
    int status = fl_card_find(cli, text, &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &approval);
    if (status)
        return status;
    fl_decide_show_card(cli, approval);
    if (!fl_cli_may_confirm(cli) ||
        fl_confirm(is_approve ? "Approve this one? [y/N] " : "Reject this one? [y/N] ")) {
        one = json_object();
        fl_cli_put(one, "id", id);
        fl_cli_put(one, "verdict", verdict);
        fl_cli_put_flag(cli, one, "reason", "reason");
        fl_cli_put(one, "binding", json_string_value(json_object_get(approval, "binding")));
        if (!is_approve && fl_cli_has(cli, "may-ask-again"))
            json_object_set_new(one, "may_ask_again", json_true());
        if (is_approve)
            take_words(cli, approval, one);
        json_array_append_new(list, one);
    }
    json_decref(approval);
    return FL_EXIT_DONE;
}

/* A line each; the exit status says whether all were decided. */
static int say_results(struct fl_cli *cli, const json_t *answer)
{
    const json_t *items = json_object_get(answer, "items"), *item;
    size_t i, refused = 0;
    json_array_foreach (items, i, item) {
        const json_t *error = json_object_get(item, "error");
        refused += error != NULL;
        if (!cli->is_json)
            fl_cli_say(cli, "%s: %s%s", fl_cli_member(cli, item, "id"),
                       error ? "not decided: " : "",
                       fl_cli_member(cli, error ? error : item, "text"));
    }
    fl_cli_printed_json(cli);
    if (!refused)
        return FL_EXIT_DONE;
    return fl_cli_fail(cli, FL_EXIT_CONFLICT, "%zu of %zu were not decided", refused,
                       json_array_size(items));
}

static int decide_many(struct fl_cli *cli, const char *verdict)
{
    json_t *answer = NULL, *list = json_array(), *body;
    int status = fl_decide_need_person(cli);
    for (size_t i = 0; status == FL_EXIT_DONE && fl_cli_arg(cli, i); i++)
        status = choose(cli, fl_cli_arg(cli, i), verdict, list);
    if (status == FL_EXIT_DONE && json_array_size(list) == 0)
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "nothing was decided");
    if (status == FL_EXIT_DONE) {
        body = json_object();
        json_object_set(body, "decisions", list);
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/decisions"), body,
                            &answer);
    }
    if (status == FL_EXIT_DONE)
        status = say_results(cli, answer);
    json_decref(answer);
    json_decref(list);
    return status;
}

static int approve(struct fl_cli *cli)
{
    return fl_cli_arg(cli, 1) ? decide_many(cli, "approve") : decide(cli, "approve");
}

/* Everything that an agent waits for. */
static int reject_all(struct fl_cli *cli, const char *agent)
{
    json_t *answer = NULL, *body;
    char question[200];
    int status = fl_decide_need_person(cli);
    snprintf(question, sizeof question, "Reject everything that %.100s waits for? [y/N] ",
             fl_cli_text(cli, agent));
    if (status == FL_EXIT_DONE && !fl_decide_is_confirmed(cli, question))
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "nothing was decided");
    if (status)
        return status;
    body = json_object();
    fl_cli_put(body, "agent", agent);
    fl_cli_put_flag(cli, body, "reason", "reason");
    if (fl_cli_has(cli, "may-ask-again"))
        json_object_set_new(body, "may_ask_again", json_true());
    status =
        fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/reject"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        long long refused = json_integer_value(json_object_get(answer, "refused"));
        long long voted = json_integer_value(json_object_get(answer, "voted"));
        fl_cli_say(cli, "%lld rejected",
                   (long long)json_integer_value(json_object_get(answer, "rejected")));
        if (voted)
            fl_cli_say(cli, "%lld more have your vote and need others", voted);
        if (refused)
            fl_cli_say(cli, "%lld not rejected by you: %s", refused,
                       fl_cli_member(cli, answer, "why"));
    }
    json_decref(answer);
    return status;
}

static int reject(struct fl_cli *cli)
{
    const char *agent = fl_cli_flag(cli, "agent");
    bool is_all = fl_cli_has(cli, "all"), has_id = fl_cli_arg(cli, 0) != NULL;
    if (has_id ? agent || is_all : !agent || !is_all)
        return fl_cli_wrong(cli, "say which: an ID, or --agent NAME --all");
    if (!has_id)
        return reject_all(cli, agent);
    return fl_cli_arg(cli, 1) ? decide_many(cli, "reject") : decide(cli, "reject");
}

static int break_glass(struct fl_cli *cli)
{
    json_t *approval = NULL, *answer = NULL, *body;
    const char *id = NULL;
    int status = fl_decide_need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &approval);
    if (status)
        return status;
    fl_decide_show_card(cli, approval);
    status = check(cli, approval, true);
    if (status == FL_EXIT_DONE &&
        !fl_decide_is_confirmed(cli, "Approve it alone, whoever else is asked? [y/N] "))
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "nothing was decided");
    if (status == FL_EXIT_DONE) {
        body = json_object();
        fl_cli_put_flag(cli, body, "reason", "reason");
        fl_cli_put(body, "binding", json_string_value(json_object_get(approval, "binding")));
        take_words(cli, approval, body);
        status =
            fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/{}/break-glass", id),
                       body, &answer);
    }
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%s", fl_cli_member(cli, answer, "text"));
    json_decref(approval);
    json_decref(answer);
    return status;
}

static int edit(struct fl_cli *cli)
{
    json_t *approval = NULL, *answer = NULL, *body,
           *arguments = fl_cli_json_arg(cli, "--arguments", fl_cli_flag(cli, "arguments"));
    const char *id = NULL;
    int status = arguments ? fl_decide_need_person(cli) : FL_EXIT_USAGE;
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &approval);
    if (status == FL_EXIT_DONE) {
        fl_decide_show_card(cli, approval);
        if (!fl_decide_is_confirmed(cli, "Change its arguments? [y/N] "))
            status = fl_cli_fail(cli, FL_EXIT_FAILED, "nothing was changed");
    }
    if (status == FL_EXIT_DONE) {
        body = json_object();
        json_object_set(body, "arguments", arguments);
        fl_cli_put(body, "binding", json_string_value(json_object_get(approval, "binding")));
        fl_cli_put_flag(cli, body, "reason", "reason");
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/{}/edit", id),
                            body, &answer);
    }
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "changed; it waits as %s, and the agent is told",
                   fl_cli_member(cli, answer, "new_id"));
    json_decref(arguments);
    json_decref(approval);
    json_decref(answer);
    return status;
}

/* One that takes no card: what was decided is known, and only a reason is said. */
static int say_of(struct fl_cli *cli, const char *what)
{
    json_t *body, *answer = NULL;
    const char *id = NULL;
    int status = fl_decide_need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status)
        return status;
    body = json_object();
    fl_cli_put_flag(cli, body, "reason", "reason");
    status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/{}/{}", id, what),
                        body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%s", fl_cli_member(cli, answer, "text"));
    json_decref(answer);
    return status;
}

static int reopen(struct fl_cli *cli)
{
    return say_of(cli, "reopen");
}

static int review(struct fl_cli *cli)
{
    return say_of(cli, "review");
}

static int withdraw(struct fl_cli *cli)
{
    return decide(cli, "withdraw");
}

/* ---------------------------------------------------------------- settle, cancel */
static int settle(struct fl_cli *cli)
{
    json_t *approval = NULL, *answer = NULL, *body;
    const char *id = NULL;
    int status = fl_decide_need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &approval);
    if (status)
        return status;
    fl_decide_show_card(cli, approval);
    json_decref(approval);
    body = json_object();
    fl_cli_put_flag(cli, body, "outcome", "outcome");
    fl_cli_put_flag(cli, body, "reason", "reason");
    status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/{}/settle", id), body,
                        &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        const char *fresh = fl_cli_member(cli, answer, "new_id");
        fl_cli_say(cli, "recorded: %s%s%s", fl_cli_member(cli, answer, "says"),
                   *fresh ? "; asked anew as " : "", fresh);
    }
    json_decref(answer);
    return status;
}

static int cancel(struct fl_cli *cli)
{
    json_t *body;
    const char *id = NULL;
    int status = fl_decide_need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status)
        return status;
    body = json_object();
    fl_cli_put_flag(cli, body, "reason", "reason");
    status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/approvals/{}/cancel", id), body,
                        NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "cancelled; it never ran");
    return status;
}

static const struct fl_cli_flag approve_flags[] = {
    { "reason", "TEXT", "why, for the record", 0 },
    { "typed", "TEXT", "the words that a rule with typed_confirmation asks for", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag reason_flags[] = { { "reason", "TEXT", "why, for the record", 0 },
                                                   { .name = NULL } };
static const struct fl_cli_flag reject_flags[] = {
    { "reason", "TEXT", "why; the agent is told", FL_FLAG_REQUIRED },
    { "may-ask-again", NULL, "the same call may be asked again at once", 0 },
    { "agent", "NAME", "with --all: everything that this agent waits for", 0 },
    { "all", NULL, "see --agent", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag glass_flags[] = {
    { "reason", "TEXT", "why; it is in the audit and on the card", FL_FLAG_REQUIRED },
    { "typed", "TEXT", "the words that a rule with typed_confirmation asks for", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag edit_flags[] = {
    { "arguments", "JSON", "all of them, as they are to be; @FILE reads a file", FL_FLAG_REQUIRED },
    { "reason", "TEXT", "why; the agent is told", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag settle_flags[] = {
    { "outcome", "succeeded|failed|again", "what you found out; again: it did not happen, ask anew",
      FL_FLAG_REQUIRED },
    { "reason", "TEXT", "how you know", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_decide[] = {
    { "approvals approve", "ID...", "shows the card and approves it",
      "As --as NAME, whose passphrase is asked on the terminal, or with FLOPINIO_TOKEN of the scope "
      "decide. If the approval changes after its card was shown, nothing is decided. With --url "
      "and --as, FLOPINIO_TOKEN of the scope read may fetch the card, so that one code of the "
      "authenticator is enough. Of several each card is shown and asked about, and each is decided "
      "by itself: a line says what came of it.",
      FL_CLI_ORG, approve_flags, approve },
    { "approvals reject", "[ID...]", "rejects a call; the agent is told why",
      "  flopinio approvals reject 4f2a --reason \"not on a Friday\"\n"
      "  flopinio approvals reject --agent builder --all --reason \"it runs amok\"",
      FL_CLI_ORG, reject_flags, reject },
    { "approvals break-glass", "ID", "approves a call alone, in an emergency",
      "Owners only, with their second factor, never for their own agent. Every owner finds it in the "
      "audit and with approvals list --review; somebody else reviews it within 24 hours.\n"
      "  flopinio approvals break-glass 4f2a --as olga --reason \"the site is down\"",
      FL_CLI_ORG, glass_flags, break_glass },
    { "approvals review", "ID", "records that you looked at a broken glass", NULL, FL_CLI_ORG,
      reason_flags, review },
    { "approvals edit", "ID", "changes the arguments of a call that waits",
      "The changed call is an approval of its own, which somebody else decides (unless the rule says "
      "editor_may_approve); the old one is rejected. Whoever waits for it gets the changed call's "
      "outcome, and is told what was changed.\n"
      "  flopinio approvals edit 4f2a --arguments '{\"path\":\"a.txt\",\"content\":\"new\"}'",
      FL_CLI_ORG, edit_flags, edit },
    { "approvals reopen", "ID", "lets the agent ask again for what was rejected",
      "A rejected call is answered from the record for 15 minutes, unless it was rejected with "
      "--may-ask-again; this lifts that later.",
      FL_CLI_ORG, reason_flags, reopen },
    { "approvals withdraw", "ID", "takes your vote back, as long as it waits",
      "Where the rule has an `undo`, also for so long after the approval; then it does not run.",
      FL_CLI_ORG, reason_flags, withdraw },
    { "approvals settle", "ID", "records what became of a call whose outcome is unknown", NULL,
      FL_CLI_ORG, settle_flags, settle },
    { "approvals cancel", "ID", "takes back a call of your own agent before it is sent", NULL,
      FL_CLI_ORG, reason_flags, cancel },
    { .name = NULL }
};
