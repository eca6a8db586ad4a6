/* A held call: its card, and the people who decide it, at the prompt, from another terminal, or
 * (unattended) by a list of votes. All of them go by POST .../decision, as themselves. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/cli/cli_card.h"
#include "runtime/cli/demo_priv.h"

#define ORG       "/orgs/" DEMO_ORG
#define FIND_MS   15000
#define FINISH_MS 60000
#define LOOK_MS   1000
#define SHORT_ID  6 /* of an id: the command line finds it by its end */

struct hold {
    struct demo *d;
    char id[64];
    json_t *approval; /* as it was last looked at */
    json_t *answer;   /* the agent's, once it has one */
};

/* ---------------------------------------------------------------- looking */
static struct fl_str member(const struct hold *h, const char *name)
{
    return fl_json_get_str(h->approval, name);
}

static bool is_waiting(const struct hold *h)
{
    return fl_str_is(member(h, "state"), "pending");
}

static bool look(struct hold *h)
{
    char path[120];
    json_t *fresh;
    snprintf(path, sizeof path, ORG "/approvals/%s", h->id);
    if (!demo_ask(h->d, DEMO_ANA, "GET", path, NULL, NULL, &fresh))
        return false;
    json_decref(h->approval);
    h->approval = fresh;
    return true;
}

/* Whether the agent has its answer; waits at most timeout_ms. A client that may not wait as long as
 * people take is told "pending" and comes back with approval_wait: so does this one. */
static bool hear(struct hold *h, int timeout_ms)
{
    json_t *answer = NULL;
    enum demo_heard heard = demo_agent_hear(h->d, timeout_ms, &answer);
    if (heard != DEMO_ANSWER)
        return heard == DEMO_NOTHING;
    const json_t *words = json_object_get(json_object_get(answer, "result"), "structuredContent");
    if (!fl_str_is(fl_json_get_str(words, "decision"), "pending")) {
        h->answer = answer;
        return true;
    }
    json_decref(answer);
    return demo_agent_call(h->d, "approval_wait", json_pack("{s:s}", "approval_id", h->id), NULL);
}

static bool find(struct hold *h)
{
    for (int64_t until_ms = fl_mono_ms() + FIND_MS; fl_mono_ms() < until_ms;) {
        json_t *list;
        if (!hear(h, 50))
            return false;
        if (h->answer)
            return demo_fail(h->d, "the call was not held; the agent was told: %.*s",
                             FL_STR_ARG(demo_answer_text(h->d, h->answer)));
        if (!demo_ask(h->d, DEMO_ANA, "GET", ORG "/approvals?state=pending", NULL, NULL, &list))
            return false;
        struct fl_str id = fl_json_get_str(json_array_get(json_object_get(list, "items"), 0), "id");
        snprintf(h->id, sizeof h->id, "%.*s", FL_STR_ARG(id));
        json_decref(list);
        if (strlen(h->id) > SHORT_ID)
            return look(h);
    }
    return demo_fail(h->d, "the call is not among the approvals that wait");
}

/* ---------------------------------------------------------------- the card */
static bool show_card(struct hold *h)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_card_print(h->d->cli, &out, h->approval, STDOUT_FILENO);
    bool is_fine = out.n && !out.is_failed;
    if (is_fine) {
        demo_say(h->d, "The card that people see:");
        printf("\n%s\n", out.p);
    }
    fl_buf_fini(&out);
    return is_fine || demo_fail(h->d, "there is no card");
}

/* A client that asked for progress hears at once that people are asked. */
static bool show_meanwhile(struct hold *h)
{
    for (int i = 0; i < 20 && !h->d->meanwhile.n && !h->answer; i++) {
        if (!hear(h, 100))
            return false;
    }
    if (!h->d->meanwhile.n || h->d->meanwhile.is_failed)
        return demo_fail(h->d, "the agent was not told that its call waits");
    demo_say(h->d, "Meanwhile the agent is told:");
    demo_quote(h->d, fl_buf_view(&h->d->meanwhile));
    return true;
}

