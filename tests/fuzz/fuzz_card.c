/* The card: whatever the agent writes, nothing acts on a terminal, no line is forged, the arguments
 * can be had back from a whole card byte for byte, and the agent's own words change nothing above
 * them. A byte of flags, then texts between NUL bytes: arguments, justification, sentence, preview,
 * outcome, reason. */
#include "fuzz_check.h"

#include "../unit/card_fixture.h"
#include "../unit/card_inverse.h"
#include "flopinio/base/jcs.h"
#include "flopinio/base/scan.h"

static struct fl_str next_text(struct fl_str *rest)
{
    const char *end = rest->n ? memchr(rest->p, 0, rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    struct fl_str text = { rest->p, n };
    n += end != NULL;
    *rest = (struct fl_str){ rest->p + n, rest->n - n };
    return text;
}

/* No byte of any line acts: printable, valid UTF-8, and without what is invisible or turns round.
 */
static void check_line(struct fl_str line)
{
    CHECK(fl_utf8_is_valid(line));
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        CHECK(c >= 0x20 && c != 0x7f && !(c == 0xc2 && (unsigned char)line.p[i + 1] < 0xa0));
        CHECK(!(c == 0xe2 && i + 2 < line.n && (unsigned char)line.p[i + 1] == 0x80 &&
                (unsigned char)line.p[i + 2] >= 0xa8 && (unsigned char)line.p[i + 2] <= 0xae));
    }
}

static void check_card(const struct made *m)
{
    int last = -1;
    for (size_t i = 0; i < m->card.block_count; i++) {
        const struct fl_card_block *b = &m->card.blocks[i];
        CHECK((int)b->kind > last);
        last = (int)b->kind;
        for (size_t k = 0; k < b->line_count; k++)
            check_line(b->lines[k]);
    }
    check_line(m->card.push);
    for (size_t i = 0; i < m->text.n; i++)
        CHECK(m->text.p[i] == '\n' || (unsigned char)m->text.p[i] >= 0x20);
}

/* Two cards with other words of the agent are the same up to their last block. */
static void check_words(const struct made *a, const struct made *b)
{
    CHECK(a->card.is_whole == b->card.is_whole && fl_str_eq(a->card.push, b->card.push));
    for (size_t i = 0; i < a->card.block_count && a->card.blocks[i].kind != FL_CARD_AGENT; i++) {
        CHECK(i < b->card.block_count &&
              a->card.blocks[i].line_count == b->card.blocks[i].line_count);
        for (size_t k = 0; k < a->card.blocks[i].line_count; k++)
            CHECK(fl_str_eq(a->card.blocks[i].lines[k], b->card.blocks[i].lines[k]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct fl_str secret[] = { FL_STR("/token"), FL_STR("/items/*/key") };
    struct fl_err err;
    struct fl_buf arguments = FL_BUF_INIT, back = FL_BUF_INIT, screen = FL_BUF_INIT;
    struct fl_card_facts f = refund();
    if (n == 0)
        return 0;
    struct fl_str all = fuzz_copy(data + 1, n - 1), rest = all;
    struct fl_str first = next_text(&rest);
    if (fl_scan(first, &fl_scan_call, NULL, 0, NULL, &err) == FL_OK &&
        fl_jcs(first, &arguments, &err) == FL_OK)
        f.arguments = fl_buf_view(&arguments);
    f.justification = next_text(&rest);
    if (rest.n)
        f.sentence = next_text(&rest);
    f.preview = next_text(&rest);
    f.preview_kind = f.preview.n ? FL_STR("diff") : (struct fl_str){ 0 };
    f.outcome = next_text(&rest);
    f.rule_reason = next_text(&rest);
    f.agent = next_text(&rest);
    f.disclose = data[0] & 1 ? FL_DISCLOSE_SUMMARY : FL_DISCLOSE_FULL;
    f.state = data[0] & 2 ? FL_APPROVAL_UNKNOWN : FL_APPROVAL_PENDING;
    if (data[0] & 4) {
        f.secrets = secret;
        f.secret_count = 2;
    }
    size_t max = data[0] & 8 ? FL_CARD_MIN_BYTES + data[0] * 4u : 0;
    struct made m = make(&f, max);
    check_card(&m);
    if (m.card.is_whole && f.disclose == FL_DISCLOSE_FULL &&
        !memmem(m.text.p, m.text.n, "(secret", 7)) {
        CHECK_MSG(inverse_card(&m.card, &back), "%s", m.text.p);
        CHECK_MSG(fl_str_eq(fl_buf_view(&back), f.arguments), "%s\n%s", back.p, m.text.p);
    }
    fl_card_terminal(&screen, &m.card, 40 + data[0] % 80, false);
    for (size_t i = 0; i < screen.n; i++)
        CHECK(screen.p[i] == '\n' || (unsigned char)screen.p[i] >= 0x20);
    f.justification = FL_STR("because");
    struct made other = make(&f, max);
    check_words(&m, &other);
    drop(&other);
    drop(&m);
    fl_buf_fini(&arguments);
    fl_buf_fini(&back);
    fl_buf_fini(&screen);
    free((char *)all.p);
    return 0;
}
