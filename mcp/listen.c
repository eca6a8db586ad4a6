/* subscriptions/listen. Loop thread. */
#include "mcp/listen.h"

#include "flopinio/base/scan.h"
#include "mcp/reply_priv.h"

static const struct {
    const char *member;
    unsigned topic, needs;
} flags[] = {
    { "toolsListChanged", FL_MCP_TOPIC_TOOLS, FL_MCP_SERVES_TOOLS },
    { "promptsListChanged", FL_MCP_TOPIC_PROMPTS, FL_MCP_SERVES_PROMPTS },
    { "resourcesListChanged", FL_MCP_TOPIC_RESOURCES, FL_MCP_SERVES_RESOURCES },
};

/* An array of strings, if it is there. */
static enum fl_code read_names(struct fl_arena *arena, const struct fl_mcp_message *msg,
                               const char *member, struct fl_str **ret, size_t *ret_count,
                               struct fl_mcp_refusal *refusal)
{
    struct fl_str array = fl_span_get(msg->listens_to, member), item;
    size_t pos = 0, count = 0;
    if (!array.p)
        return FL_OK;
    if (fl_span_type(array) != FL_SPAN_ARRAY)
        return fl_mcp_refuse(refusal, msg, FL_BAD_PARAMS, 200,
                             "notifications.%s must be an array of strings", member);
    while (fl_span_next_item(array, &pos, &item)) {
        if (fl_span_type(item) != FL_SPAN_STRING)
            return fl_mcp_refuse(refusal, msg, FL_BAD_PARAMS, 200,
                                 "notifications.%s must be an array of strings", member);
        if (++count > FL_MCP_LISTEN_NAMES_MAX)
            return fl_mcp_refuse(refusal, msg, FL_BAD_PARAMS, 200,
                                 "notifications.%s has more than %d entries", member,
                                 FL_MCP_LISTEN_NAMES_MAX);
    }
    struct fl_str *list = fl_arena_array(arena, count, sizeof *list);
    pos = 0;
    for (size_t i = 0; list && i < count && fl_span_next_item(array, &pos, &item); i++) {
        struct fl_str name = fl_span_string(arena, item);
        list[i] = fl_arena_str(arena, name); /* the listen outlives the message */
        if (!name.p || !list[i].p)
            list = NULL;
    }
    if (!list)
        return fl_mcp_refuse(refusal, msg, FL_NOMEM, 0, "%s", fl_code_text(FL_NOMEM));
    *ret = list;
    *ret_count = count;
    return FL_OK;
}

enum fl_code fl_mcp_listen_read(struct fl_arena *arena, const struct fl_mcp_message *msg,
                                unsigned serves, struct fl_mcp_listen *ret,
                                struct fl_mcp_refusal *ret_refusal)
{
    FL_ASSERT(msg->method == FL_MCP_M_LISTEN);
    struct fl_mcp_listen listen = { .id = fl_arena_str(arena, msg->id) };
    enum fl_code code = FL_OK;

    if (!listen.id.p)
        return fl_mcp_refuse(ret_refusal, msg, FL_NOMEM, 0, "%s", fl_code_text(FL_NOMEM));
    for (size_t i = 0; i < FL_COUNTOF(flags); i++) {
        struct fl_str flag = fl_span_get(msg->listens_to, flags[i].member);
        enum fl_span_type type = fl_span_type(flag);
        if (flag.p && type != FL_SPAN_TRUE && type != FL_SPAN_FALSE)
            return fl_mcp_refuse(ret_refusal, msg, FL_BAD_PARAMS, 200,
                                 "notifications.%s must be a boolean", flags[i].member);
        if (type == FL_SPAN_TRUE && (serves & flags[i].needs))
            listen.topics |= flags[i].topic;
    }
    code = read_names(arena, msg, "resourceSubscriptions", &listen.uris, &listen.uri_count,
                      ret_refusal);
    if (code == FL_OK)
        code = read_names(arena, msg, "taskIds", &listen.task_ids, &listen.task_count, ret_refusal);
    if (code != FL_OK)
        return code;
    if (!(serves & FL_MCP_SERVES_RESOURCE_UPDATES))
        listen.uri_count = 0;
    if (!(serves & FL_MCP_SERVES_TASKS))
        listen.task_count = 0;
    *ret = listen;
    return FL_OK;
}

