/* The blocks of a card, in their order. Every one is made from the facts alone. */
#include "flopinio/base/clock.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/card_priv.h"

enum { OUTCOME_CHARS = 500, ID_BYTES = 64, AWAY_MOST = 5 };

/* ---- blocks ---- */

static struct fl_buf start(const struct fl_card_build *b)
{
    struct fl_buf lines;
    fl_buf_init(&lines, b->max);
    return lines;
}

static void next_line(struct fl_buf *lines)
{
    if (lines->n)
        fl_buf_putc(lines, '\n');
}

/* Makes a block of the lines (none: no block) and frees the buffer. */
static void add(struct fl_card_build *b, enum fl_card_kind kind, const char *label,
                struct fl_buf *lines)
{
    struct fl_str text = fl_arena_str(b->ctx.arena, fl_buf_view(lines));
    size_t count = 1;
    for (size_t i = 0; i < text.n; i++)
        count += text.p && text.p[i] == '\n';
    struct fl_str *list = fl_arena_array(b->ctx.arena, count, sizeof *list);
    b->is_over |= lines->is_over;
    b->has_no_memory |= (lines->is_failed && !lines->is_over) || !text.p || !list || !label;
    bool is_good = !b->is_over && !b->has_no_memory && text.n;
    fl_buf_fini(lines);
    if (!is_good)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *end = memchr(text.p, '\n', text.n);
        list[i] = (struct fl_str){ text.p, end ? (size_t)(end - text.p) : text.n };
        text = (struct fl_str){ text.p + list[i].n + 1, text.n - list[i].n - (end ? 1 : 0) };
    }
    FL_ASSERT(b->count < FL_COUNTOF(b->blocks));
    b->blocks[b->count++] =
        (struct fl_card_block){ .kind = kind, .label = label, .lines = list, .line_count = count };
}

/* Appends "<before><name>" if there is a name. */
static bool put_named(struct fl_card_build *b, struct fl_buf *out, const char *before,
                      struct fl_str name, unsigned flags)
{
    if (name.n == 0)
        return false;
    fl_buf_puts(out, before);
    fl_card_name(&b->ctx, out, name, flags);
    return true;
}

/* "17:00 UTC", with the date if it is another day than that of the request. */
static void put_time(const struct fl_card_build *b, struct fl_buf *out, int64_t at_utc_ms)
{
    char at[FL_TIME_BYTES], created[FL_TIME_BYTES];
    int64_t zone_ms = (int64_t)b->ctx.facts->utc_offset_min * 60000;
    fl_time_format_s(at_utc_ms + zone_ms, at);
    fl_time_format_s(b->ctx.facts->created_utc_ms + zone_ms, created);
    if (strncmp(at, created, 10) != 0)
        fl_buf_printf(out, "%.10s ", at);
    fl_buf_printf(out, "%.5s UTC", strlen(at) > 16 ? at + 11 : at);
    int minutes = b->ctx.facts->utc_offset_min;
    if (minutes) {
        char sign = minutes < 0 ? '-' : '+';
        minutes = minutes < 0 ? -minutes : minutes;
        fl_buf_printf(out, "%c%02d:%02d", sign, minutes / 60, minutes % 60);
    }
}

/* ---- the parts ---- */

static bool shows_args(const struct fl_card_build *b)
{
    return !b->unreadable && b->ctx.facts->disclose == FL_DISCLOSE_FULL &&
           (b->fit == FL_CARD_FIT_ALL || b->fit == FL_CARD_FIT_NO_PREVIEW);
}

/* Texts in which secret arguments are looked for: not shown where there are too many to look for.
 */
static bool shows_others(const struct fl_card_build *b)
{
    return b->ctx.facts->disclose == FL_DISCLOSE_FULL && !b->ctx.has_too_many;
}

static bool shows_preview(const struct fl_card_build *b)
{
    return shows_others(b) && (b->fit == FL_CARD_FIT_ALL || b->fit == FL_CARD_FIT_NO_ARGS);
}

static bool is_open(const struct fl_card_build *b)
{
    enum fl_approval_state s = b->ctx.facts->state;
    return s == FL_APPROVAL_PENDING || s == FL_APPROVAL_APPROVED || s == FL_APPROVAL_CLAIMED;
}

static void add_title(struct fl_card_build *b)
{
    struct fl_buf lines = start(b);
    enum fl_code code = FL_OK;
    if (b->fit == FL_CARD_FIT_LEAST || b->ctx.facts->disclose == FL_DISCLOSE_SUMMARY)
        fl_card_plain_title(&b->ctx, &lines);
    else
        code = fl_card_title(&b->ctx, shows_args(b), &lines, NULL);
    b->has_no_memory |= code != FL_OK;
    add(b, FL_CARD_TITLE, "", &lines);
}

