/* Delivery status notifications and our Message-IDs. Lines end with CRLF or LF; nothing is copied
 * but what is shown to people. */
#include "runtime/notify/bounce.h"

#include "runtime/crypto/seal.h"

#define ADDRESS_MAX ((size_t)254)
#define TAG_MAX     ((size_t)200)

/* ---------------------------------------------------------------- lines and fields */
static bool next_line(struct fl_str *rest, struct fl_str *ret)
{
    if (!rest->n)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n, taken = end ? n + 1 : n;
    *ret = (struct fl_str){ rest->p, n && rest->p[n - 1] == '\r' ? n - 1 : n };
    *rest = (struct fl_str){ rest->p + taken, rest->n - taken };
    return true;
}

/* A block of fields: up to an empty line, which is taken, too. */
static struct fl_str next_block(struct fl_str *rest)
{
    struct fl_str block = { rest->p, 0 }, line;
    while (next_line(rest, &line) && line.n)
        block.n = (size_t)(line.p + line.n - block.p);
    return block;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct fl_str trim(struct fl_str s)
{
    while (s.n && is_blank(s.p[0]))
        s = (struct fl_str){ s.p + 1, s.n - 1 };
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* The first field of that name, over all of its lines; p NULL: there is none. */
static struct fl_str field(struct fl_str block, const char *name)
{
    struct fl_str line, value = { NULL, 0 };
    size_t n = strlen(name);
    while (next_line(&block, &line)) {
        bool goes_on = line.n && (line.p[0] == ' ' || line.p[0] == '\t');
        if (goes_on && value.p)
            value.n = (size_t)(line.p + line.n - value.p);
        else if (value.p)
            break;
        else if (line.n > n && line.p[n] == ':' &&
                 fl_str_eq_nocase((struct fl_str){ line.p, n }, fl_str_of(name)))
            value = (struct fl_str){ line.p + n + 1, line.n - n - 1 };
    }
    return value.p ? trim(value) : value;
}

/* A content type without its parameters. */
static bool is_type(struct fl_str value, const char *type)
{
    const char *end = value.n ? memchr(value.p, ';', value.n) : NULL;
    if (end)
        value.n = (size_t)(end - value.p);
    return fl_str_eq_nocase(trim(value), fl_str_of(type));
}

/* Of a content type; quotes are taken away. p NULL: it has none of that name. */
static struct fl_str parameter(struct fl_str value, const char *name)
{
    struct fl_str none = { NULL, 0 };
    size_t at = 0, n = strlen(name);
    while (at < value.n) {
        size_t from = at;
        for (bool is_quoted = false; at < value.n && (is_quoted || value.p[at] != ';'); at++)
            is_quoted ^= value.p[at] == '"';
        struct fl_str item = trim((struct fl_str){ value.p + from, at - from });
        at++;
        if (item.n <= n || !fl_str_eq_nocase((struct fl_str){ item.p, n }, fl_str_of(name)))
            continue;
        struct fl_str rest = trim((struct fl_str){ item.p + n, item.n - n });
        if (rest.n < 2 || rest.p[0] != '=')
            continue;
        rest = trim((struct fl_str){ rest.p + 1, rest.n - 1 });
        if (rest.n >= 2 && rest.p[0] == '"' && rest.p[rest.n - 1] == '"')
            rest = (struct fl_str){ rest.p + 1, rest.n - 2 };
        return rest;
    }
    return none;
}

/* ---------------------------------------------------------------- parts */
/* Is the line a boundary's? */
static bool is_boundary(struct fl_str line, struct fl_str boundary, bool *ret_is_last)
{
    if (line.n < boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
        memcmp(line.p + 2, boundary.p, boundary.n) != 0)
        return false;
    struct fl_str behind =
        trim((struct fl_str){ line.p + 2 + boundary.n, line.n - 2 - boundary.n });
    *ret_is_last = fl_str_is(behind, "--");
    return *ret_is_last || behind.n == 0;
}

/* What stands before the next boundary. False: nothing more stands there. */
static bool next_part(struct fl_str *rest, struct fl_str boundary, struct fl_str *ret,
                      bool *ret_is_last)
{
    struct fl_str line;
    if (!rest->n)
        return false;
    *ret = (struct fl_str){ rest->p, 0 };
    while (next_line(rest, &line)) {
        if (is_boundary(line, boundary, ret_is_last))
            return true;
        ret->n = (size_t)(line.p + line.n - ret->p);
    }
    *ret_is_last = true; /* cut off: what is there is read */
    return true;
}

/* "5.1.1", whatever stands behind it. */
static bool read_status(struct fl_str value, char out[12])
{
    size_t n = 0, dots = 0;
    while (n < value.n && n < 11 && ((value.p[n] >= '0' && value.p[n] <= '9') || value.p[n] == '.'))
        dots += value.p[n++] == '.';
    if (n < 5 || dots != 2 || value.p[1] != '.')
        return false;
    memcpy(out, value.p, n);
    out[n] = 0;
    return true;
}

/* One line of printable ASCII; runs of blanks are one. */
static void read_said(struct fl_str value, char out[FL_BOUNCE_SAID_CHARS + 1])
{
    const char *type = value.n ? memchr(value.p, ';', value.n) : NULL; /* "smtp; 550 ..." */
    size_t n = 0;
    if (type)
        value = trim((struct fl_str){ type + 1, value.n - (size_t)(type + 1 - value.p) });
    for (size_t i = 0; i < value.n && n < FL_BOUNCE_SAID_CHARS; i++) {
        char c = value.p[i];
        if (!is_blank(c))
            out[n++] = c > 0x20 && c < 0x7f ? c : '?';
        else if (n && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    out[n] = 0;
}

/* message/delivery-status: a block about the message, then one for each recipient. */
static bool read_report(struct fl_str part, struct fl_bounce *ret)
{
    while (part.n) {
        struct fl_str block = next_block(&part), action = field(block, "Action");
        if (!fl_str_eq_nocase(action, FL_STR("failed")) ||
            !read_status(field(block, "Status"), ret->status) || ret->status[0] != '5')
            continue;
        read_said(field(block, "Diagnostic-Code"), ret->said);
        return true;
    }
    return false;
}

static struct fl_str read_message_id(struct fl_str part)
{
    struct fl_str id = field(next_block(&part), "Message-ID");
    if (id.n < 3 || id.p[0] != '<' || id.p[id.n - 1] != '>')
        return (struct fl_str){ NULL, 0 };
    return (struct fl_str){ id.p + 1, id.n - 2 };
}

bool fl_bounce_read(struct fl_str mail, struct fl_bounce *ret)
{
    struct fl_str type = field(next_block(&mail), "Content-Type"), part;
    struct fl_str boundary = parameter(type, "boundary");
    bool has_failed = false, is_last = false;
    *ret = (struct fl_bounce){ .message_id = { NULL, 0 } };
    if (!is_type(type, "multipart/report") || boundary.n < 1 || boundary.n > 70 ||
        !fl_str_eq_nocase(parameter(type, "report-type"), FL_STR("delivery-status")) ||
        !next_part(&mail, boundary, &part, &is_last))
        return false;
    while (!is_last && next_part(&mail, boundary, &part, &is_last)) {
        struct fl_str kind = field(next_block(&part), "Content-Type");
        if (is_type(kind, "message/delivery-status") ||
            is_type(kind, "message/global-delivery-status"))
            has_failed = has_failed || read_report(part, ret);
        else if (is_type(kind, "message/rfc822") || is_type(kind, "text/rfc822-headers") ||
                 is_type(kind, "message/global") || is_type(kind, "message/global-headers"))
            ret->message_id = read_message_id(part);
    }
    return has_failed && ret->message_id.p;
}

/* RFC 3463, 3.2 and 3.3; RFC 7505 (5.1.10). */
bool fl_bounce_is_of_mailbox(const struct fl_bounce *b)
{
    static const char *const those[] = { "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1" };
    for (size_t i = 0; i < FL_COUNTOF(those); i++) {
        if (strcmp(b->status, those[i]) == 0)
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- our Message-IDs */
/* Servers may write an address in other letters. */
void fl_mail_id_mac(const struct fl_keyring *keys, const struct fl_uuid *organization,
                    struct fl_str address, struct fl_str tag, char out[FL_MAIL_MAC_CHARS + 1])
{
    char text[TAG_MAX + 1 + ADDRESS_MAX];
    uint8_t mac[FL_BLIND_INDEX_BYTES];
    size_t n = tag.n < TAG_MAX ? tag.n : TAG_MAX, at = 0;
    while (at < n) {
        text[at] = tag.p[at];
        at++;
    }
    text[at++] = ' ';
    for (size_t i = 0; i < address.n && i < ADDRESS_MAX; i++) {
        char c = address.p[i];
        text[at++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    fl_blind_index(keys, organization, "mail", "message_id", (struct fl_str){ text, at }, mac);
    fl_hex(mac, sizeof mac, out);
}

bool fl_mail_id_is(const struct fl_keyring *keys, const struct fl_uuid *organization,
                   struct fl_str address, struct fl_str id)
{
    const char *end = id.n ? memchr(id.p, '@', id.n) : NULL;
    size_t n = end ? (size_t)(end - id.p) : id.n;
    char wanted[FL_MAIL_MAC_CHARS + 1];
    if (n < FL_MAIL_MAC_CHARS + 2 || n > TAG_MAX || id.p[n - FL_MAIL_MAC_CHARS - 1] != '.')
        return false;
    fl_mail_id_mac(keys, organization, address, (struct fl_str){ id.p, n - FL_MAIL_MAC_CHARS - 1 },
                   wanted);
    return fl_equal_secret(wanted, id.p + n - FL_MAIL_MAC_CHARS, FL_MAIL_MAC_CHARS);
}

/* Ids of version 7 begin with their time. */
bool fl_mail_id_about(struct fl_str id, struct fl_uuid *ret, int64_t *ret_ms)
{
    struct fl_uuid found;
    if (id.n < FL_UUID_TEXT || id.p[FL_UUID_TEXT - 1] != '.' ||
        !fl_uuid_parse((struct fl_str){ id.p, FL_UUID_TEXT - 1 }, &found) || found.b[6] >> 4 != 7)
        return false;
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | found.b[i];
    *ret = found;
    *ret_ms = ms;
    return true;
}