/* ---------------------------------------------------------------- voting */
static bool vote(struct hold *h, enum demo_who who, bool is_approval, struct fl_str reason,
                 int *ret_status)
{
    struct demo *d = h->d;
    char path[120];
    json_t *said = NULL;
    json_t *body = json_pack("{s:s, s:s*, s:o*}", "verdict", is_approval ? "approve" : "reject",
                             "binding", json_string_value(json_object_get(h->approval, "binding")),
                             "reason", reason.n ? fl_json_new_str(reason) : NULL);
    snprintf(path, sizeof path, ORG "/approvals/%s/decision", h->id);
    bool is_fine = demo_ask(d, who, "POST", path, body, ret_status, &said);
    bool is_decided = json_is_true(json_object_get(said, "is_decided"));
    struct fl_str progress = fl_json_get_str(said, "progress");
    if (is_fine)
        demo_say(d, "%s %s%s%.*s.", d->people[who].display_name,
                 is_approval ? "approves" : "rejects", is_decided ? ", which decides it" : ": ",
                 FL_STR_ARG(progress));
    json_decref(said);
    return is_fine;
}

/* Nobody decides on what their own agent asks for. */
static bool owner_tries(struct hold *h)
{
    int status = 0;
    if (vote(h, DEMO_ANA, true, FL_STR(""), &status))
        return demo_fail(h->d, "Ana could approve what her own agent asked for");
    if (status != 403)
        return false;
    demo_say(h->d, "Ana, who owns the agent, tries to approve and is refused: %s.", h->d->err.text);
    return true;
}

