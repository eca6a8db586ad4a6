// Puts the credential in front of requests of the conformance suite, which cannot send one; all else
// passes as it came, Host and Origin too. proxy.mjs PORT OWN_PORT, the credential in FLOPINIO_CREDENTIAL; prints
// its own port once it listens, on 127.0.0.1 only.
import http from 'node:http';

const port = Number(process.argv[2]);
const credential = `Bearer ${process.env.FLOPINIO_CREDENTIAL}`;

const server = http.createServer((from, to) => {
    const headers = [...from.rawHeaders, 'Authorization', credential];
    const onward = http.request({ host: '127.0.0.1', port, method: from.method, path: from.url,
                                  headers, setHost: false, agent: false });
    onward.on('response', (answer) => {
        to.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
        to.flushHeaders();
        answer.pipe(to);
        answer.on('error', () => to.destroy());
    });
    onward.on('error', () => to.destroy());
    to.on('close', () => onward.destroy());
    from.pipe(onward);
});
server.listen(Number(process.argv[3]), '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit(0)); // ends with the test
