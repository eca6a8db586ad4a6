/* The request head: one pass over the bytes, then the questions that need the whole head (Host,
 * length of the body, method, target, expectation). */
#include "runtime/io/http_head.h"

enum {
    S_START,    /* before the request line; one CRLF is skipped (RFC 9112 2.2) */
    S_START_CR, /* at the CR of that */
    S_START_LF,
    S_METHOD_1,
    S_METHOD,
    S_TARGET_1,
    S_TARGET,
    S_QUERY,
    S_VERSION, /* + index into the pattern */
    S_VERSION_END = S_VERSION + 8,
    S_LINE_LF,
    S_FIELD, /* at the begin of a line */
    S_NAME,
    S_BLANKS,
    S_VALUE,
    S_VALUE_LF,
    S_END_LF,
    S_DONE
};

enum { METHOD_MAX = 32 };

/* What each byte may stand in, added up. */
enum {
    TCHAR = 1,  /* a token: RFC 9110 5.6.2 */
    FIELD = 2,  /* a field value: HTAB, SP, VCHAR, obs-text */
    TARGET = 4, /* a target: RFC 3986 without '#' */
    QUERY = 8   /* a query: as TARGET, and "|^`{}", which browsers leave as they are */
};
/* clang-format off */
static const uint8_t ascii[128] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     2, 15,  2,  3, 15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15, 14,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 14,  2, 14,  2, 14,
    14, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14,  2, 14, 11, 15,
    11, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 11, 10, 15,  0,
};
/* clang-format on */

static uint8_t bits_of(char c)
{
    return (unsigned char)c < 128 ? ascii[(unsigned char)c] : FIELD;
}

bool fl_http_is_tchar(char c)
{
    return bits_of(c) & TCHAR;
}

bool fl_http_is_field_char(char c)
{
    return bits_of(c) & FIELD;
}

void fl_http_head_init(struct fl_http_head *head, uint32_t max_bytes, uint32_t max_fields,
                       uint32_t max_target)
{
    /* The fields are filled before they are counted; clearing them would cost more than reading. */
    memset(head, 0, offsetof(struct fl_http_head, field));
    memset(&head->body, 0, sizeof *head - offsetof(struct fl_http_head, body));
    head->max_bytes = max_bytes > UINT16_MAX ? UINT16_MAX : (uint16_t)max_bytes;
    head->max_fields = max_fields > FL_HTTP_FIELDS_MAX ? FL_HTTP_FIELDS_MAX : (uint16_t)max_fields;
    head->max_target = max_target > UINT16_MAX ? UINT16_MAX : (uint16_t)max_target;
    head->state = S_START;
}

bool fl_http_head_is_empty(const struct fl_http_head *head)
{
    return head->state <= S_METHOD_1;
}

static enum fl_http_verdict bad(struct fl_http_head *head, int status, const char *error)
{
    head->status = status;
    head->error = error;
    return FL_HTTP_BAD;
}

static struct fl_str span(const char *p, struct fl_http_place place)
{
    return (struct fl_str){ p + place.at, place.n };
}

bool fl_http_list_has(struct fl_str list, const char *token)
{
    struct fl_str want = fl_str_of(token);
    size_t from = 0;
    for (size_t i = 0; i <= list.n; i++) {
        if (i < list.n && list.p[i] != ',')
            continue;
        if (fl_str_eq_nocase(fl_str_trim((struct fl_str){ list.p + from, i - from }), want))
            return true;
        from = i + 1;
    }
    return false;
}

static bool is_named(const char *p, const struct fl_http_head *head, unsigned i, const char *name)
{
    return fl_str_eq_nocase(span(p, head->field[i].name), fl_str_of(name));
}

