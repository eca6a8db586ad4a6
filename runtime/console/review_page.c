/* The HTML of the review page. Whatever others wrote is escaped on its way in (fl_html_text), the
 * policy of the answer allows this style sheet alone, and nothing on the page needs a script. */
#include "runtime/console/review_priv.h"
#include "runtime/notify/card_html.h"
#include "runtime/notify/show.h"

const char fl_review_style[] =
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:12px;max-width:720px;font:16px/1.45 system-ui,sans-serif;"
    "color:#1c1e21;background:#fff}"
    "h1{font-size:20px;margin:0 0 12px}"
    "h2{font-size:13px;font-weight:600;color:#5f6368;margin:14px 0 2px}"
    "section>div{white-space:pre-wrap;overflow-wrap:anywhere;padding-left:2em;text-indent:-2em}"
    "section>div.code{font:14px/1.45 ui-monospace,monospace;padding:8px 8px 8px 2.5em;"
    "background:#f1f3f4;border-radius:4px}"
    "section>div.text:first-child{padding:0;text-indent:0;font-size:20px;font-weight:600;"
    "line-height:1.3}"
    "form{margin:12px 0;padding:12px;border:1px solid #dadce0;border-radius:8px}"
    "label{display:block;margin:0 0 10px;font-size:14px}"
    "input,textarea,button,a.go{font:inherit;min-height:44px}"
    "input[type=password],input[type=text],textarea{display:block;width:100%;margin-top:4px;"
    "padding:8px;border:1px solid #80868b;border-radius:6px}"
    "input[type=checkbox]{min-height:0;width:20px;height:20px;vertical-align:middle}"
    "button,a.go{display:block;width:100%;padding:10px;border:0;border-radius:6px;color:#fff;"
    "background:#0b57d0;font-weight:600;text-align:center;text-decoration:none}"
    "button.no{background:#b3261e}"
    "button.back{background:#5f6368}"
    ".who{font-size:13px;color:#5f6368;margin:0 0 12px}"
    ".bad{padding:10px;border-radius:6px;background:#fce8e6;color:#8c1d18;margin:0 0 12px}"
    "nav{display:flex;gap:8px;align-items:center;margin:12px 0}"
    "nav span{flex:2;text-align:center;font-size:14px}"
    "nav a{flex:1}"
    "@media(prefers-color-scheme:dark){body{color:#e8eaed;background:#202124}"
    "h2,.who{color:#9aa0a6}section>div.code{background:#303134}form{border-color:#5f6368}"
    "input,textarea{color:inherit;background:#303134}"
    ".bad{background:#5c1a16;color:#fce8e6}}";

void fl_review_page_begin(struct fl_buf *out, const char *title)
{
    fl_buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
                     "name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta "
                     "name=\"robots\" content=\"noindex\">\n<title>");
    fl_html_text(out, fl_str_of(title));
    fl_buf_puts(out, "</title>\n<style>");
    fl_buf_puts(out, fl_review_style);
    fl_buf_puts(out, "</style></head>\n<body>\n");
}

void fl_review_page_end(struct fl_buf *out)
{
    fl_buf_puts(out, "</body></html>\n");
}

static void put_shown(struct fl_buf *out, struct fl_str text)
{
    struct fl_buf shown = FL_BUF_INIT;
    fl_show(&shown, text, FL_SHOW_COMPOSED, NULL);
    fl_html_text(out, fl_buf_view(&shown));
    out->is_failed |= shown.is_failed;
    fl_buf_fini(&shown);
}