bool fl_mcp_listen_hears_list(const struct fl_mcp_listen *listen, enum fl_mcp_list list)
{
    return listen->topics & 1u << list;
}

static bool has_name(const struct fl_str *names, size_t count, struct fl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (name.n && fl_str_eq(names[i], name))
            return true;
    }
    return false;
}

bool fl_mcp_listen_hears_task(const struct fl_mcp_listen *listen, struct fl_str task_id)
{
    return has_name(listen->task_ids, listen->task_count, task_id);
}

bool fl_mcp_listen_hears_uri(const struct fl_mcp_listen *listen, struct fl_str uri)
{
    return has_name(listen->uris, listen->uri_count, uri);
}

static void put_names(struct fl_buf *out, const char *key, const struct fl_str *names, size_t count)
{
    if (count == 0)
        return;
    fl_emit_key(out, key);
    fl_buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (names[i].n == 0)
            continue; /* struck out */
        fl_emit_comma(out);
        fl_emit_text(out, names[i]);
    }
    fl_buf_putc(out, ']');
}

void fl_mcp_put_acknowledged(struct fl_buf *out, const struct fl_mcp_listen *listen)
{
    fl_mcp_open_note(out, "notifications/subscriptions/acknowledged");
    fl_mcp_open_params(out);
    fl_mcp_put_subscription(out, listen->id);
    fl_emit_key(out, "notifications");
    fl_buf_putc(out, '{');
    for (size_t i = 0; i < FL_COUNTOF(flags); i++) {
        if (listen->topics & flags[i].topic)
            fl_emit_raw(out, flags[i].member, FL_STR("true"));
    }
    put_names(out, "resourceSubscriptions", listen->uris, listen->uri_count);
    put_names(out, "taskIds", listen->task_ids, listen->task_count);
    fl_buf_puts(out, "}}}");
}

void fl_mcp_put_listen_end(struct fl_buf *out, const struct fl_mcp_server *server,
                           const struct fl_mcp_listen *listen)
{
    const struct fl_mcp_to to = { FL_MCP_NEWEST, listen->id };
    fl_mcp_open_result(out, &to);
    fl_emit_key(out, "_meta");
    fl_buf_putc(out, '{');
    fl_emit_raw(out, FL_MCP_META "subscriptionId", listen->id);
    fl_emit_key(out, FL_MCP_META "serverInfo");
    fl_mcp_put_server_info(out, server, to.version);
    fl_buf_puts(out, "}}}");
}

void fl_mcp_listens_init(struct fl_mcp_listens *set, size_t max)
{
    *set = (struct fl_mcp_listens){ .max = max };
    fl_list_init(&set->open);
}

enum fl_code fl_mcp_listens_add(struct fl_mcp_listens *set, struct fl_mcp_listen *listen,
                                struct fl_mcp_refusal *ret_refusal)
{
    if (set->count >= set->max) {
        const struct fl_mcp_message msg = { .id = listen->id };
        return fl_mcp_refuse(ret_refusal, &msg, FL_INTERNAL, 200,
                             "more than %zu subscriptions are open", set->max);
    }
    fl_list_init(&listen->link);
    fl_list_push_back(&set->open, &listen->link);
    set->count++;
    return FL_OK;
}

void fl_mcp_listens_remove(struct fl_mcp_listens *set, struct fl_mcp_listen *listen)
{
    if (!fl_list_is_linked(&listen->link))
        return;
    fl_list_remove(&listen->link);
    set->count--;
}