static void add_where(struct fl_card_build *b)
{
    struct fl_buf lines = start(b);
    put_named(b, &lines, "server ", b->ctx.facts->server, FL_SHOW_ASCII);
    put_named(b, &lines, lines.n ? ", environment " : "environment ", b->ctx.facts->environment, 0);
    put_named(b, &lines, lines.n ? ", account " : "account ", b->ctx.facts->account, 0);
    add(b, FL_CARD_WHERE, "Where", &lines);
}

static void add_who(struct fl_card_build *b)
{
    static const char *const callers[] = { [FL_CALLER_WAITS] = "the caller waits",
                                           [FL_CALLER_GONE] = "the caller has gone",
                                           [FL_CALLER_TASK] = "the caller polls a task" };
    struct fl_buf lines = start(b);
    if (put_named(b, &lines, "agent ", b->ctx.facts->agent, 0))
        put_named(b, &lines, " of ", b->ctx.facts->owner, 0);
    if (is_open(b)) {
        fl_buf_puts(&lines, lines.n ? "; " : "");
        fl_buf_puts(&lines, callers[b->ctx.facts->caller]);
        if (!b->ctx.facts->stopped_utc_ms) { /* else the status says that it stands still */
            fl_buf_puts(&lines, "; expires ");
            put_time(b, &lines, b->ctx.facts->expires_utc_ms);
        }
    }
    if (b->ctx.facts->is_not_isolated)
        fl_buf_puts(&lines, "\nnot isolated from the agent: this approval is advisory");
    add(b, FL_CARD_WHO, "Who", &lines);
}

/* Of what waits or is approved. */
static void put_stopped(struct fl_card_build *b, struct fl_buf *out)
{
    const struct fl_card_facts *f = b->ctx.facts;
    fl_buf_puts(out, "; stopped since ");
    put_time(b, out, f->stopped_utc_ms);
    fl_buf_puts(out, ", its time stands still; ");
    if (f->state != FL_APPROVAL_PENDING && f->undo_ms > 0) {
        fl_buf_printf(out,
                      "can be taken back until %lld s after the stop is lifted, then it "
                      "runs",
                      (long long)(f->undo_ms + 999) / 1000);
        return;
    }
    fl_buf_puts(out, f->state == FL_APPROVAL_PENDING ? "when approved it runs " : "runs ");
    fl_buf_puts(out, f->caller == FL_CALLER_GONE
                         ? "once the stop is lifted and the agent collects it"
                         : "after the stop is lifted");
}

/* What happens next, or what happened. */
static void put_next(struct fl_card_build *b, struct fl_buf *out)
{
    const struct fl_card_facts *f = b->ctx.facts;
    fl_buf_puts(out, fl_state_word(f->state));
    if (f->state != FL_APPROVAL_PENDING && f->state != FL_APPROVAL_APPROVED &&
        f->state != FL_APPROVAL_CLAIMED && f->changed_utc_ms) {
        fl_buf_puts(out, f->state == FL_APPROVAL_DISPATCHED ? " since " : ", at ");
        put_time(b, out, f->changed_utc_ms);
    }
    if (f->next.n && b->fit != FL_CARD_FIT_LEAST) {
        put_named(b, out, "; ", f->next, 0);
        return;
    }
    if (is_open(b) && f->stopped_utc_ms) {
        put_stopped(b, out);
        return;
    }
    switch (f->state) {
    case FL_APPROVAL_PENDING:
        fl_buf_puts(out, f->caller == FL_CALLER_GONE
                             ? "; when approved it runs once the agent collects it, until "
                             : "; when approved it runs at once; without a decision it ends at ");
        put_time(b, out, f->expires_utc_ms);
        break;
    case FL_APPROVAL_APPROVED:
    case FL_APPROVAL_CLAIMED:
        if (f->undo_ms > 0) {
            fl_buf_printf(out, "; can be taken back for %lld s, then it runs",
                          (long long)(f->undo_ms + 999) / 1000);
        } else if (f->caller != FL_CALLER_GONE) {
            fl_buf_puts(out, "; runs now");
        } else {
            fl_buf_puts(out, "; runs when the agent collects it, until ");
            put_time(b, out, f->expires_utc_ms);
        }
        break;
    case FL_APPROVAL_REJECTED:
    case FL_APPROVAL_EXPIRED:
    case FL_APPROVAL_CANCELLED: fl_buf_puts(out, "; it did not run"); break;
    case FL_APPROVAL_VOIDED:
        fl_buf_puts(out, "; a check failed before it was sent, so it did not run");
        break;
    case FL_APPROVAL_UNKNOWN: fl_buf_puts(out, "; a person has to settle it"); break;
    default: break;
    }
}