static void put_hidden(struct fl_buf *out, const char *name, struct fl_str value)
{
    fl_buf_printf(out, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    fl_html_text(out, value);
    fl_buf_puts(out, "\">");
}

static void begin_form(struct fl_buf *out, const struct fl_review *r, bool with_card)
{
    const char *path = fl_review_path((struct fl_review *)r, with_card);
    fl_buf_puts(out, "<form method=\"post\" action=\"");
    fl_html_text(out, fl_str_of(path ? path : ""));
    fl_buf_puts(out, "\">");
}

static void end_form(struct fl_buf *out, const char *button, const char *class)
{
    fl_buf_printf(out, "<button%s>%s</button></form>\n", class, button);
}

/* ---------------------------------------------------------------- links */
static void put_again(struct fl_buf *out, const struct fl_review *r)
{
    begin_form(out, r, false);
    put_hidden(out, "t", r->token);
    put_hidden(out, "again", FL_STR("1"));
    end_form(out, "Mail me another link", "");
}

static void put_spent(struct fl_buf *out, const struct fl_review *r, struct fl_str purpose,
                      enum fl_review_link_state state)
{
    const char *path = fl_review_path((struct fl_review *)r, true);
    fl_buf_puts(out, state == FL_REVIEW_USED ? "<h1>This link was used</h1>\n<p>Each works once. "
                                             : "<h1>This link is too old</h1>\n<p>");
    if (!fl_str_is(purpose, "review")) {
        fl_buf_puts(out, "Ask for another.</p>\n");
        return;
    }
    fl_buf_puts(out, "Another can be mailed to the same address.</p>\n");
    if (state == FL_REVIEW_USED && path) {
        fl_buf_puts(out, "<p><a class=\"go\" href=\"");
        fl_html_text(out, fl_str_of(path));
        fl_buf_puts(out, "\">Go on where I signed in</a></p>\n");
    }
    put_again(out, r);
}

static void put_fresh(struct fl_buf *out, const struct fl_review *r, struct fl_str purpose)
{
    bool is_review = fl_str_is(purpose, "review");
    fl_buf_puts(out, is_review       ? "<h1>Read a call and decide</h1>\n<p>You sign in as "
                     : r->is_address ? "<h1>Link this address?</h1>\n<p>Calls that wait will be "
                                       "mailed to "
                                     : "<h1>A test</h1>\n<p>Press it, and the channel is known to "
                                       "work. It was mailed to ");
    put_shown(out, is_review ? r->person_name : r->place);
    if (r->is_address) {
        fl_buf_puts(out, ", and whoever reads them decides as ");
        put_shown(out, r->person_name);
    }
    fl_buf_puts(out, ", organization ");
    put_shown(out, r->organization);
    fl_buf_puts(out, is_review ? ", for this one call.</p>\n" : ".</p>\n");
    begin_form(out, r, false);
    put_hidden(out, "t", r->token);
    end_form(out, is_review ? "Sign in" : r->is_address ? "Link this address" : "It works", "");
}

void fl_review_link_page(struct fl_buf *out, const struct fl_review *r, struct fl_str purpose,
                         enum fl_review_link_state state)
{
    fl_review_page_begin(out, "Flopinio");
    if (state == FL_REVIEW_FRESH)
        put_fresh(out, r, purpose);
    else
        put_spent(out, r, purpose, state);
    fl_review_page_end(out);
}

/* ---------------------------------------------------------------- the card */
static void put_turn(struct fl_buf *out, size_t page, const char *text)
{
    fl_buf_printf(out, "<a class=\"go\" href=\"?page=%zu\">%s</a>", page, text);
}

static void put_pages(struct fl_buf *out, size_t page, size_t pages)
{
    if (pages < 2)
        return;
    fl_buf_puts(out, "<nav>");
    if (page > 0)
        put_turn(out, page, "Back");
    fl_buf_printf(out, "<span>page %zu of %zu</span>", page + 1, pages);
    if (page + 1 < pages)
        put_turn(out, page + 2, "Next");
    fl_buf_puts(out, "</nav>\n");
}

static void put_proof(struct fl_buf *out)
{
    fl_buf_puts(out, "<label>Your passphrase<input type=\"password\" name=\"passphrase\" "
                     "autocomplete=\"current-password\" required></label>"
                     "<label>Code of your authenticator, if you have one<input type=\"text\" "
                     "name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" "
                     "maxlength=\"8\"></label>");
}

static void begin_verdict(struct fl_buf *out, const struct fl_review *r, const char *verdict)
{
    char hex[2 * FL_DIGEST_BYTES + 1];
    struct fl_str binding = r->look.row.binding_digest;
    begin_form(out, r, true);
    put_hidden(out, "verdict", fl_str_of(verdict));
    put_hidden(out, "binding", fl_str_of(fl_hex(binding.p, binding.n, hex)));
}

static void put_approve(struct fl_buf *out, const struct fl_review *r)
{
    begin_verdict(out, r, "approve");
    if (r->view.ask && r->view.ask->needs_second_factor) {
        fl_buf_puts(out, "<p>This takes a second factor.</p>");
        put_proof(out);
    }
    if (r->view.ask && r->view.ask->needs_typed) {
        char words[FL_DECIDE_WORDS];
        fl_decide_words(r->look.row.tool, words);
        fl_buf_puts(out, "<label>To approve it, type: ");
        put_shown(out, fl_str_of(words));
        fl_buf_puts(out, "<input type=\"text\" name=\"typed\" maxlength=\"200\" required></label>");
    }
    end_form(out, "Approve", "");
}

static void put_reject(struct fl_buf *out, const struct fl_review *r)
{
    begin_verdict(out, r, "reject");
    fl_buf_puts(out, "<label>Why? The agent reads it.<textarea name=\"reason\" rows=\"3\" "
                     "maxlength=\"2000\"></textarea></label><label><input type=\"checkbox\" "
                     "name=\"may_ask_again\" value=\"1\"> It may ask again</label>");
    end_form(out, "Reject", " class=\"no\"");
}

static void put_forms(struct fl_buf *out, const struct fl_review *r,
                      const struct fl_review_rights *rights)
{
    bool is_hidden = r->is_summary && !r->is_proved;
    if (r->shown.can_reject && !rights->may_vote) {
        fl_buf_puts(out, "<p>You cannot decide it: ");
        put_shown(out, fl_str_of(rights->why_not ? rights->why_not : ""));
        fl_buf_puts(out, "</p>\n");
    }
    if (is_hidden) {
        begin_verdict(out, r, "open");
        fl_buf_puts(out, "<p>What it is about may not be shown by a mailed link alone.</p>");
        put_proof(out);
        end_form(out, "Show all of it", " class=\"back\"");
    }
    if (rights->may_vote && r->shown.can_approve && r->is_read)
        put_approve(out, r);
    else if (rights->may_vote && r->shown.can_approve)
        fl_buf_puts(out, "<p>Approve stands on the last page.</p>\n");
    if (rights->may_vote && r->shown.can_reject)
        put_reject(out, r);
    if (rights->may_withdraw) {
        begin_verdict(out, r, "withdraw");
        end_form(out, "Take my vote back", " class=\"back\"");
    }
}

void fl_review_card_page(struct fl_buf *out, const struct fl_review *r, size_t pages,
                         struct fl_str card_html, const struct fl_review_rights *rights)
{
    fl_review_page_begin(out, "Flopinio");
    if (r->banner[0]) {
        fl_buf_puts(out, "<p class=\"bad\" role=\"alert\">");
        put_shown(out, fl_str_of(r->banner));
        fl_buf_puts(out, "</p>\n");
    }
    fl_buf_puts(out, "<p class=\"who\">Signed in as ");
    put_shown(out, r->person_name);
    fl_buf_puts(out, ", for this one call of ");
    put_shown(out, r->organization);
    fl_buf_puts(out, "</p>\n<section>");
    fl_buf_str(out, card_html);
    fl_buf_puts(out, "</section>\n");
    put_pages(out, (size_t)r->page, pages);
    put_forms(out, r, rights);
    fl_review_page_end(out);
}
