/* The version matrix. Any thread. */
#include "mcp/version.h"

static const char *const texts[] = { [FL_MCP_NO_VERSION] = "",
#define X(name, text) [FL_MCP_##name] = text, /* NOLINT(bugprone-macro-parentheses) */
                                     FL_MCP_VERSIONS(X)
#undef X
};

static const struct {
    enum fl_mcp_version first, last;
} features[] = {
#define X(name, first, last) { FL_MCP_##first, FL_MCP_##last },
    FL_MCP_FEATURES(X)
#undef X
};

enum fl_mcp_version fl_mcp_version_parse(struct fl_str text)
{
    for (int v = FL_MCP_NO_VERSION + 1; v < FL_MCP_VERSION_END; v++) {
        if (fl_str_is(text, texts[v]))
            return (enum fl_mcp_version)v;
    }
    return FL_MCP_NO_VERSION;
}

const char *fl_mcp_version_text(enum fl_mcp_version version)
{
    FL_ASSERT(version < FL_MCP_VERSION_END);
    return texts[version];
}

bool fl_mcp_has(enum fl_mcp_version version, enum fl_mcp_feature feature)
{
    FL_ASSERT(feature < FL_MCP_FEATURE_COUNT);
    return version >= features[feature].first && version <= features[feature].last;
}

enum fl_mcp_version fl_mcp_version_negotiate(struct fl_str requested)
{
    enum fl_mcp_version version = fl_mcp_version_parse(requested);
    if (version == FL_MCP_NO_VERSION || fl_mcp_era_of(version) == FL_MCP_MODERN)
        return FL_MCP_NEWEST_LEGACY;
    return version;
}
