/* Whoever signed in: what they are, their secrets and personal tokens. */
#include "runtime/console/api.h"
#include "runtime/store/person.h"

/* ---------------------------------------------------------------- what I am */
static void put_scopes(struct fl_buf *out, unsigned scopes)
{
    static const char *const texts[] = {
#define X(name, text) text,
        FL_SCOPES(X)
#undef X
    };
    bool is_next = false;
    fl_buf_putc(out, '[');
    for (unsigned i = 0; i < FL_SCOPE_COUNT; i++) {
        if (!(scopes & 1u << i))
            continue;
        if (is_next)
            fl_buf_putc(out, ',');
        fl_buf_json_str(out, fl_str_of(texts[i]));
        is_next = true;
    }
    fl_buf_putc(out, ']');
}

static void on_me(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    bool is_person = a->who == FL_WHO_PERSON;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, fl_api_by(a));
    fl_buf_puts(&out, ",\"display_name\":");
    fl_buf_json_str(&out, is_person ? a->auth.display : FL_STR("the host's administrator"));
    fl_buf_printf(&out, ",\"is_operator\":%s,\"scopes\":", is_person ? "false" : "true");
    put_scopes(&out, is_person ? a->auth.scopes : 0);
    bool has_totp = is_person && fl_rows(a->q[0]) == 1 && !fl_cell_is_null(a->q[0], 0, 4);
    fl_buf_printf(&out, ",\"has_second_factor\":%s,\"organizations\":[",
                  has_totp ? "true" : "false");
    for (int i = 0; is_person && i < fl_rows(a->q[1]); i++) {
        if (i)
            fl_buf_putc(&out, ',');
        fl_api_row(&out, a->q[1], i, "- name:t role:t title:t");
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static void start_me(struct fl_api *a)
{
    if (a->who == FL_WHO_OPERATOR) {
        on_me(a);
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_person_by_name(tx, a->auth.person);
    a->q[1] = fl_store_person_organizations(tx, &a->auth.id);
    fl_api_submit(a, false, on_me);
}

const struct fl_api_route fl_api_me[] = { { FL_HTTP_GET, "/me", FL_NEED_PERSON, 0, start_me },
                                          { .pattern = NULL } };
