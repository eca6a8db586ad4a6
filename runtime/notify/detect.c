/* Known formats of secrets. */
#include "runtime/notify/detect.h"

#include "flopinio/base/buf.h"
#include "flopinio/base/id.h"
#include "runtime/crypto/token.h"

enum {
    AWS_SECRET_CHARS = 40,
    AWS_SECRET_REACH = 40, /* how far before it the word "secret" may stand */
    TELEGRAM_CHARS = 35,
    JWT_MIN = 30,
    JWT_MAX = 8192,
    PEM_MIN = 64,
    PEM_MAX = 16384,
    URL_PASSWORD_MAX = 100,
};

/* Alphabets of the formats. */
enum { DIGIT = 1, UPPER = 2, LOWER = 4, DASH = 8, LINE = 16, PLUS = 32, PAD = 64 };
#define ALNUM (DIGIT | UPPER | LOWER)
#define URL64 (ALNUM | DASH | LINE)
#define B64   (ALNUM | PLUS)

static bool is_of(char c, unsigned alphabet)
{
    return (alphabet & DIGIT && c >= '0' && c <= '9') ||
           (alphabet & UPPER && c >= 'A' && c <= 'Z') ||
           (alphabet & LOWER && c >= 'a' && c <= 'z') || (alphabet & DASH && c == '-') ||
           (alphabet & LINE && c == '_') || (alphabet & PLUS && (c == '+' || c == '/')) ||
           (alphabet & PAD && c == '=');
}

/* Length of the run at `from`; more than `most` is not counted, so that a hostile text costs no
 * more than its length. */
static size_t run_of(struct fl_str s, size_t from, unsigned alphabet, size_t most)
{
    size_t n = 0;
    while (from + n < s.n && n <= most && is_of(s.p[from + n], alphabet))
        n++;
    return n;
}

static bool stands_at(struct fl_str s, size_t at, const char *text)
{
    size_t n = strlen(text);
    return s.n - at >= n && memcmp(s.p + at, text, n) == 0;
}

static bool found(struct fl_detected *ret, size_t from, size_t n, const char *what)
{
    *ret = (struct fl_detected){ from, from + n, what };
    return true;
}

/* A prefix that says it all, then `least` to `most` characters of an alphabet and no more. */
static const struct {
    const char *prefix;
    unsigned alphabet;
    size_t least, most;
    const char *what;
} formats[] = { { "AKIA", UPPER | DIGIT, 16, 16, "AWS access key" },
                { "ASIA", UPPER | DIGIT, 16, 16, "AWS access key" },
                { "ghp_", ALNUM, 36, 251, "GitHub token" },
                { "gho_", ALNUM, 36, 251, "GitHub token" },
                { "ghu_", ALNUM, 36, 251, "GitHub token" },
                { "ghs_", ALNUM, 36, 251, "GitHub token" },
                { "ghr_", ALNUM, 36, 251, "GitHub token" },
                { "github_pat_", ALNUM | LINE, 22, 244, "GitHub token" },
                { "glpat-", URL64, 20, 250, "GitLab token" },
                { "xoxa-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxb-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxc-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxd-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxe-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxe.xoxb-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxe.xoxp-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxo-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxp-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxr-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xoxs-", ALNUM | DASH, 10, 250, "Slack token" },
                { "xapp-", ALNUM | DASH, 10, 250, "Slack token" },
                { "https://hooks.slack.com/services/", B64, 20, 120, "Slack webhook" },
                { "sk_live_", ALNUM, 16, 250, "Stripe key" },
                { "sk_test_", ALNUM, 16, 250, "Stripe key" },
                { "rk_live_", ALNUM, 16, 250, "Stripe key" },
                { "rk_test_", ALNUM, 16, 250, "Stripe key" },
                { "whsec_", B64 | PAD, 24, 120, "webhook secret" },
                { "AIza", URL64, 35, 35, "Google API key" },
                { "sk-", URL64, 20, 250, "API key" },
                { "npm_", ALNUM, 36, 36, "npm token" },
                { "pypi-AgEI", URL64, 50, 250, "PyPI token" },
/* Ours, mistyped or not. */
#define X(name, prefix)                                                                            \
    { prefix "_", URL64, FL_TOKEN_CHARS - sizeof(prefix), FL_TOKEN_CHARS - sizeof(prefix),         \
      "flopinio token" },
                FL_TOKEN_KINDS(X)
#undef X
};