/* Text that no decision rests on: its first characters, and how many more there are. */
static void put_capped(struct fl_card_build *b, struct fl_buf *out, struct fl_card_shown *shown,
                       size_t chars)
{
    size_t pos = 0, count = 0;
    while (count < chars && fl_utf8_next(shown->text, &pos) != -1)
        count++;
    shown->cut = pos;
    fl_card_show(&b->ctx, out, shown);
    size_t more = 0;
    for (pos = shown->end; fl_utf8_next(shown->text, &pos) != -1;)
        more++;
    fl_card_notes(out, shown->has_lines ? "\n! " : " ", &shown->notes);
    if (more)
        fl_buf_printf(out, "%s(%zu more character%s not shown)", shown->has_lines ? "\n" : " ",
                      more, more == 1 ? "" : "s");
}

void fl_card_put_why_not(const struct fl_card_build *b, struct fl_buf *out)
{
    const struct fl_card_facts *f = b->ctx.facts;
    bool has_preview = f->preview.n > 0;
    if (f->disclose == FL_DISCLOSE_SUMMARY)
        fl_buf_puts(out, "the arguments are not shown in this channel");
    else if (b->unreadable)
        fl_buf_puts(out, b->unreadable);
    else if (b->ctx.has_too_many && has_preview)
        fl_buf_puts(out, "there are too many secrets to look for them in the preview");
    else if (b->fit == FL_CARD_FIT_NO_PREVIEW)
        fl_buf_printf(out, "the preview (%zu bytes) does not fit here", f->preview.n);
    else if (b->fit == FL_CARD_FIT_NO_ARGS || (b->fit == FL_CARD_FIT_NEITHER && !has_preview))
        fl_buf_printf(out, "the arguments (%zu bytes) do not fit here", f->arguments.n);
    else if (b->fit == FL_CARD_FIT_NEITHER)
        fl_buf_printf(out, "the arguments (%zu bytes) and the preview (%zu bytes) do not fit here",
                      f->arguments.n, f->preview.n);
    else if (b->fit == FL_CARD_FIT_LEAST)
        fl_buf_puts(out, "most of it does not fit here");
}

static void add_status(struct fl_card_build *b)
{
    struct fl_buf lines = start(b), why = FL_BUF_INIT;
    put_next(b, &lines);
    if (b->ctx.facts->outcome.n && shows_others(b) && b->fit != FL_CARD_FIT_LEAST) {
        struct fl_card_shown shown = { .text = b->ctx.facts->outcome,
                                       .flags = FL_SHOW_COMPOSED,
                                       .has_needles = true };
        fl_buf_puts(&lines, "\nreason: ");
        put_capped(b, &lines, &shown, OUTCOME_CHARS);
    }
    fl_card_put_why_not(b, &why);
    if (why.n && b->ctx.facts->state == FL_APPROVAL_PENDING)
        fl_buf_printf(&lines, "\ncannot be approved from here: %s; it can be rejected", why.p);
    else if (why.n)
        fl_buf_printf(&lines, "\nnot everything is shown: %s", why.p);
    b->has_no_memory |= why.is_failed;
    fl_buf_fini(&why);
    add(b, FL_CARD_STATUS, "Status", &lines);
}

static void add_args(struct fl_card_build *b)
{
    struct fl_buf lines = start(b);
    enum fl_code code = FL_OK;
    if (b->ctx.facts->disclose == FL_DISCLOSE_SUMMARY)
        fl_buf_puts(&lines, "(not shown in this channel)");
    else if (b->unreadable)
        fl_buf_printf(&lines, "(%zu bytes, not shown: %s)", b->ctx.facts->arguments.n,
                      b->unreadable);
    else if (shows_args(b))
        code = fl_card_args(&b->ctx, &lines, NULL);
    else
        code = fl_card_args_summary(&b->ctx, &lines, NULL);
    b->has_no_memory |= code != FL_OK;
    add(b, FL_CARD_ARGS, "Arguments", &lines);
}

/* "| " before each line of the text. */
static void put_margin(struct fl_buf *out, struct fl_str text)
{
    fl_buf_puts(out, text.n && text.p[0] == '\n' ? "|" : "| ");
}

