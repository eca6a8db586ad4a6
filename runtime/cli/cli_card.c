/* Cards from REST, on the terminal. */
#include "runtime/cli/cli_card.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/id.h"
#include "flopinio/base/json.h"
#include "runtime/cli/cli_print.h"
#include "runtime/notify/card_text.h"

#define LAST_MIN 4

int fl_card_find(struct fl_cli *cli, const char *text, const char **ret)
{
    struct fl_uuid id;
    json_t *answer = NULL, *item;
    size_t i, n = strlen(text);
    unsigned found = 0;
    if (fl_uuid_parse(fl_str_of(text), &id)) {
        *ret = text;
        return FL_EXIT_DONE;
    }
    if (n < LAST_MIN || n > FL_UUID_TEXT)
        return fl_cli_wrong(cli, "'%s' is no approval's id, nor the last characters of one",
                            fl_cli_text(cli, text));
    int status = fl_cli_look(cli, fl_cli_path(cli, "/orgs/{org}/approvals?limit=200"), &answer);
    json_array_foreach (json_object_get(answer, "items"), i, item) {
        const char *whole = json_string_value(json_object_get(item, "id"));
        size_t whole_n = whole ? strlen(whole) : 0;
        if (whole_n >= n && strcasecmp(whole + whole_n - n, text) == 0 && ++found == 1)
            *ret = fl_arena_strdup(cli->arena, whole);
    }
    json_decref(answer);
    if (status == FL_EXIT_DONE && found == 0)
        status = fl_cli_fail(cli, FL_EXIT_NOT_FOUND, "there is no such approval");
    else if (status == FL_EXIT_DONE && found > 1)
        status = fl_cli_wrong(cli, "the ids of %u approvals end in %s: give more of it", found,
                              fl_cli_text(cli, text));
    return status;
}

int fl_card_get(struct fl_cli *cli, const char *id, json_t **ret)
{
    return fl_cli_look(cli, fl_cli_path(cli, "/orgs/{org}/approvals/{}", id), ret);
}

/* ---------------------------------------------------------------- the card again */
static bool kind_of(const char *text, enum fl_card_kind *ret)
{
    static const char *const kinds[] = { "title",   "where", "who",   "status", "arguments",
                                         "preview", "rule",  "votes", "id",     "agent" };
    for (size_t i = 0; text && i < FL_COUNTOF(kinds); i++) {
        if (strcmp(text, kinds[i]) == 0) {
            *ret = (enum fl_card_kind)i;
            return true;
        }
    }
    return false;
}

/* A text of the answer with nothing in it but plain characters; it is shown already. */
static struct fl_str plain(struct fl_cli *cli, const json_t *value)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_print_line(&text, fl_json_str(value));
    struct fl_str copy = fl_arena_str(cli->arena, text.p ? fl_buf_view(&text) : FL_STR(""));
    fl_buf_fini(&text);
    return copy.p ? copy : FL_STR("");
}

static bool read_block(struct fl_cli *cli, const json_t *value, struct fl_card_block *ret)
{
    const json_t *lines = json_object_get(value, "lines");
    size_t count = json_array_size(lines);
    ret->label = plain(cli, json_object_get(value, "label")).p;
    ret->lines = fl_arena_array(cli->arena, count + 1, sizeof *ret->lines);
    ret->line_count = ret->lines ? count : 0;
    for (size_t i = 0; i < ret->line_count; i++)
        ret->lines[i] = plain(cli, json_array_get(lines, i));
    return ret->lines && kind_of(json_string_value(json_object_get(value, "kind")), &ret->kind);
}

void fl_card_print(struct fl_cli *cli, struct fl_buf *out, const json_t *approval, int fd)
{
    const json_t *from = json_object_get(approval, "card"),
                 *blocks = json_object_get(from, "blocks");
    size_t count = json_array_size(blocks), width = fl_print_width(fd);
    struct fl_card card = { .blocks = fl_arena_array(cli->arena, count + 1, sizeof *card.blocks) };
    bool is_known = fl_state_parse(fl_json_get_str(approval, "state"), &card.state) && card.blocks;
    for (size_t i = 0; is_known && i < count; i++)
        is_known = read_block(cli, json_array_get(blocks, i), &card.blocks[card.block_count++]);
    if (!is_known) /* of a newer runtime: its text says the same */
        fl_print_lines(out, fl_json_get_str(from, "text"), 0);
    else if (width)
        fl_card_terminal(out, &card, (unsigned)width, !getenv("NO_COLOR"));
    else
        fl_card_text(out, &card);
}

void fl_card_what(json_t *item, const char *member)
{
    struct fl_str title = fl_json_get_str(item, member), says = fl_json_get_str(item, "says");
    bool is_twice = fl_str_has_prefix(title, says) && title.n > says.n + 2 &&
                    memcmp(title.p + says.n, ": ", 2) == 0;
    size_t skip = is_twice ? says.n + 2 : 0;
    json_object_set_new(item, "what",
                        fl_json_new_str((struct fl_str){ title.p + skip, title.n - skip }));
}
