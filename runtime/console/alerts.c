/* Alerts of whoever asks: what an owner was to hear. */
#include "runtime/console/api.h"
#include "runtime/store/alert.h"

static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "id:u kind:t text:t approval:u created_at:m seen_at:m");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    bool is_all;
    if (!fl_api_query_flag(a, "all", &is_all) || !fl_api_is_person(a))
        return;
    a->q[0] = fl_store_alerts(fl_api_tx(a), &a->auth.id, !is_all);
    fl_api_submit(a, false, on_listed);
}

static void on_seen(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out, "{\"seen\":%d}", fl_rows(a->q[0]));
    fl_api_ok(a, &out);
}

static void start_seen(struct fl_api *a)
{
    if (!fl_api_is_person(a))
        return;
    a->q[0] = fl_store_alerts_seen(fl_api_tx(a), &a->auth.id);
    fl_api_submit(a, false, on_seen);
}

const struct fl_api_route fl_api_alerts[] = {
    { FL_HTTP_GET, "/orgs/{org}/alerts", FL_NEED_PERSON, 0, start_list, "all" },
    { FL_HTTP_POST, "/orgs/{org}/alerts/seen", FL_NEED_PERSON, 0, start_seen },
    { .pattern = NULL }
};
