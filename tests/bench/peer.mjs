// One peer per MODE, all with the same echo tool, on 127.0.0.1:PORT.
//   node peer.mjs MODE PORT     MODE: http, ws, sdk1 (1.x, stateless), sdk2 (2.x, stateful)
import { createServer } from 'node:http';

const [mode, port] = [process.argv[2], Number(process.argv[3])];

const answer = (text) => {
    const message = JSON.parse(text);
    return JSON.stringify({
        jsonrpc: '2.0',
        id: message.id,
        result: { content: [{ type: 'text', text: JSON.stringify(message.params.arguments) }], isError: false },
    });
};

const readBody = async (request) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    return Buffer.concat(parts).toString();
};

const echo = (server, z) =>
    server.registerTool('echo', { description: 'Echo', inputSchema: z }, async (args) => ({
        content: [{ type: 'text', text: JSON.stringify(args) }],
    }));

if (mode === 'http') {
    createServer(async (request, response) => {
        const text = answer(await readBody(request));
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
        response.end(text);
    }).listen(port, '127.0.0.1');
} else if (mode === 'ws') {
    const { WebSocketServer } = await import('ws');
    new WebSocketServer({ host: '127.0.0.1', port, perMessageDeflate: false }).on('connection', (socket) => {
        socket.on('message', (data) => socket.send(answer(data.toString())));
    });
} else if (mode === 'sdk1') {
    const { McpServer } = await import('sdk1/server/mcp.js');
    const { StreamableHTTPServerTransport } = await import('sdk1/server/streamableHttp.js');
    const z = (await import('zod')).z;
    createServer(async (request, response) => {
        const body = JSON.parse(await readBody(request));
        const server = new McpServer({ name: 'peer', version: '1' });
        echo(server, { text: z.string() });
        const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
        response.on('close', () => { transport.close(); server.close(); });
        await server.connect(transport);
        await transport.handleRequest(request, response, body);
    }).listen(port, '127.0.0.1');
} else if (mode === 'sdk2') {
    const { McpServer, WebStandardStreamableHTTPServerTransport } = await import('@modelcontextprotocol/server');
    const { z } = await import('zod');
    const { randomUUID } = await import('node:crypto');
    const sessions = new Map();
    createServer(async (request, response) => {
        const text = await readBody(request);
        let transport = sessions.get(request.headers['mcp-session-id']);
        if (!transport) {
            transport = new WebStandardStreamableHTTPServerTransport({
                sessionIdGenerator: () => randomUUID(),
                enableJsonResponse: true,
                onsessioninitialized: (id) => sessions.set(id, transport),
            });
            const server = new McpServer({ name: 'peer', version: '1' });
            echo(server, z.object({ text: z.string() }));
            await server.connect(transport);
        }
        const headers = new Headers();
        for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
        const result = await transport.handleRequest(
            new Request(`http://127.0.0.1:${port}${request.url}`, { method: request.method, headers, body: text }));
        const out = await result.text();
        response.writeHead(result.status, { ...Object.fromEntries(result.headers), 'Content-Length': Buffer.byteLength(out) });
        response.end(out);
    }).listen(port, '127.0.0.1');
} else {
    console.error('peer: unknown mode');
    process.exit(2);
}
