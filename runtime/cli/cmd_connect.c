/* What to paste into MCP clients. */
#include "runtime/cli/cmd_connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/ports.h"

#define PLACEHOLDER "fla_..."

/* ---------------------------------------------------------------- one client each */
static void put_claude_code(struct fl_buf *out, const char *url, const char *credential)
{
    fl_buf_printf(out,
                  "Claude Code: run this in your project\n\n"
                  "  claude mcp add --transport http flopinio %s \\\n"
                  "      --header \"Authorization: Bearer %s\"\n",
                  url, credential);
}

static void put_vscode(struct fl_buf *out, const char *url, const char *credential)
{
    fl_buf_printf(out,
                  "VS Code: .vscode/mcp.json\n\n"
                  "  {\n"
                  "    \"servers\": {\n"
                  "      \"flopinio\": {\n"
                  "        \"type\": \"http\",\n"
                  "        \"url\": \"%s\",\n"
                  "        \"headers\": { \"Authorization\": \"Bearer %s\" }\n"
                  "      }\n"
                  "    }\n"
                  "  }\n",
                  url, credential);
}

static void put_cursor(struct fl_buf *out, const char *url, const char *credential)
{
    fl_buf_printf(out,
                  "Cursor: ~/.cursor/mcp.json\n\n"
                  "  {\n"
                  "    \"mcpServers\": {\n"
                  "      \"flopinio\": {\n"
                  "        \"url\": \"%s\",\n"
                  "        \"headers\": { \"Authorization\": \"Bearer %s\" }\n"
                  "      }\n"
                  "    }\n"
                  "  }\n",
                  url, credential);
}

static void put_codex(struct fl_buf *out, const char *url, const char *credential)
{
    fl_buf_printf(out,
                  "Codex: ~/.codex/config.toml, and the credential in its environment\n\n"
                  "  [mcp_servers.flopinio]\n"
                  "  url = \"%s\"\n"
                  "  bearer_token_env_var = \"FLOPINIO_CREDENTIAL\"\n\n"
                  "  export FLOPINIO_CREDENTIAL=%s\n",
                  url, credential);
}

void fl_connect_put(struct fl_buf *out, const char *client, const char *url, const char *credential)
{
    static const struct {
        const char *name;
        void (*put)(struct fl_buf *out, const char *url, const char *credential);
    } clients[] = { { "claude-code", put_claude_code },
                    { "vscode", put_vscode },
                    { "cursor", put_cursor },
                    { "codex", put_codex } };
    size_t from = out->n;
    for (size_t i = 0; i < FL_COUNTOF(clients); i++) {
        if (client && strcmp(client, clients[i].name) != 0)
            continue;
        fl_buf_puts(out, out->n > from ? "\n" : "");
        clients[i].put(out, url, credential ? credential : PLACEHOLDER);
    }
}

/* ---------------------------------------------------------------- where */
static bool put_running(struct fl_buf *out, const struct fl_config *config)
{
    json_t *ports = fl_ports_read(config);
    struct fl_str url = fl_json_str(json_array_get(json_object_get(ports, "urls"), 0));
    fl_buf_str(out, url);
    json_decref(ports);
    return url.n > 0;
}

void fl_connect_base(struct fl_buf *out, const struct fl_config *config)
{
    const char *url = config->public_url, *listen = config->listen[0];
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    if (n)
        fl_buf_put(out, url, n);
    else if (!put_running(out, config))
        fl_buf_printf(out, "http%s://%s", config->tls_certificate[0] ? "s" : "",
                      listen ? listen : "127.0.0.1:7337");
}

static int connect_clients(struct fl_cli *cli)
{
    struct fl_config config;
    struct fl_err err;
    struct fl_buf base = FL_BUF_INIT;
    const char *url = fl_cli_flag(cli, "url"), *credential = getenv("FLOPINIO_CREDENTIAL");
    if (credential && *credential && strncmp(credential, "fla_", 4) != 0)
        return fl_cli_wrong(cli, "FLOPINIO_CREDENTIAL is no agent's credential, which starts with "
                                 "fla_");
    if (url) {
        size_t n = strlen(url);
        while (n && url[n - 1] == '/')
            n--;
        fl_buf_put(&base, url, n);
    } else {
        if (fl_cli_config(cli, &config, &err) != FL_OK)
            return fl_cli_error(cli, &err);
        fl_connect_base(&base, &config);
        fl_config_fini(&config);
    }
    fl_buf_puts(&base, "/mcp");
    if (!base.is_failed)
        fl_connect_put(&cli->out, fl_cli_flag(cli, "client"), fl_cli_text(cli, base.p),
                       credential && *credential ? fl_cli_text(cli, credential) : NULL);
    if (!credential || !*credential)
        fl_cli_say(cli, "\n" PLACEHOLDER " is the agent's credential: flopinio agent create NAME "
                        "--owner PERSON");
    fl_buf_fini(&base);
    return FL_EXIT_DONE;
}

static const struct fl_cli_flag flags[] = {
    { "client", "claude-code|vscode|cursor|codex", "only this one", 0 },
    { "url", "URL", "where agents reach the runtime, instead of this host's", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_connect[] = {
    { "connect", "", "prints what to paste into MCP clients",
      "For Claude Code, VS Code, Cursor and Codex, with the agent's credential from "
      "FLOPINIO_CREDENTIAL.\n"
      "  FLOPINIO_CREDENTIAL=fla_... flopinio connect --client claude-code",
      FL_CLI_HERE, flags, connect_clients },
    { .name = NULL }
};