/* Characters of two kinds among small letters, capitals and digits: a name of words is none, so an
 * agent cannot hide the name of a thing so easily. */
static bool is_random(struct fl_str s, size_t from, size_t n)
{
    bool has[3] = { false, false, false };
    for (size_t i = from; i < from + n; i++) {
        has[0] |= is_of(s.p[i], LOWER);
        has[1] |= is_of(s.p[i], UPPER);
        has[2] |= is_of(s.p[i], DIGIT);
    }
    return has[0] + has[1] + has[2] >= 2;
}

static bool find_prefixed(struct fl_str s, size_t at, struct fl_detected *ret)
{
    for (size_t i = 0; i < FL_COUNTOF(formats); i++) {
        if (s.p[at] != formats[i].prefix[0] || !stands_at(s, at, formats[i].prefix))
            continue;
        size_t head = strlen(formats[i].prefix);
        size_t n = run_of(s, at + head, formats[i].alphabet, formats[i].most);
        if (n >= formats[i].least && n <= formats[i].most &&
            (!(formats[i].alphabet & LOWER) || is_random(s, at + head, n)))
            return found(ret, at, head + n, formats[i].what);
    }
    return false;
}

/* "123456789:AA...": bot id, colon, 35 characters. */
static bool find_telegram(struct fl_str s, size_t at, struct fl_detected *ret)
{
    size_t id = run_of(s, at, DIGIT, 10);
    return id >= 8 && id <= 10 && at + id < s.n && s.p[at + id] == ':' &&
           run_of(s, at + id + 1, URL64, TELEGRAM_CHARS) == TELEGRAM_CHARS &&
           found(ret, at, id + 1 + TELEGRAM_CHARS, "Telegram bot token");
}

/* Three parts of base64url between dots, the first one a JSON object with "alg" (RFC 7515). */
static bool find_jwt(struct fl_str s, size_t at, struct fl_detected *ret)
{
    if (!stands_at(s, at, "eyJ"))
        return false;
    size_t head = run_of(s, at, URL64, JWT_MAX), n = head;
    for (int part = 0; part < 2; part++) {
        if (at + n >= s.n || s.p[at + n] != '.')
            return false;
        n += 1 + run_of(s, at + n + 1, URL64, JWT_MAX);
    }
    if (n < JWT_MIN || n > JWT_MAX)
        return false;
    struct fl_buf raw = FL_BUF_INIT;
    bool is_one = fl_b64url_decode(&raw, (struct fl_str){ s.p + at, head }) && raw.n &&
                  memmem(raw.p, raw.n, "\"alg\"", 5);
    is_one |= raw.is_failed; /* no memory: hide rather too much */
    fl_buf_fini(&raw);
    return is_one && found(ret, at, n, "JSON web token");
}

/* The legacy header lines that an encrypted key may have between the marks (RFC 1421). */
static size_t pem_header(struct fl_str s, size_t at)
{
    static const char proc[] = "Proc-Type: 4,ENCRYPTED", dek[] = "DEK-Info: ";
    if (stands_at(s, at, proc))
        return sizeof proc - 1;
    if (!stands_at(s, at, dek))
        return 0;
    size_t n = sizeof dek - 1 + run_of(s, at + sizeof dek - 1, UPPER | DIGIT | DASH, 40);
    if (at + n < s.n && s.p[at + n] == ',')
        n += 1 + run_of(s, at + n + 1, UPPER | DIGIT, 64);
    return n;
}

/* "-----BEGIN ... PRIVATE KEY-----", base64 over lines (real ones, or "\n" as in environment
 * files), and the end mark if it is there. */
