// Compares canonical forms (RFC 8785) with JavaScript's: what fuzz_jcs noted in the file that is
// named. Accepted: the same bytes. Refused: for one of our two reasons, a number that the canonical
// form would change in value, or two equal keys. Prints a line of counts; exit code 1 on the first
// difference.
import { readFileSync } from 'node:fs';

/** Sorted by UTF-16 code units, numbers and strings as ECMAScript writes them. */
function canonical(value) {
    if (Array.isArray(value))
        return '[' + value.map(canonical).join(',') + ']';
    if (value !== null && typeof value === 'object')
        return '{' + Object.keys(value).sort().map((k) =>
            JSON.stringify(k) + ':' + canonical(value[k])).join(',') + '}';
    return JSON.stringify(value);
}

/** "-12.50e3" as "-125e2": digits without zeros at the ends, and the power of ten. */
function decimal(text) {
    const [, sign, whole, fraction = '', exponent = '0'] =
        /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
    const digits = (whole + fraction).replace(/^0+/, ''), short = digits.replace(/0+$/, '');
    if (!short)
        return '0';
    const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - short.length);
    return sign + short + 'e' + power;
}

/** Why we may refuse a valid text, or null. */
function reason(text) {
    const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[{}[\],:]|true|false|null/g;
    const open = [];
    let isKey = false;
    for (const [t] of text.matchAll(token)) {
        const top = open.at(-1);
        if (t === '{' || t === '[') {
            open.push(t === '{' ? new Set() : null);
            isKey = t === '{';
        } else if (t === '}' || t === ']') {
            open.pop();
            isKey = false;
        } else if (t === ',') {
            isKey = top instanceof Set;
        } else if (t === ':') {
            isKey = false;
        } else if (isKey && t[0] === '"') {
            const key = JSON.parse(t);
            if (top.has(key))
                return 'two equal keys';
            top.add(key);
        } else if (/^[-\d]/.test(t)) {
            const number = Number(t);
            if (!Number.isFinite(number) || decimal(String(number).replace('e+', 'e')) !== decimal(t))
                return 'a number that changes';
        }
    }
    return null;
}

const lines = readFileSync(process.argv[2], 'latin1').split('\n');
let accepted = 0, refused = 0;
for (let i = 0; i + 1 < lines.length; i += 2) {
    const text = Buffer.from(lines[i], 'hex').toString('utf8');
    const why = reason(text);
    if (lines[i + 1] === '-') {
        if (!why) {
            console.log(`refused without a reason: ${text}`);
            process.exit(1);
        }
        refused++;
        continue;
    }
    const ours = Buffer.from(lines[i + 1], 'hex').toString('utf8');
    const theirs = canonical(JSON.parse(text));
    if (ours !== theirs || why) {
        console.log(`text:   ${text}\nours:   ${ours}\ntheirs: ${theirs}\n${why ?? ''}`);
        process.exit(1);
    }
    accepted++;
}
console.log(`${accepted} canonical forms are JavaScript's; ${refused} texts were refused for a reason`);
process.exit(accepted >= 50 && refused >= 1 ? 0 : 1);
