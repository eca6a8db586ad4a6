/* The app's home: what waits for whoever opened it, its tool, where, who and Review for each.
 * What a rule does not tell this channel is not there. It stays as it is for some seconds after a
 * change (slack_homes.c), or until it is opened again: so no argument is on it. Deciding goes by
 * the same modal as from a card. */
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/content.h"
#include "runtime/crypto/digest.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/store/chat.h"
#include "runtime/store/home.h"
#include "runtime/store/vote.h"

#define MOST 20 /* three blocks each: a home has 100 at most */

FL_STEP_DECLARE(listed);
FL_STEP_DECLARE(detailed);
FL_STEP_DECLARE(published);
FL_STEP_DECLARE(kept);

struct fl_slack_home {
    struct fl_query *q_person, *q_list, *q_people, *q_votes[MOST], *q_contents[MOST];
    struct fl_approval rows[MOST];
    struct fl_uuid person;
    int count;
};

static struct fl_slack_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_slack_event, flow);
}

bool fl_slack_home_read(struct fl_slack_event *s, const json_t *ev)
{
    s->user = fl_json_get_str(ev, "user");
    s->team = fl_json_get_str(fl_slack_is_org_wide(s->channel) ? s->payload : s->channel->facts,
                              fl_slack_is_org_wide(s->channel) ? "team_id" : "team");
    if (!fl_slack_is_id(s->user) || !fl_slack_is_id(s->team) ||
        !fl_str_is(fl_json_get_str(ev, "tab"), "home"))
        return false;
    s->event.external = fl_slack_external(s->channel, s->arena, s->team, s->user);
    return s->event.external.n > 0;
}

fl_next fl_slack_home(struct fl_slack_event *s)
{
    struct fl_approval_filter filter = { .states = "pending", .most = MOST };
    s->home = FL_ARENA_NEW(s->arena, struct fl_slack_home);
    if (!s->home)
        return fl_end(&s->flow);
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
    s->tx.is_read_only = true;
    s->home->q_person = fl_store_chat_person(&s->tx, s->channel->kind->name, s->event.external);
    s->home->q_list = fl_store_approval_list(&s->tx, &filter);
    return fl_await(&s->flow, &S_listed, fl_tx_submit(&s->flow.op, &s->tx));
}

/* ---------------------------------------------------------------- the view */
static fl_next publish(struct fl_slack_event *s, struct fl_buf *blocks)
{
    struct fl_buf body = FL_BUF_INIT;
    fl_slack_call_fini(&s->call);
    fl_buf_puts(&body, "{\"user_id\":");
    fl_buf_json_str(&body, s->user);
    fl_buf_puts(&body, ",\"view\":{\"type\":\"home\",\"blocks\":[");
    fl_buf_str(&body, fl_buf_view(blocks));
    fl_buf_puts(&body, "]}}");
    body.is_failed |= blocks->is_failed;
    fl_buf_fini(blocks);
    fl_sha256(fl_buf_view(&body), s->drawn);
    if (s->is_again && fl_str_eq(s->shown, fl_bytes(s->drawn, sizeof s->drawn))) {
        fl_buf_fini(&body);
        return fl_end(&s->flow);
    }
    return fl_await(
        &s->flow, &S_published,
        fl_slack_call_start(&s->flow.op, &s->call, s->channel, "token", "views.publish", &body));
}

static void put_text(struct fl_buf *out, struct fl_str text)
{
    if (out->n)
        fl_buf_putc(out, ',');
    fl_buf_puts(out, "{\"type\":\"section\",\"text\":");
    text.n = text.n > FL_SLACK_SECTION_CHARS ? fl_utf8_cut(text, FL_SLACK_SECTION_CHARS) : text.n;
    fl_slack_put_plain(out, text);
    fl_buf_putc(out, '}');
}

FL_STEP(listed)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_slack_home *h = s->home;
    struct fl_buf out = FL_BUF_INIT;
    if (f->op.code)
        return fl_end(f);
    if (fl_rows(h->q_person) != 1) {
        put_text(&out, FL_STR("You are not linked here: ask for a code (flopinio user link), and "
                              "send me: /flopinio link CODE"));
        return publish(s, &out);
    }
    h->person = fl_cell_uuid(h->q_person, 0, 0);
    int rows = fl_rows(h->q_list);
    for (int i = 0; i < rows && h->count < MOST; i++)
        h->count += fl_store_approval_read(h->q_list, i, s->arena, &h->rows[h->count]);
    fl_tx_init(&s->noting, s->channel->core->pg, s->arena, &s->channel->organization);
    s->noting.is_read_only = true;
    h->q_people = fl_store_people(&s->noting);
    for (int i = 0; i < h->count; i++) {
        h->q_votes[i] = fl_store_votes(&s->noting, &h->rows[i].id);
        h->q_contents[i] = fl_store_approval_content(&s->noting, &h->rows[i].id);
    }
    return fl_await(f, &S_detailed, fl_tx_submit(&f->op, &s->noting));
}