static bool find_private_key(struct fl_str s, size_t at, struct fl_detected *ret)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ", kind[] = "PRIVATE KEY-----";
    if (!stands_at(s, at, begin))
        return false;
    size_t pos = at + sizeof begin - 1;
    while (pos < s.n && !stands_at(s, pos, kind) && pos < at + 40 &&
           (is_of(s.p[pos], UPPER | DIGIT) || s.p[pos] == ' '))
        pos++;
    if (pos >= s.n || !stands_at(s, pos, kind))
        return false;
    pos += sizeof kind - 1;
    size_t body = pos;
    while (pos < s.n) {
        size_t n = run_of(s, pos, B64 | PAD, PEM_MAX);
        n = pem_header(s, pos) ? pem_header(s, pos) : n;
        if (n == 0 && (s.p[pos] == '\n' || s.p[pos] == '\r'))
            n = 1;
        else if (n == 0 && (stands_at(s, pos, "\\n") || stands_at(s, pos, "\\r")))
            n = 2;
        if (n == 0)
            break;
        pos += n;
    }
    if (pos - body < PEM_MIN || pos - at > PEM_MAX)
        return false;
    if (stands_at(s, pos, end)) {
        size_t tail = pos + sizeof end - 1;
        while (tail < s.n && !stands_at(s, tail, kind) && tail < pos + 40)
            tail++;
        if (tail < s.n && stands_at(s, tail, kind))
            pos = tail + sizeof kind - 1;
    }
    return found(ret, at, pos - at, "private key");
}

/* What stands between "://name:" and "@"; the name and the host are shown. */
static bool find_url_password(struct fl_str s, size_t at, struct fl_detected *ret)
{
    static const char stops[] = "/?#@: \t\r\n\"'<>`{}|\\";
    if (!stands_at(s, at, "://"))
        return false;
    size_t pos = at + 3;
    while (pos < s.n && s.p[pos] && !strchr(stops, s.p[pos]))
        pos++;
    if (pos >= s.n || s.p[pos] != ':')
        return false;
    size_t from = ++pos;
    while (pos < s.n && s.p[pos] && !strchr(stops, s.p[pos]))
        pos++;
    return pos < s.n && s.p[pos] == '@' && pos > from && pos - from <= URL_PASSWORD_MAX &&
           found(ret, from, pos - from, "password in an address");
}

static bool has_word(struct fl_str s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++) {
        if (fl_str_eq_nocase((struct fl_str){ s.p + i, n }, (struct fl_str){ word, n }))
            return true;
    }
    return false;
}

/* 40 characters of base64 with upper, lower and digits, where the name or the text just before
 * speaks of a secret key: the format has no mark of its own. */
static bool find_aws_secret(struct fl_str s, struct fl_str name, size_t at, struct fl_detected *ret)
{
    if (run_of(s, at, B64, AWS_SECRET_CHARS) != AWS_SECRET_CHARS)
        return false;
    bool has_upper = false, has_lower = false, has_digit = false;
    for (size_t i = at; i < at + AWS_SECRET_CHARS; i++) {
        has_upper = has_upper || is_of(s.p[i], UPPER);
        has_lower = has_lower || is_of(s.p[i], LOWER);
        has_digit = has_digit || is_of(s.p[i], DIGIT);
    }
    size_t reach = at < AWS_SECRET_REACH ? at : AWS_SECRET_REACH;
    struct fl_str before = { s.p + at - reach, reach };
    return has_upper && has_lower && has_digit &&
           (has_word(name, "secret") || has_word(before, "secret")) &&
           found(ret, at, AWS_SECRET_CHARS, "AWS secret key");
}

bool fl_detect_secret(struct fl_str s, struct fl_str name, size_t from, struct fl_detected *ret)
{
    for (size_t at = from; at < s.n; at++) {
        if (s.p[at] == ':' && find_url_password(s, at, ret))
            return true;
        if (s.p[at] == '-' && find_private_key(s, at, ret))
            return true;
        /* The others start a word, in the sense of their own alphabet. */
        char before = at ? s.p[at - 1] : ' ';
        if (!is_of(s.p[at], B64))
            continue;
        if (!is_of(before, ALNUM | LINE) && find_prefixed(s, at, ret))
            return true;
        if (!is_of(before, URL64) && (find_telegram(s, at, ret) || find_jwt(s, at, ret)))
            return true;
        if (!is_of(before, B64) && find_aws_secret(s, name, at, ret))
            return true;
    }
    return false;
}
