// One official TypeScript client, driven line by line: the tests write requests to its standard
// input, it writes what the SDK gave back, or threw, to its standard output.
//
//   client.mjs --sdk=1|2 --transport=http|ws|stdio --era=legacy|auto|2026-07-28 [--url=URL]
//              [-- COMMAND ARGUMENT...]                  the credential is in FLOPINIO_CREDENTIAL
//
//   {"n":1,"op":"connect"}                               -> {"n":1,"ok":{"server":..,"version":..}}
//   {"n":2,"op":"list"}                                  -> {"n":2,"ok":{"tools":[..]}}
//   {"n":3,"op":"call","name":..,"arguments":{..},"timeout_ms":..,"progress":true,"meta":{}}
//                                                        -> {"n":3,"progress":{..}}, {"n":3,"ok":{..}}
//   {"n":3,"op":"cancel"}                                aborts request 3 as an application would
//   {"n":4,"op":"ping"}, {"n":5,"op":"close"}
//   an error                                             -> {"n":3,"error":{"name","code","message"}}
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const at = process.argv.indexOf('--');
const command = at < 0 ? [] : process.argv.slice(at + 1);
const option = Object.fromEntries(process.argv.slice(2, at < 0 ? undefined : at)
    .map((a) => a.match(/^--([a-z]+)=(.*)$/s).slice(1)));
const token = process.env.FLOPINIO_CREDENTIAL;
const info = { name: `flopinio-tests-sdk${option.sdk}`, version: '1' };

// The packages lie in build/clients, not beside this file.
const require = createRequire(process.env.FLOPINIO_CLIENTS + '/package.json');
const load = (name) => import(pathToFileURL(require.resolve(name)));

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

// WebSocketClientTransport takes no headers: an application gives the platform's WebSocket the
// credential, which is all that is done here.
function webSocketWithCredential() {
    const Plain = globalThis.WebSocket;
    globalThis.WebSocket = class extends Plain {
        constructor(url, protocols) {
            super(url, { protocols, headers: { Authorization: `Bearer ${token}` } });
        }
    };
}

async function makeTransport(streamable, stdio) {
    const headers = { Authorization: `Bearer ${token}` };
    if (option.transport === 'http')
        return new streamable(new URL(option.url), { requestInit: { headers } });
    if (option.transport === 'stdio')
        return new stdio({ command: command[0], args: command.slice(1), env: process.env,
                           stderr: 'inherit' });
    webSocketWithCredential();
    const { WebSocketClientTransport } = await load('@modelcontextprotocol/sdk/client/websocket.js');
    return new WebSocketClientTransport(new URL(option.url));
}

async function sdk1() {
    const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
    const http = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const stdio = await load('@modelcontextprotocol/sdk/client/stdio.js');
    const client = new Client(info, { capabilities: {} });
    const transport =
        await makeTransport(http.StreamableHTTPClientTransport, stdio.StdioClientTransport);
    return { client, transport, call: (p, o) => client.callTool(p, undefined, o) };
}

async function sdk2() {
    const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');
    const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio');
    const mode = ['legacy', 'auto'].includes(option.era) ? option.era : { pin: option.era };
    const client = new Client(info, { capabilities: {}, versionNegotiation: { mode } });
    const transport = await makeTransport(StreamableHTTPClientTransport, StdioClientTransport);
    return { client, transport, call: (p, o) => client.callTool(p, o) };
}

const { client, transport, call } = option.sdk === '1' ? await sdk1() : await sdk2();
const aborts = new Map();
client.onerror = (e) => say({ event: 'error', message: String(e?.message ?? e) });
client.onclose = () => say({ event: 'close' });

const version = () => client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? null;
const ops = {
    connect: async () => {
        await client.connect(transport);
        return { server: client.getServerVersion(), version: version(),
                 session: transport.sessionId ?? null };
    },
    list: async () => {
        const tools = [];
        for (let cursor; ;) {
            const page = await client.listTools(cursor === undefined ? undefined : { cursor });
            tools.push(...page.tools);
            if ((cursor = page.nextCursor) === undefined)
                return { tools };
        }
    },
    call: async (m) => {
        const abort = new AbortController();
        aborts.set(m.n, abort);
        const options = { signal: abort.signal };
        if (m.timeout_ms)
            options.timeout = m.timeout_ms;
        if (m.progress) {
            options.onprogress = (progress) => say({ n: m.n, progress });
            options.resetTimeoutOnProgress = m.progress === 'resets';
        }
        const params = { name: m.name, arguments: m.arguments };
        if (m.meta)
            params._meta = m.meta;
        return await call(params, options);
    },
    ping: () => client.ping(),
    close: async () => {
        if (option.transport === 'http' && transport.sessionId)
            await transport.terminateSession();
        await client.close();
        return {};
    },
};

createInterface({ input: process.stdin }).on('line', async (text) => {
    const m = JSON.parse(text);
    if (m.op === 'cancel') {
        aborts.get(m.n)?.abort('the test cancels');
        return;
    }
    try {
        say({ n: m.n, ok: await ops[m.op](m) });
    } catch (e) {
        say({ n: m.n, error: { name: e?.name ?? typeof e, code: e?.code ?? null,
                               message: String(e?.message ?? e) } });
    }
}).on('close', () => process.exit(0));