static bool votes_by_list(struct hold *h, const struct demo_vote *votes)
{
    for (; votes->who != DEMO_PEOPLE; votes++) {
        if (!look(h))
            return false;
        if (!is_waiting(h))
            return demo_fail(h->d, "it was decided before everybody had voted who has to");
        if (!vote(h, votes->who, votes->is_approval, fl_str_of(votes->reason), NULL))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- at the prompt */
static bool has_voted(const struct hold *h, enum demo_who who)
{
    const json_t *one, *votes = json_object_get(h->approval, "votes");
    size_t at;
    json_array_foreach (votes, at, one) {
        if (fl_str_is(fl_json_get_str(one, "person"), h->d->people[who].name))
            return true;
    }
    return false;
}

static void prompt(const struct hold *h, enum demo_who who)
{
    printf("   %s, do you approve? [y/n, and a reason if you like] ",
           h->d->people[who].display_name);
    fflush(stdout);
}

/* "y", "yes because", "n not now" */
static bool read_verdict(struct fl_str line, bool *ret_is_approval, struct fl_str *ret_reason)
{
    size_t n = 0;
    line = fl_str_trim(line);
    while (n < line.n && line.p[n] != ' ' && line.p[n] != ',')
        n++;
    struct fl_str word = { line.p, n };
    *ret_is_approval = fl_str_eq_nocase(word, FL_STR("y")) || fl_str_eq_nocase(word, FL_STR("yes"));
    *ret_reason =
        fl_str_trim((struct fl_str){ line.p + n + (n < line.n), line.n - n - (n < line.n) });
    return *ret_is_approval || fl_str_eq_nocase(word, FL_STR("n")) ||
           fl_str_eq_nocase(word, FL_STR("no"));
}

/* A line of standard input if there is a whole one; false at its end. */
static bool take_line(struct demo *d, bool is_readable, struct fl_str *ret)
{
    char *end = memchr(d->input, '\n', d->input_n);
    *ret = (struct fl_str){ NULL, 0 };
    if (!end && is_readable) {
        ssize_t n = read(0, d->input + d->input_n, sizeof d->input - d->input_n);
        if (n <= 0)
            return false;
        d->input_n += (size_t)n;
        end = memchr(d->input, '\n', d->input_n);
        if (!end && d->input_n == sizeof d->input)
            end = d->input + d->input_n - 1;
    }
    if (!end)
        return true;
    size_t used = (size_t)(end - d->input) + 1;
    memcpy(d->line, d->input, used);
    memmove(d->input, d->input + used, d->input_n - used);
    d->input_n -= used;
    *ret = (struct fl_str){ d->line, used - 1 };
    return true;
}

static bool wait_for_either(struct hold *h, bool *ret_input)
{
    struct pollfd p[2] = { { .fd = 0, .events = POLLIN },
                           { .fd = fl_ws_client_fd(h->d->ws), .events = POLLIN } };
    *ret_input = false;
    if (!memchr(h->d->input, '\n', h->d->input_n)) {
        (void)poll(p, 2, LOOK_MS);
        *ret_input = (p[0].revents & (POLLIN | POLLHUP)) != 0;
    }
    return !demo_is_interrupted || demo_fail(h->d, "stopped");
}

/* One person's answer. Others may decide from elsewhere meanwhile: then this is over, too. */
static bool ask_person(struct hold *h, enum demo_who who)
{
    struct fl_str line, reason;
    bool is_approval, is_readable;
    for (prompt(h, who);;) {
        if (!wait_for_either(h, &is_readable) || !look(h))
            return false;
        if (!is_waiting(h) || has_voted(h, who)) {
            putchar('\n');
            demo_say(h->d, "That was decided elsewhere.");
            return true;
        }
        if (!take_line(h->d, is_readable, &line)) {
            putchar('\n');
            return demo_fail(h->d, "nobody is at the prompt (standard input has ended); without a "
                                   "person use --unattended");
        }
        if (!line.p)
            continue;
        if (read_verdict(line, &is_approval, &reason))
            return vote(h, who, is_approval, reason, NULL);
        demo_say(h->d, "Say y to approve or n to reject, for instance: n ask again on Monday");
        prompt(h, who);
    }
}

static bool votes_at_the_prompt(struct hold *h)
{
    demo_say(h->d, "You play the people of ops. The same from another terminal:");
    printf("     %s approvals approve %s --as ben --data-dir %s\n", h->d->program,
           h->id + strlen(h->id) - SHORT_ID, h->d->options.data_dir);
    for (;;) {
        enum demo_who who = DEMO_ANA;
        if (!look(h))
            return false;
        for (enum demo_who i = DEMO_PEOPLE; i-- > 0;) {
            if (h->d->people[i].is_in_ops && !has_voted(h, i))
                who = i;
        }
        if (!is_waiting(h) || who == DEMO_ANA)
            return true;
        if (!ask_person(h, who))
            return false;
    }
}

/* ---------------------------------------------------------------- all of it */
static bool finish(struct hold *h, bool *ret_is_approved)
{
    for (int64_t until_ms = fl_mono_ms() + FINISH_MS; !h->answer && fl_mono_ms() < until_ms;) {
        if (!hear(h, 500))
            return false;
        if (demo_is_interrupted)
            return demo_fail(h->d, "stopped");
    }
    if (!h->answer)
        return demo_fail(h->d, "it was decided, and the agent was not told");
    if (!look(h))
        return false;
    *ret_is_approved = fl_str_is(member(h, "state"), "succeeded");
    h->d->executed += *ret_is_approved;
    demo_say(h->d, "The agent is told:");
    demo_quote(h->d, demo_answer_text(h->d, h->answer));
    return true;
}

bool demo_hold(struct demo *d, const struct demo_vote *votes, json_t **ret_answer,
               bool *ret_is_approved)
{
    struct hold h = { .d = d };
    bool is_first = d->held == 0;
    bool is_fine =
        find(&h) && show_meanwhile(&h) && (!is_first || owner_tries(&h)) && show_card(&h);
    d->held += is_fine;
    if (is_fine)
        is_fine = (d->options.is_unattended ? votes_by_list(&h, votes) : votes_at_the_prompt(&h)) &&
                  finish(&h, ret_is_approved);
    json_decref(h.approval);
    *ret_answer = h.answer;
    return is_fine;
}