static bool is_told_here(const struct fl_slack_event *s, const struct fl_ask *ask)
{
    for (size_t i = 0; ask && i < ask->notify_count; i++) {
        if (fl_str_eq(ask->notify[i], s->channel->name))
            return true;
    }
    return false;
}

/* The lines that a card begins with. */
static void put_lines(struct fl_buf *out, const struct fl_card *card)
{
    static const enum fl_card_kind kinds[] = { FL_CARD_TITLE, FL_CARD_WHERE, FL_CARD_WHO };
    struct fl_buf text = FL_BUF_INIT;
    for (size_t k = 0; k < FL_COUNTOF(kinds); k++) {
        const struct fl_card_block *b = fl_card_block(card, kinds[k]);
        for (size_t i = 0; b && i < b->line_count; i++) {
            fl_buf_puts(&text, text.n ? "\n" : "");
            fl_buf_str(&text, b->lines[i]);
        }
    }
    out->is_failed |= text.is_failed;
    put_text(out, fl_buf_view(&text));
    fl_buf_fini(&text);
}

static void put_review(struct fl_buf *out, const struct fl_approval *row)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    fl_chat_button(FL_CHAT_REVIEW, &row->id, row->binding_digest, data);
    fl_buf_printf(out,
                  ",{\"type\":\"actions\",\"elements\":[{\"type\":\"button\",\"action_id\":\"v\","
                  "\"value\":\"%s\",\"text\":",
                  data);
    fl_slack_put_plain(out, FL_STR("Review"));
    fl_buf_puts(out, "}]}");
}

/* Only what they may decide, as it is when they look. */
static bool put_one(struct fl_buf *out, struct fl_slack_event *s, int at)
{
    struct fl_slack_home *h = s->home;
    struct fl_approval *row = &h->rows[at];
    struct fl_approval_view view;
    struct fl_ballot ballot;
    struct fl_content_call content = { 0 };
    struct fl_card card;
    struct fl_err err;
    if (fl_ballot_read(&ballot, s->arena, h->q_people, h->q_votes[at], row, &err) != FL_OK ||
        fl_approval_view_read(&view, s->arena, row, &ballot, &err) != FL_OK)
        return false;
    bool is_theirs =
        is_told_here(s, view.ask) && fl_approval_may_vote(&view, &h->person, true, &err) == FL_OK;
    struct fl_approval_texts texts = { .disclose = FL_DISCLOSE_SUMMARY };
    enum fl_code code = !is_theirs || fl_rows(h->q_contents[at]) != 1
                            ? FL_NOT_FOUND
                            : fl_content_arguments(s->channel->core, &s->channel->organization, row,
                                                   fl_cell_bytes(h->q_contents[at], s->arena, 0, 0),
                                                   s->arena, &content, &err);
    texts.arguments = content.arguments;
    texts.is_tampered = code == FL_CONFLICT || code == FL_BAD_KEY;
    if (code == FL_OK || texts.is_tampered)
        code = fl_card_of(s->arena, &view, &texts, s->channel->core->keys,
                          &s->channel->organization, FL_CARD_MIN_BYTES, &card, &err);
    if (code == FL_OK) {
        put_lines(out, &card);
        put_review(out, row);
    }
    if (content.arguments.p)
        fl_cleanse((char *)content.arguments.p, content.arguments.n);
    fl_approval_view_fini(&view);
    return code == FL_OK;
}

FL_STEP(detailed)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf out = FL_BUF_INIT;
    int shown = 0;
    if (f->op.code)
        return fl_end(f);
    for (int i = 0; i < s->home->count; i++)
        shown += put_one(&out, s, i);
    if (!shown)
        put_text(&out, FL_STR("Nothing waits for you."));
    if (s->home->count == MOST)
        put_text(&out, FL_STR("There may be more: /flopinio pending, or flopinio approvals list."));
    return publish(s, &out);
}

/* What stood there before was for somebody who may see it. */
FL_STEP(refused)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf out = FL_BUF_INIT;
    put_text(&out, fl_str_of(s->event.answer));
    return publish(s, &out);
}

fl_next fl_slack_home_refuse(struct fl_slack_event *s, const char *why)
{
    fl_utf8_format(s->event.answer, sizeof s->event.answer, "%s", why);
    return &S_refused;
}

/* What nobody could note is as if it had not been opened. */
FL_STEP(published)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_home home = { s->event.external, s->team, s->user };
    s->retry_ms = f->op.code == FL_TOO_MANY ? s->call.retry_ms : 0;
    if (f->op.code)
        return fl_end(f);
    fl_tx_fini(&s->tx);
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
    fl_store_home_put(&s->tx, &s->channel->id, &home, fl_bytes(s->drawn, sizeof s->drawn),
                      !s->is_again);
    return fl_await(f, &S_kept, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(kept)
{
    return fl_end(f);
}