/* RFC 9112 6.1 and 6.3: chunked must be the last coding, once; others we do not know. */
static enum fl_http_verdict judge_coding(struct fl_http_head *head, struct fl_str value)
{
    if (fl_str_eq_nocase(value, FL_STR("chunked")))
        return FL_HTTP_MORE;
    size_t comma = value.n;
    while (comma && value.p[comma - 1] != ',')
        comma--;
    struct fl_str last = fl_str_trim((struct fl_str){ value.p + comma, value.n - comma });
    struct fl_str before = { value.p, comma ? comma - 1 : 0 };
    if (!fl_str_eq_nocase(last, FL_STR("chunked")) || fl_http_list_has(before, "chunked") ||
        fl_str_trim(before).n == 0)
        return bad(head, 400, "the transfer coding does not end in one \"chunked\"");
    return bad(head, 501, "no transfer coding but \"chunked\" is known");
}

static enum fl_http_verdict judge_length(struct fl_http_head *head, struct fl_str value)
{
    unsigned long long length;
    if (!fl_str_to_u64(value, &length) || length > INT64_MAX)
        return bad(head, 400, "the content length is not a number");
    head->content_length = length;
    head->body = FL_HTTP_BODY_LENGTH;
    return FL_HTTP_MORE;
}

/* What the fields say about the connection and the length of the body. */
static enum fl_http_verdict judge_fields(struct fl_http_head *head, const char *p)
{
    unsigned hosts = 0, lengths = 0, codings = 0;
    bool closes = false;
    struct fl_str coding = { 0 };
    for (unsigned i = 0; i < head->field_count; i++) {
        struct fl_str value = span(p, head->field[i].value);
        switch (head->field[i].name.n) {
        case 4:
            if (is_named(p, head, i, "Host") && hosts++ == 0)
                head->host = head->field[i].value;
            break;
        case 6:
            if (is_named(p, head, i, "Expect")) {
                if (!fl_str_eq_nocase(value, FL_STR("100-continue")) || head->expects_continue)
                    return bad(head, 417, "only the expectation \"100-continue\" can be met");
                head->expects_continue = true;
            }
            break;
        case 10:
            if (is_named(p, head, i, "Connection") && fl_http_list_has(value, "close"))
                closes = true;
            break;
        case 14:
            if (is_named(p, head, i, "Content-Length")) {
                if (lengths++)
                    return bad(head, 400, "there is more than one content length");
                if (judge_length(head, value) == FL_HTTP_BAD)
                    return FL_HTTP_BAD;
            }
            break;
        case 17:
            if (is_named(p, head, i, "Transfer-Encoding")) {
                codings++;
                coding = value;
            }
            break;
        default: break;
        }
    }
    if (hosts > 1 || (hosts == 0 && !head->is_http10))
        return bad(head, 400, "there must be exactly one host");
    if (hosts && !fl_http_host_is_valid(span(p, head->host)))
        return bad(head, 400, "the host is not valid");
    if (codings > 1)
        return bad(head, 400, "there is more than one transfer coding line");
    if (codings && head->is_http10)
        return bad(head, 400, "http/1.0 has no transfer codings");
    if (codings && lengths)
        return bad(head, 400, "both a content length and a transfer coding are given");
    if (codings && judge_coding(head, coding) == FL_HTTP_BAD)
        return FL_HTTP_BAD;
    if (codings)
        head->body = FL_HTTP_BODY_CHUNKED;
    head->keeps_alive = !head->is_http10 && !closes;
    if (head->is_http10)
        head->expects_continue = false; /* RFC 9110 10.1.1 */
    return FL_HTTP_MORE;
}

const char *fl_http_method_name(enum fl_http_method method)
{
    static const char *const names[] = {
        [FL_HTTP_GET] = "GET",         [FL_HTTP_HEAD] = "HEAD",   [FL_HTTP_POST] = "POST",
        [FL_HTTP_PUT] = "PUT",         [FL_HTTP_PATCH] = "PATCH", [FL_HTTP_DELETE] = "DELETE",
        [FL_HTTP_OPTIONS] = "OPTIONS",
    };
    return names[method];
}

