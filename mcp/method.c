/* Methods and log levels by name. Any thread. */
#include "mcp/method.h"

enum { L = 1, M = 2, LM = L | M };

struct method {
    struct fl_str text;
    unsigned eras, serves;
    const char *member;
};

static const struct method methods[] = { [FL_MCP_UNKNOWN_METHOD] = { { "", 0 }, 0, 0, "" },
#define X(name, text, eras, serves, member)                                                        \
    [FL_MCP_M_##name] = { { text, sizeof(text) - 1 }, eras, serves, member },
                                         FL_MCP_METHODS(X)
#undef X
};

enum fl_mcp_method fl_mcp_method_parse(struct fl_str text)
{
    for (int m = FL_MCP_UNKNOWN_METHOD + 1; m < FL_MCP_METHOD_END; m++) {
        if (fl_str_eq(text, methods[m].text))
            return (enum fl_mcp_method)m;
    }
    return FL_MCP_UNKNOWN_METHOD;
}

const char *fl_mcp_method_text(enum fl_mcp_method method)
{
    FL_ASSERT(method < FL_MCP_METHOD_END);
    return methods[method].text.p;
}

bool fl_mcp_method_is_known(enum fl_mcp_method method, enum fl_mcp_era era, unsigned serves)
{
    FL_ASSERT(method < FL_MCP_METHOD_END);
    unsigned bit = era == FL_MCP_MODERN ? M : L;
    return (methods[method].eras & bit) && (methods[method].serves & ~serves) == 0;
}

const char *fl_mcp_method_member(enum fl_mcp_method method)
{
    FL_ASSERT(method < FL_MCP_METHOD_END);
    return methods[method].member;
}

static const char *const levels[] = { "",      "debug",    "info",  "notice",   "warning",
                                      "error", "critical", "alert", "emergency" };

enum fl_mcp_level fl_mcp_level_parse(struct fl_str text)
{
    for (int i = FL_MCP_LEVEL_DEBUG; i <= FL_MCP_LEVEL_EMERGENCY; i++) {
        if (fl_str_is(text, levels[i]))
            return (enum fl_mcp_level)i;
    }
    return FL_MCP_LEVEL_NONE;
}

const char *fl_mcp_level_text(enum fl_mcp_level level)
{
    FL_ASSERT(level <= FL_MCP_LEVEL_EMERGENCY);
    return levels[level];
}
