/* Mail: the kind of channel. Cards are mails to each linked person who may vote; what is decided is
 * decided on the review page behind their link, never by an answer. */
#include "flopinio/base/clock.h"
#include "runtime/io/smtp.h"
#include "runtime/notify/mail_priv.h"

#define WHOLE_MAX ((size_t)400 << 10)

/* "08:30" -> minutes of the day; -1: it is none. */
int fl_mail_minute(struct fl_str text)
{
    if (text.n != 5 || text.p[2] != ':')
        return -1;
    for (size_t i = 0; i < 5; i++) {
        if (i != 2 && (text.p[i] < '0' || text.p[i] > '9'))
            return -1;
    }
    int hour = (text.p[0] - '0') * 10 + text.p[1] - '0';
    int minute = (text.p[3] - '0') * 10 + text.p[4] - '0';
    return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

static enum fl_code check_config(const json_t *config, struct fl_err *err)
{
    struct fl_str user = fl_json_get_str(config, "user");
    enum fl_code code = fl_smtp_check_url(fl_json_get_str(config, "url"), err);
    if (code)
        return code;
    if (!fl_smtp_is_address(fl_json_get_str(config, "from")))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "'from' is the address that mails come from, for instance "
                          "approvals@example.com");
    for (size_t i = 0; i < user.n; i++) {
        if ((unsigned char)user.p[i] < 0x20)
            return fl_err_set(err, FL_BAD_PARAMS, "'user' has a character that cannot stand there");
    }
    if (json_object_get(config, "user") && !user.n)
        return fl_err_set(err, FL_BAD_PARAMS, "'user' is a text, or left out");
    if (json_object_get(config, "digest") && fl_mail_minute(fl_json_get_str(config, "digest")) < 0)
        return fl_err_set(err, FL_BAD_PARAMS, "'digest' is a time of the day in UTC, like 07:30");
    return FL_OK;
}

static enum fl_code check(const json_t *config, const json_t *secret, bool may_be_local,
                          struct fl_err *err)
{
    struct fl_str password = fl_json_get_str(secret, "password");
    FL_UNUSED(may_be_local); /* of addresses, when they are known: http_client.c */
    enum fl_code code =
        fl_channel_check_members(config, "mail", "url from user digest bounces", "setting", err);
    if (code == FL_OK)
        code = fl_channel_check_members(secret, "mail", "password imap_password", "secret", err);
    if (code == FL_OK)
        code = check_config(config, err);
    if (code == FL_OK)
        code = fl_mail_check_bounces(config, secret, err);
    if (code || !secret)
        return code;
    bool has_user = fl_json_get_str(config, "user").n > 0;
    if (has_user && !password.n)
        return fl_err_set(err, FL_BAD_PARAMS, "with 'user' it needs the secret 'password'");
    return FL_OK;
}

/* Mail goes to people only: an address that several read would let any of them decide as one. */
static bool place(const struct fl_channel *ch, size_t at, struct fl_str *ret)
{
    FL_UNUSED(ch);
    FL_UNUSED(at);
    FL_UNUSED(ret);
    return false;
}

struct fl_str fl_mail_address(struct fl_arena *arena, struct fl_str address)
{
    struct fl_str text = fl_arena_str(arena, address);
    for (size_t i = 0; text.p && i < text.n; i++) {
        if (text.p[i] >= 'A' && text.p[i] <= 'Z')
            ((char *)text.p)[i] = (char)(text.p[i] - 'A' + 'a');
    }
    return text;
}

const struct fl_channel_kind fl_channel_mail = {
    .name = "mail",
    .via = "mail",
    .is_mail = true,
    .whole_max = WHOLE_MAX,
    .how_to_link = "open the link in the mail",
    .help = "mails are not answered; decide on the page that their link opens",
    .check = check,
    .place = place,
    .draw = fl_mail_draw,
    .send_start = fl_mail_chat_send_start,
    .listen_start = fl_mail_listen_start,
    .reads = fl_mail_has_bounces,
    .read_start = fl_mail_bounces_start
};