static enum fl_http_verdict judge_method(struct fl_http_head *head, struct fl_str word)
{
    for (int m = FL_HTTP_GET; m <= FL_HTTP_OPTIONS; m++) {
        if (fl_str_is(word, fl_http_method_name((enum fl_http_method)m))) {
            head->method = (enum fl_http_method)m;
            return FL_HTTP_MORE;
        }
    }
    if (fl_str_is(word, "TRACE"))
        return bad(head, 405, "trace is not allowed");
    return bad(head, 501, "the method is not known");
}

static enum fl_http_verdict judge(struct fl_http_head *head, const char *p)
{
    if (judge_fields(head, p) == FL_HTTP_BAD ||
        judge_method(head, span(p, head->word)) == FL_HTTP_BAD)
        return FL_HTTP_BAD;
    const char *error;
    int status = fl_http_target_split(head, p, &error);
    if (status)
        return bad(head, status, error);
    /* Without a length an HTTP/1.0 client could only end the body by closing, and then it could
     * not be answered. (HTTP/1.1 says: no length, no body; RFC 9112 6.3.) */
    if (head->is_http10 && head->body == FL_HTTP_BODY_NONE &&
        (head->method == FL_HTTP_POST || head->method == FL_HTTP_PUT ||
         head->method == FL_HTTP_PATCH))
        return bad(head, 411, "a content length is required");
    return FL_HTTP_DONE;
}

/* One byte of "HTTP/d.d" or the CR behind it. */
static enum fl_http_verdict version_byte(struct fl_http_head *head, const char *p, char c)
{
    static const char pattern[] = "HTTP/1.1";
    int i = head->state - S_VERSION;
    if (head->state == S_VERSION_END) {
        if (c != '\r')
            return bad(head, 400, "the request line does not end behind the version");
        char major = p[head->at - 3], minor = p[head->at - 1];
        if (major != '1' || minor > '1')
            return bad(head, 505, "only http/1.1 and http/1.0 are spoken here");
        head->is_http10 = minor == '0';
    } else if (i == 5 || i == 7 ? c < '0' || c > '9' : c != pattern[i]) {
        return bad(head, 400, "the version is not valid");
    }
    head->state++;
    return FL_HTTP_MORE;
}

static struct fl_http_place place(size_t from, size_t to)
{
    return (struct fl_http_place){ (uint16_t)from, (uint16_t)(to - from) };
}

static enum fl_http_verdict request_line_byte(struct fl_http_head *head, const char *p,
                                              uint8_t bits)
{
    size_t at = head->at;
    char c = p[at];
    if (head->state == S_START)
        head->state = c == '\r' ? S_START_CR : S_METHOD_1;
    switch (head->state) {
    case S_START_CR: head->state = S_START_LF; return FL_HTTP_MORE;
    case S_METHOD_1:
        if (!(bits & TCHAR))
            return bad(head, 400, "the method is not a token");
        head->word.at = (uint16_t)at;
        head->state = S_METHOD;
        return FL_HTTP_MORE;
    case S_START_LF:
        if (c != '\n')
            return bad(head, 400, "a line must end in CR LF");
        head->state = S_METHOD_1;
        return FL_HTTP_MORE;
    case S_METHOD:
        if (c == ' ') {
            head->word = place(head->word.at, at);
            head->state = S_TARGET_1;
        } else if (!(bits & TCHAR)) {
            return bad(head, 400, "the method is not a token");
        } else if (at - head->word.at >= METHOD_MAX) {
            return bad(head, 501, "the method is not known");
        }
        return FL_HTTP_MORE;
    case S_TARGET_1:
        if (!(bits & TARGET))
            return bad(head, 400, "the target is not valid");
        head->target.at = (uint16_t)at;
        head->state = c == '?' ? S_QUERY : S_TARGET;
        return FL_HTTP_MORE;
    case S_TARGET:
    case S_QUERY:
        if (c == ' ') {
            head->target = place(head->target.at, at);
            head->state = S_VERSION;
        } else if (!(bits & (head->state == S_QUERY ? QUERY : TARGET))) {
            return bad(head, 400, "the target is not valid");
        } else if (at - head->target.at >= head->max_target) {
            return bad(head, 414, "the target is too long");
        } else if (c == '?') {
            head->state = S_QUERY;
        }
        return FL_HTTP_MORE;
    case S_LINE_LF:
        if (c != '\n')
            return bad(head, 400, "a line must end in CR LF");
        head->state = S_FIELD;
        return FL_HTTP_MORE;
    default: return version_byte(head, p, c);
    }
}

