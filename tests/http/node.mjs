// What Node's HTTP parser makes of raw bytes. Standard input: one JSON text, a list of
// [name, base64 of the bytes]. Standard output: {node, llhttp, answers: {name: [answer...]}}, an
// answer being the status of a refusal, or what a request was taken for.
import http from 'node:http';
import net from 'node:net';

const PARALLEL = 16, LIMIT_MS = 5000;

const server = http.createServer({ insecureHTTPParser: false }, (req, res) => {
    const parts = [];
    req.on('data', (part) => parts.push(part));
    req.on('error', () => {});
    req.on('end', () => {
        const body = Buffer.concat(parts).toString('latin1');
        const text = JSON.stringify({ method: req.method, url: req.url, body });
        res.setHeader('Content-Length', Buffer.byteLength(text));
        res.end(text);
    });
});

/** All that comes back for these bytes, until the end of the connection. */
function ask(port, bytes) {
    return new Promise((resolve) => {
        const parts = [];
        const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        const limit = setTimeout(() => socket.destroy(), LIMIT_MS);
        socket.on('connect', () => socket.end(bytes));
        socket.on('data', (part) => parts.push(part));
        socket.on('error', () => {});
        socket.on('close', () => {
            clearTimeout(limit);
            resolve(Buffer.concat(parts));
        });
        socket.on('end', () => socket.destroy());
    });
}

/** The final answers in a stream of responses: a status from 400 on, or our own JSON line. */
function answers(stream) {
    const found = [];
    let text = stream.toString('latin1');
    for (let match; (match = /^HTTP\/1\.1 (\d{3})[^\r]*\r\n((?:[^\r]+\r\n)*)\r\n/.exec(text));) {
        const status = Number(match[1]);
        text = text.slice(match[0].length);
        if (status < 200)
            continue;
        const length = /^content-length: (\d+)$/im.exec(match[2].replaceAll('\r', ''));
        const chunk = /^transfer-encoding: chunked$/im.test(match[2].replaceAll('\r', ''));
        let body = '';
        if (length) {
            body = text.slice(0, Number(length[1]));
            text = text.slice(body.length);
        } else if (chunk) {
            for (let size; (size = /^([0-9a-f]+)\r\n/i.exec(text));) {
                const n = parseInt(size[1], 16);
                body += text.slice(size[0].length, size[0].length + n);
                text = text.slice(size[0].length + n + 2);
                if (n === 0)
                    break;
            }
        }
        found.push(status === 200 && body ? JSON.parse(body) : status);
    }
    return found;
}

let input = '';
for await (const part of process.stdin)
    input += part;
const todo = JSON.parse(input), result = {};
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();
await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let next; (next = todo.shift());)
        result[next[0]] = answers(await ask(port, Buffer.from(next[1], 'base64')));
}));
process.stdout.write(JSON.stringify({ node: process.version, llhttp: process.versions.llhttp,
                                      answers: result }));
process.exit(0);