static void add_preview(struct fl_card_build *b)
{
    const struct fl_card_facts *f = b->ctx.facts;
    struct fl_buf lines = start(b), label = FL_BUF_INIT;
    if (f->preview.n == 0 && f->precondition.n == 0)
        return;
    fl_buf_puts(&label, "Preview");
    if (put_named(b, &label, " (", f->preview_kind, FL_SHOW_ASCII))
        fl_buf_putc(&label, ')');
    if (f->preview_utc_ms) {
        fl_buf_puts(&label, ", as of ");
        put_time(b, &label, f->preview_utc_ms);
    }
    if (f->disclose == FL_DISCLOSE_SUMMARY) {
        fl_buf_puts(&lines, "(not shown in this channel)");
    } else if (f->preview.n && !shows_preview(b)) {
        fl_buf_printf(&lines, "(%zu bytes, not shown here)", f->preview.n);
    } else if (f->preview.n) {
        struct fl_card_shown shown = {
            .text = f->preview, .has_needles = true, .has_lines = true, .cut = f->preview.n
        };
        put_margin(&lines, f->preview);
        fl_card_show(&b->ctx, &lines, &shown);
        fl_card_notes(&lines, "\n! ", &shown.notes);
    }
    if (f->precondition.n && f->disclose == FL_DISCLOSE_FULL) {
        next_line(&lines);
        put_named(b, &lines, "runs only if unchanged: ", f->precondition, 0);
    }
    b->has_no_memory |= label.is_failed;
    add(b, FL_CARD_PREVIEW, fl_arena_strdup(b->ctx.arena, label.p ? label.p : ""), &lines);
    fl_buf_fini(&label);
}

/* "bob for ann, away until 17:00 UTC" */
static void put_away(struct fl_card_build *b, struct fl_buf *lines)
{
    const struct fl_card_facts *f = b->ctx.facts;
    for (size_t i = 0; i < f->away_count && i < AWAY_MOST; i++) {
        next_line(lines);
        put_named(b, lines, "", f->away[i].delegate, 0);
        put_named(b, lines, " for ", f->away[i].who, 0);
        fl_buf_puts(lines, ", away until ");
        put_time(b, lines, f->away[i].until_utc_ms);
    }
    if (f->away_count > AWAY_MOST) {
        next_line(lines);
        fl_buf_printf(lines, "(and for %zu more)", f->away_count - AWAY_MOST);
    }
}

static void add_rule(struct fl_card_build *b)
{
    const struct fl_card_facts *f = b->ctx.facts;
    struct fl_buf lines = start(b);
    if (put_named(b, &lines, "", f->rule, 0))
        put_named(b, &lines, ": ", f->rule_reason, 0);
    if (f->risk.n) {
        next_line(&lines);
        put_named(b, &lines, "risk: ", f->risk, 0);
    }
    if (f->progress.n) {
        next_line(&lines);
        put_named(b, &lines, "", f->progress, 0);
    }
    put_away(b, &lines);
    if (f->asked_count > 1) {
        next_line(&lines);
        fl_buf_printf(&lines, "asked %s%u times",
                      f->asked_count >= FL_CARD_ASKED_MOST ? "at least " : "", f->asked_count);
        put_named(b, &lines, ": ", f->asked_again, 0);
    }
    if (f->why_asked.n) {
        next_line(&lines);
        put_named(b, &lines, "asked again: ", f->why_asked, 0);
    }
    add(b, FL_CARD_RULE, "Rule", &lines);
}

static void add_votes(struct fl_card_build *b)
{
    struct fl_buf lines = start(b);
    for (size_t i = 0; i < b->ctx.facts->vote_count; i++) {
        const struct fl_card_vote *v = &b->ctx.facts->votes[i];
        next_line(&lines);
        fl_buf_puts(&lines, v->is_approve ? "approved by " : "rejected by ");
        fl_card_name(&b->ctx, &lines, v->who, 0);
        fl_buf_puts(&lines, " at ");
        put_time(b, &lines, v->at_utc_ms);
        put_named(b, &lines, " via ", v->via, 0);
        put_named(b, &lines, ": ", v->reason, 0);
    }
    add(b, FL_CARD_VOTES, "Votes", &lines);
}

static void add_id(struct fl_card_build *b)
{
    struct fl_buf lines = start(b);
    struct fl_str id = b->ctx.facts->id;
    if (b->fit == FL_CARD_FIT_LEAST)
        id.n = fl_utf8_cut(id, ID_BYTES);
    fl_card_name(&b->ctx, &lines, id, FL_SHOW_ASCII);
    add(b, FL_CARD_ID, "Approval", &lines);
}

void fl_card_add_blocks(struct fl_card_build *b)
{
    b->count = 0;
    b->is_over = false;
    add_title(b);
    if (b->fit == FL_CARD_FIT_LEAST) {
        add_status(b);
        add_id(b);
        return;
    }
    add_where(b);
    add_who(b);
    add_status(b);
    add_args(b);
    add_preview(b);
    add_rule(b);
    add_votes(b);
    add_id(b);
}

void fl_card_add_words(struct fl_card_build *b, size_t chars)
{
    struct fl_str words = b->ctx.facts->justification;
    struct fl_buf lines = start(b);
    struct fl_card_shown shown = { .text = words, .has_needles = true, .has_lines = true };
    if (words.n == 0)
        return;
    if (shows_others(b)) {
        put_margin(&lines, words);
        put_capped(b, &lines, &shown, chars);
    } else {
        fl_buf_puts(&lines, "(not shown in this channel)");
    }
    add(b, FL_CARD_AGENT, "The agent says (unverified)", &lines);
}