static enum fl_http_verdict field_byte(struct fl_http_head *head, const char *p, uint8_t bits)
{
    size_t at = head->at;
    char c = p[at];
    if (head->state == S_BLANKS && c != ' ' && c != '\t') {
        head->field[head->field_count].value.at = (uint16_t)at;
        head->value_end = at;
        head->state = S_VALUE;
    }
    switch (head->state) {
    case S_FIELD:
        if (c == '\r') {
            head->state = S_END_LF;
            return FL_HTTP_MORE;
        }
        if (c == ' ' || c == '\t')
            return bad(head, 400, "a header line must not be folded");
        if (!(bits & TCHAR))
            return bad(head, 400, "a header name is not a token");
        if (head->field_count >= head->max_fields)
            return bad(head, 431, "there are too many headers");
        head->field[head->field_count].name.at = (uint16_t)at;
        head->state = S_NAME;
        return FL_HTTP_MORE;
    case S_NAME:
        if (c == ':') {
            size_t from = head->field[head->field_count].name.at;
            head->field[head->field_count].name = place(from, at);
            head->state = S_BLANKS;
        } else if (!(bits & TCHAR)) {
            return bad(head, 400, "a header name is not a token");
        }
        return FL_HTTP_MORE;
    case S_BLANKS: return FL_HTTP_MORE;
    case S_VALUE:
        if (c == '\r') {
            size_t from = head->field[head->field_count].value.at;
            head->field[head->field_count].value = place(from, head->value_end);
            head->state = S_VALUE_LF;
        } else if (!(bits & FIELD)) {
            return bad(head, 400, "a header value has a control character");
        } else if (c != ' ' && c != '\t') {
            head->value_end = at + 1;
        }
        return FL_HTTP_MORE;
    case S_VALUE_LF:
        if (c != '\n')
            return bad(head, 400, "a line must end in CR LF");
        head->field_count++;
        head->state = S_FIELD;
        return FL_HTTP_MORE;
    default: /* S_END_LF */
        if (c != '\n')
            return bad(head, 400, "a line must end in CR LF");
        head->state = S_DONE;
        return FL_HTTP_MORE;
    }
}

/* Jumps over bytes that cannot change the state. */
static void skip_run(struct fl_http_head *head, const char *p, size_t end)
{
    size_t at = head->at;
    if (head->state == S_NAME) {
        while (at < end && (bits_of(p[at]) & TCHAR))
            at++;
    } else if (head->state == S_VALUE) {
        while (at < end && (bits_of(p[at]) & FIELD))
            at++;
        size_t tail = at;
        while (tail > head->value_end && (p[tail - 1] == ' ' || p[tail - 1] == '\t'))
            tail--;
        head->value_end = tail;
    }
    head->at = at;
}

enum fl_http_verdict fl_http_head_read(struct fl_http_head *head, const char *p, size_t n)
{
    size_t end = n < head->max_bytes ? n : head->max_bytes;
    FL_ASSERT(head->state != S_DONE && !head->status && head->at <= end);
    while (head->at < end) {
        uint8_t b = bits_of(p[head->at]);
        enum fl_http_verdict verdict =
            head->state < S_FIELD ? request_line_byte(head, p, b) : field_byte(head, p, b);
        if (verdict == FL_HTTP_BAD)
            return FL_HTTP_BAD;
        head->at++;
        if (head->state == S_DONE) {
            head->bytes = head->at;
            return judge(head, p);
        }
        skip_run(head, p, end);
    }
    if (head->at >= head->max_bytes)
        return bad(head, 431, "the request head is too large");
    return FL_HTTP_MORE;
}
