/* The request reader: hostile and honest heads and bodies, each fed whole, byte by byte and cut at
 * each position, on memory of exactly its size. */
#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/io/http_body.h"

enum { ACCEPTED = 200, INCOMPLETE = 100 };

struct verdict {
    int status; /* ACCEPTED, INCOMPLETE, or the refusal's */
    const char *error;
    size_t used; /* bytes of an accepted request */
    struct fl_buf content;
};

struct vector {
    const char *name;
    const char *bytes;
    size_t n;
    int status;
    const char *error; /* of a refusal; content of an accepted request with a body */
};

#define V(name, bytes, status, error)                                                              \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, status, error                                              \
    }
#define R  "GET / HTTP/1.1\r\n"
#define H  "Host: a.example\r\n"
#define P  "POST /mcp HTTP/1.1\r\nHost: a.example\r\n"
#define CH P "Transfer-Encoding: chunked\r\n\r\n"

#define E_METHOD         "the method is not a token"
#define E_UNKNOWN        "the method is not known"
#define E_TARGET         "the target is not valid"
#define E_VERSION        "the version is not valid"
#define E_SPOKEN         "only http/1.1 and http/1.0 are spoken here"
#define E_LINE           "the request line does not end behind the version"
#define E_CRLF           "a line must end in CR LF"
#define E_NAME           "a header name is not a token"
#define E_FOLD           "a header line must not be folded"
#define E_CTL            "a header value has a control character"
#define E_HOSTS          "there must be exactly one host"
#define E_HOST           "the host is not valid"
#define E_LENGTH         "the content length is not a number"
#define E_LENGTHS        "there is more than one content length"
#define E_BOTH           "both a content length and a transfer coding are given"
#define E_CODING         "the transfer coding does not end in one \"chunked\""
#define E_CODINGS        "there is more than one transfer coding line"
#define E_CODING_UNKNOWN "no transfer coding but \"chunked\" is known"
#define E_OTHER_HOST     "the target names another host than the host header"
#define E_EXPECT         "only the expectation \"100-continue\" can be met"
#define E_SIZE           "a chunk size is not a hexadecimal number"
#define E_LARGE          "the body is too large"
#define E_LONGER         "a chunk is longer than its size says"

static const struct vector vectors[] = {
    /* ---- accepted ---- */
    V("plain get", R H "\r\n", ACCEPTED, ""),
    V("blank line before it", "\r\n" R H "\r\n", ACCEPTED, ""),
    V("port in host", R "Host: a.example:8443\r\n\r\n", ACCEPTED, ""),
    V("ipv6 host", R "Host: [::1]:80\r\n\r\n", ACCEPTED, ""),
    V("no blank behind the colon", R "Host:a.example\r\n\r\n", ACCEPTED, ""),
    V("blanks and tabs around a value", R "Host: \t a.example \t \r\n\r\n", ACCEPTED, ""),
    V("empty value", R H "X:\r\n\r\n", ACCEPTED, ""),
    V("bytes over 0x7f in a value", R H "X: caf\xc3\xa9 \xff\r\n\r\n", ACCEPTED, ""),
    V("every tchar in a name", R H "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", ACCEPTED, ""),
    V("query", "GET /a/b?c=d&e HTTP/1.1\r\n" H "\r\n", ACCEPTED, ""),
    V("query alone", "GET /? HTTP/1.1\r\n" H "\r\n", ACCEPTED, ""),
    V("query as browsers send it", "GET /?a=[1]|{2}^`3` HTTP/1.1\r\n" H "\r\n", ACCEPTED, ""),
    V("absolute form", "GET http://a.example/x HTTP/1.1\r\n" H "\r\n", ACCEPTED, ""),
    V("absolute form, other case", "GET HTTPS://A.EXAMPLE?x HTTP/1.1\r\n" H "\r\n", ACCEPTED, ""),
    V("asterisk form", "OPTIONS * HTTP/1.1\r\n" H "\r\n", ACCEPTED, ""),
    V("http/1.0 without host", "GET / HTTP/1.0\r\n\r\n", ACCEPTED, ""),
    V("http/1.0 with a length", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", ACCEPTED, "hi"),
    V("post without length", P "\r\n", ACCEPTED, ""),
    V("length zero", P "Content-Length: 0\r\n\r\n", ACCEPTED, ""),
    V("length", P "Content-Length: 5\r\n\r\nhello", ACCEPTED, "hello"),
    V("length with zeros", P "Content-Length: 005\r\n\r\nhello", ACCEPTED, "hello"),
    V("get with a body", R H "Content-Length: 2\r\n\r\nhi", ACCEPTED, "hi"),
    V("chunked", CH "5\r\nhello\r\n0\r\n\r\n", ACCEPTED, "hello"),
    V("chunks", CH "1\r\nh\r\n004\r\nello\r\n000\r\n\r\n", ACCEPTED, "hello"),
    V("chunk sizes in both cases", CH "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", ACCEPTED,
      "01234567890123456789"),
    V("chunked, other case", P "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", ACCEPTED, ""),
    V("chunk extension", CH "5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n", ACCEPTED, "hello"),
    V("trailers are dropped", CH "1\r\nx\r\n0\r\nHost: evil\r\nA:\r\n\r\n", ACCEPTED, "x"),
    V("crlf in a chunk is content", CH "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", ACCEPTED,
      "\r\n0\r\n\r\n"),
    V("expect 100-continue", P "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\nx", ACCEPTED, "x"),
    V("h2c is not taken up",
      R H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          "HTTP2-Settings: AAMAAABk\r\n\r\n",
      ACCEPTED, ""),
    V("upgrade: bogus is not taken up", R H "Connection: upgrade\r\nUpgrade: bogus\r\n\r\n",
      ACCEPTED, ""),
    V("two cookies", R H "Cookie: a=b\r\nCookie: c=d\r\n\r\n", ACCEPTED, ""),
    V("what follows is the next request", P "Content-Length: 1\r\n\r\nxGET /smuggled", ACCEPTED,
      "x"),
    /* A name that is the front of a known one must not swallow the line behind it. */
    V("prefix X", P "X: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix A", P "A: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix C", P "C: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix Cook", P "Cook: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix X-", P "X-: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix X-F", P "X-F: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix X-Forwarded-Fo", P "X-Forwarded-Fo: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED,
      "abc"),
    V("prefix Sec-", P "Sec-: y\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED, "abc"),
    V("prefix Content-Lengt", P "Content-Lengt: 9\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED,
      "abc"),
    V("longer Content-Lengthx", P "Content-Lengthx: 9\r\nContent-Length: 3\r\n\r\nabc", ACCEPTED,
      "abc"),
    V("prefix Transfer-Encodin", P "Transfer-Encodin: chunked\r\n\r\n", ACCEPTED, ""),
    V("prefix Hos", R "Hos: evil\r\n" H "\r\n", ACCEPTED, ""),
    /* ---- not yet decided ---- */
    V("nothing", "", INCOMPLETE, NULL),
    V("half a method", "GE", INCOMPLETE, NULL),
    V("head without end", R H, INCOMPLETE, NULL),
    V("body too short", P "Content-Length: 5\r\n\r\nhell", INCOMPLETE, NULL),
    V("chunk without end", CH "5\r\nhello\r\n", INCOMPLETE, NULL),
    V("trailers without end", CH "0\r\nA: b\r\n", INCOMPLETE, NULL),
    /* ---- request line ---- */
    V("two blank lines", "\r\n\r\n" R H "\r\n", 400, E_METHOD),
    V("lf before it", "\n" R H "\r\n", 400, E_METHOD),
    V("cr before it", "\r" R H "\r\n", 400, E_CRLF),
    V("blank before it", " " R H "\r\n", 400, E_METHOD),
    V("http/0.9", "GET /\r\n", 400, E_TARGET),
    V("two blanks behind the method", "GET  / HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("tab behind the method", "GET\t/ HTTP/1.1\r\n" H "\r\n", 400, E_METHOD),
    V("two blanks before the version", "GET /  HTTP/1.1\r\n" H "\r\n", 400, E_VERSION),
    V("blank behind the version", "GET / HTTP/1.1 \r\n" H "\r\n", 400, E_LINE),
    V("lf behind the version", "GET / HTTP/1.1\n" H "\r\n", 400, E_LINE),
    V("cr cr lf", "GET / HTTP/1.1\r\r\n" H "\r\n", 400, E_CRLF),
    V("blank in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", 400, E_VERSION),
    V("tab in the target", "GET /a\tb HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("nul in the target", "GET /a\0b HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("backslash", "GET /a\\b HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("quote", "GET /\" HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("byte over 0x7f", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("bracket in the path", "GET /[a] HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("brace in the path", "GET /{a} HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("broken escape", "GET /%zz HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("cut escape", "GET /%2 HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("broken escape in the query", "GET /?%2 HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("no slash", "GET index.html HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("asterisk with get", "GET * HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("asterisk with a path", "OPTIONS */a HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("other scheme", "GET ftp://a.example/ HTTP/1.1\r\n" H "\r\n", 400, E_TARGET),
    V("absolute form, other host", "GET http://evil/ HTTP/1.1\r\n" H "\r\n", 400, E_OTHER_HOST),
    V("absolute form, port", "GET http://a.example:81/ HTTP/1.1\r\n" H "\r\n", 400, E_OTHER_HOST),
    V("absolute form, user", "GET http://u@a.example/ HTTP/1.1\r\n" H "\r\n", 400, E_OTHER_HOST),
    V("absolute form, no host", "GET http:///x HTTP/1.1\r\n" H "\r\n", 400, E_OTHER_HOST),
    V("http/2.0", "GET / HTTP/2.0\r\n" H "\r\n", 505, E_SPOKEN),
    V("http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, E_SPOKEN),
    V("http/1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505, E_SPOKEN),
    V("http/0.9 named", "GET / HTTP/0.9\r\n" H "\r\n", 505, E_SPOKEN),
    V("http/1.10", "GET / HTTP/1.10\r\n" H "\r\n", 400, E_LINE),
    V("http/1", "GET / HTTP/1\r\n" H "\r\n", 400, E_VERSION),
    V("http/1,1", "GET / HTTP/1,1\r\n" H "\r\n", 400, E_VERSION),
    V("version in small letters", "GET / http/1.1\r\n" H "\r\n", 400, E_VERSION),
    V("rtsp", "GET / RTSP/1.0\r\n" H "\r\n", 400, E_VERSION),
    V("small method", "get / HTTP/1.1\r\n" H "\r\n", 501, E_UNKNOWN),
    V("connect", "CONNECT a.example:443 HTTP/1.1\r\n" H "\r\n", 501, E_UNKNOWN),
    V("trace", "TRACE / HTTP/1.1\r\n" H "\r\n", 405, "trace is not allowed"),
    V("propfind", "PROPFIND / HTTP/1.1\r\n" H "\r\n", 501, E_UNKNOWN),
    V("long method", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n", 501, E_UNKNOWN),
    V("method with nul", "G\0T / HTTP/1.1\r\n" H "\r\n", 400, E_METHOD),
    V("method with colon", "GET: / HTTP/1.1\r\n" H "\r\n", 400, E_METHOD),
    V("tls on a clear port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, E_METHOD),
    V("socks", "\x05\x01\x00", 400, E_METHOD),
    V("proxy protocol", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" R H "\r\n", 400, E_VERSION),
    V("proxy protocol 2", "\r\n\r\n\0\r\nQUIT\n", 400, E_METHOD),
    /* ---- header lines ---- */
    V("lf ends a line", R "Host: a.example\n\r\n", 400, E_CTL),
    V("lf ends the head", R H "\n", 400, E_NAME),
    V("cr in a value", R H "A: b\rc\r\n\r\n", 400, E_CRLF),
    V("cr behind the head", R H "\r\r\n", 400, E_CRLF),
    V("nul in a value", R H "A: b\0c\r\n\r\n", 400, E_CTL),
    V("escape in a value", R H "A: \x1b[31m\r\n\r\n", 400, E_CTL),
    V("del in a value", R H "A: \x7f\r\n\r\n", 400, E_CTL),
    V("vertical tab in a value", R H "A: \x0b\r\n\r\n", 400, E_CTL),
    V("blank before the colon", R "Host : a.example\r\n\r\n", 400, E_NAME),
    V("tab before the colon", R H "A\t: b\r\n\r\n", 400, E_NAME),
    V("blank in a name", R H "A b: c\r\n\r\n", 400, E_NAME),
    V("no colon", R H "garbage\r\n\r\n", 400, E_NAME),
    V("no name", R H ": b\r\n\r\n", 400, E_NAME),
    V("nul in a name", R H "A\0: b\r\n\r\n", 400, E_NAME),
    V("byte over 0x7f in a name", R H "\xc3\xa9: b\r\n\r\n", 400, E_NAME),
    V("slash in a name", R H "a/b: c\r\n\r\n", 400, E_NAME),
    V("folded with a blank", R H "A: b\r\n c\r\n\r\n", 400, E_FOLD),
    V("folded with a tab", R H "A: b\r\n\tc\r\n\r\n", 400, E_FOLD),
    V("folded length", P "Content-Length:\r\n 3\r\n\r\nabc", 400, E_FOLD),
    V("blank before the first name", R " " H "\r\n", 400, E_FOLD),
    V("blank before the end", R H " \r\n\r\n", 400, E_FOLD),
    /* ---- host ---- */
    V("no host", R "\r\n", 400, E_HOSTS),
    V("two hosts", R H "Host: evil\r\n\r\n", 400, E_HOSTS),
    V("two equal hosts", R H H "\r\n", 400, E_HOSTS),
    V("two hosts in one", R "Host: a.example, evil\r\n\r\n", 400, E_HOST),
    V("empty host", R "Host:\r\n\r\n", 400, E_HOST),
    V("user in host", R "Host: u@a.example\r\n\r\n", 400, E_HOST),
    V("path in host", R "Host: a.example/b\r\n\r\n", 400, E_HOST),
    V("query in host", R "Host: a.example?b\r\n\r\n", 400, E_HOST),
    V("escape in host", R "Host: a%2eexample\r\n\r\n", 400, E_HOST),
    V("host with a blank", R "Host: a example\r\n\r\n", 400, E_HOST),
    V("port without number", R "Host: a.example:\r\n\r\n", 400, E_HOST),
    V("port too large", R "Host: a.example:65536\r\n\r\n", 400, E_HOST),
    V("port with a sign", R "Host: a.example:+80\r\n\r\n", 400, E_HOST),
    V("two ports", R "Host: a.example:80:80\r\n\r\n", 400, E_HOST),
    V("port alone", R "Host: :80\r\n\r\n", 400, E_HOST),
    V("open bracket", R "Host: [::1\r\n\r\n", 400, E_HOST),
    V("empty brackets", R "Host: []\r\n\r\n", 400, E_HOST),
    V("name in brackets", R "Host: [a.example]\r\n\r\n", 400, E_HOST),
    V("zone in brackets", R "Host: [fe80::1%25eth0]\r\n\r\n", 400, E_HOST),
    V("text behind brackets", R "Host: [::1]x\r\n\r\n", 400, E_HOST),
    V("http/1.0 with two hosts", "GET / HTTP/1.0\r\n" H H "\r\n", 400, E_HOSTS),
    /* ---- length of the body ---- */
    V("length junk", P "Content-Length: 3x\r\n\r\nabc", 400, E_LENGTH),
    V("length with sign", P "Content-Length: +3\r\n\r\nabc", 400, E_LENGTH),
    V("negative length", P "Content-Length: -3\r\n\r\nabc", 400, E_LENGTH),
    V("hex length", P "Content-Length: 0x3\r\n\r\nabc", 400, E_LENGTH),
    V("fraction", P "Content-Length: 3.0\r\n\r\nabc", 400, E_LENGTH),
    V("empty length", P "Content-Length:\r\n\r\n", 400, E_LENGTH),
    V("length with a blank", P "Content-Length: 3 3\r\n\r\nabc", 400, E_LENGTH),
    V("list of lengths", P "Content-Length: 3, 3\r\n\r\nabc", 400, E_LENGTH),
    V("list of different lengths", P "Content-Length: 3,5\r\n\r\nabc", 400, E_LENGTH),
    V("length over 64 bits", P "Content-Length: 18446744073709551616\r\n\r\n", 400, E_LENGTH),
    V("length over 63 bits", P "Content-Length: 9223372036854775808\r\n\r\n", 400, E_LENGTH),
    V("two lengths", P "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc", 400, E_LENGTHS),
    V("two equal lengths", P "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc", 400, E_LENGTHS),
    V("length and chunked", P "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400,
      E_BOTH),
    V("chunked and length", P "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 400,
      E_BOTH),
    V("chunked in http/1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400, "http/1.0 has no transfer codings"),
    V("http/1.0 post without length", "POST / HTTP/1.0\r\n" H "\r\n", 411,
      "a content length is required"),
    V("length over the limit", P "Content-Length: 1001\r\n\r\n", 413, E_LARGE),
    V("xchunked", P "Transfer-Encoding: xchunked\r\n\r\n", 400, E_CODING),
    V("identity", P "Transfer-Encoding: identity\r\n\r\n", 400, E_CODING),
    V("gzip", P "Transfer-Encoding: gzip\r\n\r\n", 400, E_CODING),
    V("chunked not last", P "Transfer-Encoding: chunked, identity\r\n\r\n", 400, E_CODING),
    V("chunked twice", P "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, E_CODING),
    V("chunked with a parameter", P "Transfer-Encoding: chunked;q=1\r\n\r\n", 400, E_CODING),
    V("comma before chunked", P "Transfer-Encoding: , chunked\r\n\r\n", 400, E_CODING),
    V("comma behind chunked", P "Transfer-Encoding: chunked,\r\n\r\n", 400, E_CODING),
    V("empty coding", P "Transfer-Encoding:\r\n\r\n", 400, E_CODING),
    V("quoted chunked", P "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, E_CODING),
    V("vertical tab before chunked",
      P "Transfer-Encoding: \x0b"
        "chunked\r\n\r\n",
      400, E_CTL),
    V("gzip, then chunked", P "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, E_CODING_UNKNOWN),
    V("two codings", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
      E_CODINGS),
    V("two different codings",
      P "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", 400, E_CODINGS),
    V("other expectation", P "Content-Length: 1\r\nExpect: 200-ok\r\n\r\nx", 417, E_EXPECT),
    V("two expectations", P "Expect: 100-continue, x\r\n\r\n", 417, E_EXPECT),
    V("expectation twice", P "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417, E_EXPECT),
    /* ---- chunks ---- */
    V("no chunk size", CH "\r\n", 400, E_SIZE),
    V("chunk size with 0x", CH "0x5\r\nhello\r\n0\r\n\r\n", 400, E_SIZE),
    V("chunk size with plus", CH "+5\r\nhello\r\n", 400, E_SIZE),
    V("chunk size with minus", CH "-5\r\nhello\r\n", 400, E_SIZE),
    V("blank before the size", CH " 5\r\nhello\r\n", 400, E_SIZE),
    V("blank behind the size", CH "5 \r\nhello\r\n", 400, E_SIZE),
    V("blank before the extension", CH "5 ;a\r\nhello\r\n", 400, E_SIZE),
    V("size not hexadecimal", CH "g\r\n", 400, E_SIZE),
    V("size over 64 bits", CH "10000000000000000\r\n", 400, "a chunk size is too long"),
    V("size with many zeros", CH "00000000000000005\r\nhello\r\n", 400, "a chunk size is too long"),
    V("size of 64 bits", CH "ffffffffffffffff\r\n", 413, E_LARGE),
    V("size over the limit", CH "3e9\r\n", 413, E_LARGE),
    V("sizes over the limit together", CH "1\r\nx\r\n3e8\r\n", 413, E_LARGE),
    V("lf behind the size", CH "5\nhello\r\n0\r\n\r\n", 400, E_SIZE),
    V("cr alone behind the size", CH "5\rhello\r\n0\r\n\r\n", 400, E_CRLF),
    V("lf in an extension", CH "5;a\nhello\r\n0\r\n\r\n", 400,
      "a chunk extension has a control character"),
    V("cr in an extension", CH "5;a\rb\r\nhello\r\n0\r\n\r\n", 400, E_CRLF),
    V("nul in an extension", CH "5;\0\r\nhello\r\n", 400,
      "a chunk extension has a control character"),
    V("chunk too long", CH "5\r\nhello!\r\n0\r\n\r\n", 400, E_LONGER),
    V("chunk too short", CH "5\r\nhell\r\n0\r\n\r\n", 400, E_LONGER),
    V("lf behind a chunk", CH "5\r\nhello\n0\r\n\r\n", 400, E_LONGER),
    V("cr alone behind a chunk", CH "5\r\nhello\r0\r\n\r\n", 400, E_CRLF),
    V("blank before the colon of a trailer", CH "0\r\nA : b\r\n\r\n", 400,
      "a trailer name is not a token"),
    V("folded trailer", CH "0\r\nA: b\r\n c\r\n\r\n", 400, "a trailer name is not a token"),
    V("trailer without colon", CH "0\r\nGET / HTTP/1.1\r\n\r\n", 400,
      "a trailer name is not a token"),
    V("trailer without name", CH "0\r\n: b\r\n\r\n", 400, "a trailer name is not a token"),
    V("lf ends a trailer", CH "0\r\nA: b\n\r\n", 400, "a trailer value has a control character"),
    V("lf ends the body", CH "0\r\n\n", 400, "a trailer name is not a token"),
    V("cr alone ends the body", CH "0\r\n\rX", 400, E_CRLF),
    V("cr alone in a trailer", CH "0\r\nA: b\rc\r\n\r\n", 400, E_CRLF),
};

static void refuse(struct verdict *v, int status, const char *error)
{
    v->status = status;
    v->error = error;
}

/* Feeds a body from `at` on, `n` bytes of it being there; the reader keeps its state. */
static void feed_body(struct fl_http_body *body, struct verdict *v, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n && v->status == INCOMPLETE) {
        size_t some = 0;
        struct fl_str content;
        switch (fl_http_body_read(body, p + used, n - used, &some, &content)) {
        case FL_HTTP_BAD: refuse(v, body->status, body->error); break;
        case FL_HTTP_DONE: v->status = ACCEPTED; break;
        case FL_HTTP_MORE: break;
        }
        CHECK(some > 0);
        fl_buf_str(&v->content, content);
        used += some;
    }
    v->used += used;
}

/* Reads one request that arrives in pieces ending at the given places (the last one is n). */
static struct verdict read_in_pieces(const char *bytes, const size_t *ends, size_t count,
                                     struct fl_http_head *head)
{
    struct verdict v = { .status = INCOMPLETE };
    struct fl_http_body body;
    bool is_in_body = false;
    size_t from = 0;
    fl_http_head_init(head, 16384, 100, 8192);
    for (size_t i = 0; i < count && v.status == INCOMPLETE; i++) {
        size_t begin = is_in_body ? from : 0; /* a head is offered from its begin each time */
        char *piece = malloc(ends[i] - begin + (ends[i] == begin));
        memcpy(piece, bytes + begin, ends[i] - begin);
        size_t n = ends[i] - begin, at = 0;
        if (!is_in_body) {
            switch (fl_http_head_read(head, piece, n)) {
            case FL_HTTP_BAD: refuse(&v, head->status, head->error); break;
            case FL_HTTP_MORE: break;
            case FL_HTTP_DONE:
                is_in_body = true;
                at = v.used = head->bytes;
                switch (fl_http_body_init(&body, head, 1000)) {
                case FL_HTTP_BAD: refuse(&v, body.status, body.error); break;
                case FL_HTTP_DONE: v.status = ACCEPTED; break;
                case FL_HTTP_MORE: break;
                }
                break;
            }
        }
        if (is_in_body && v.status == INCOMPLETE)
            feed_body(&body, &v, piece + at, n - at);
        from = ends[i];
        free(piece);
    }
    return v;
}

static void check_vector(const struct vector *t, const size_t *ends, size_t count, const char *how)
{
    struct fl_http_head head;
    struct verdict v = read_in_pieces(t->bytes, ends, count, &head);
    CHECK_MSG(v.status == t->status, "%s, %s: %d (%s), not %d", t->name, how, v.status,
              v.error ? v.error : "-", t->status);
    if (v.status == ACCEPTED) {
        CHECK_MSG(fl_str_is(fl_buf_view(&v.content), t->error), "%s, %s: content \"%.*s\"", t->name,
                  how, FL_STR_ARG(fl_buf_view(&v.content)));
    } else if (v.error) {
        CHECK_MSG(strcmp(v.error, t->error) == 0, "%s, %s: \"%s\", not \"%s\"", t->name, how,
                  v.error, t->error);
    }
    fl_buf_fini(&v.content);
}

static size_t *each_byte(size_t n)
{
    size_t *ends = malloc((n + 1) * sizeof *ends);
    for (size_t i = 0; i <= n; i++)
        ends[i] = i;
    return ends;
}

static void test_each_vector_has_its_verdict_however_it_is_cut(void)
{
    size_t refused = 0, accepted = 0;
    for (size_t i = 0; i < FL_COUNTOF(vectors); i++) {
        const struct vector *t = &vectors[i];
        check_vector(t, &t->n, 1, "whole");
        size_t *ends = each_byte(t->n);
        check_vector(t, ends, t->n + 1, "byte by byte");
        free(ends);
        for (size_t cut = 1; cut < t->n; cut++) {
            size_t two[] = { cut, t->n };
            check_vector(t, two, 2, "in two");
        }
        refused += t->status > ACCEPTED;
        accepted += t->status == ACCEPTED;
    }
    printf("    %zu vectors: %zu refused, %zu accepted\n", FL_COUNTOF(vectors), refused, accepted);
    CHECK(refused >= 120 && accepted >= 40); /* the table did not become empty */
}

/* A head of `before`, `count` times `fill`, `after`. */
static struct fl_buf big(const char *before, const char *fill, size_t count, const char *after)
{
    struct fl_buf b = FL_BUF_INIT;
    fl_buf_puts(&b, before);
    for (size_t i = 0; i < count; i++)
        fl_buf_puts(&b, fill);
    fl_buf_puts(&b, after);
    CHECK(!b.is_failed);
    return b;
}

static void check_big(struct fl_buf b, int status, const char *error)
{
    struct vector t = { "big", b.p, b.n, status, error };
    check_vector(&t, &t.n, 1, "whole");
    for (size_t cut = 1; cut < t.n; cut += 1 + t.n / 50) {
        size_t two[] = { cut, t.n };
        check_vector(&t, two, 2, "in two");
    }
    size_t *ends = each_byte(t.n);
    check_vector(&t, ends, t.n + 1, "byte by byte");
    free(ends);
    fl_buf_fini(&b);
}

static void test_limits_are_met_and_not_passed(void)
{
    const char *too_many = "there are too many headers", *too_long = "the target is too long";
    const char *large = "the request head is too large";
    check_big(big("GET /", "a", 8191, " HTTP/1.1\r\n" H "\r\n"), ACCEPTED, "");
    check_big(big("GET /", "a", 8192, " HTTP/1.1\r\n" H "\r\n"), 414, too_long);
    check_big(big("GET /?", "a", 9000, ""), 414, too_long);
    check_big(big(R H, "A: b\r\n", 99, "\r\n"), ACCEPTED, "");
    check_big(big(R H, "A: b\r\n", 100, "\r\n"), 431, too_many);
    size_t frame = strlen(R H "A: \r\n\r\n");
    check_big(big(R H "A: ", "b", 16384 - frame, "\r\n\r\n"), ACCEPTED, "");
    check_big(big(R H "A: ", "b", 16385 - frame, "\r\n\r\n"), 431, large);
    check_big(big(R H, "b", 20000, ""), 431, large);
    check_big(big(R H "A:", " ", 20000, ""), 431, large);
    check_big(big(CH "1;", "e", 255, "\r\nx\r\n0;\r\n\r\n"), ACCEPTED, "x");
    check_big(big(CH "1;", "e", 257, "\r\nx\r\n0\r\n\r\n"), 400,
              "the chunk extensions are too long");
    check_big(big(CH, "1;abcdef\r\nx\r\n", 100, "0\r\n\r\n"), 400,
              "the chunk extensions are too long");
    check_big(big(CH "0\r\nA: ", "t", 4089, "\r\n\r\n"), ACCEPTED, "");
    check_big(big(CH "0\r\nA: ", "t", 4090, "\r\n\r\n"), 431, "the trailer section is too large");
    check_big(big(CH "0\r\n", "A:b\r\n", 1000, "\r\n"), 431, "the trailer section is too large");
    check_big(big(CH, "1\r\nx\r\n", 1001, "0\r\n\r\n"), 413, E_LARGE);
}

static struct fl_str at(const char *p, struct fl_http_place place)
{
    return (struct fl_str){ p + place.at, place.n };
}

static void test_the_parts_of_a_head_are_found(void)
{
    static const char text[] = "\r\nPOST https://A.example:8443/a/b?c=%20d HTTP/1.1\r\n"
                               "Host: a.EXAMPLE:8443\r\nX-Empty:\r\nX: \t y z\t \r\n"
                               "Connection: keep-alive, Close\r\nExpect: 100-continue\r\n"
                               "Content-Length: 12\r\n\r\n";
    struct fl_http_head head;
    size_t n = sizeof text - 1;
    struct verdict v = read_in_pieces(text, &n, 1, &head);
    CHECK_INT(v.status, INCOMPLETE);
    CHECK_INT(head.bytes, n);
    CHECK_INT(head.method, FL_HTTP_POST);
    CHECK_SPAN(at(text, head.path), "/a/b");
    CHECK(head.has_query);
    CHECK_SPAN(at(text, head.query), "c=%20d");
    CHECK_SPAN(at(text, head.host), "a.EXAMPLE:8443");
    CHECK_INT(head.field_count, 6);
    CHECK_SPAN(at(text, head.field[1].name), "X-Empty");
    CHECK_INT(head.field[1].value.n, 0);
    CHECK_SPAN(at(text, head.field[2].value), "y z");
    CHECK_INT(head.body, FL_HTTP_BODY_LENGTH);
    CHECK_INT(head.content_length, 12);
    CHECK(!head.keeps_alive && head.expects_continue && !head.is_http10);
}

static void test_keeping_alive_follows_version_and_connection(void)
{
    static const struct {
        const char *text;
        bool keeps;
    } cases[] = {
        { R H "\r\n", true },
        { R H "Connection: keep-alive\r\n\r\n", true },
        { R H "Connection: close\r\n\r\n", false },
        { R H "Connection: x, ,CLOSE\r\n\r\n", false },
        { R H "Connection: x\r\nconnection: close\r\n\r\n", false },
        { R H "Connection: closed\r\n\r\n", true },
        { "GET / HTTP/1.0\r\n" H "\r\n", false },
        { "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n", false },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_http_head head;
        size_t n = strlen(cases[i].text);
        struct verdict v = read_in_pieces(cases[i].text, &n, 1, &head);
        CHECK_INT(v.status, ACCEPTED);
        CHECK_MSG(head.keeps_alive == cases[i].keeps, "case %zu", i);
    }
}

static void test_a_smuggled_request_is_the_next_one_and_not_a_body(void)
{
    static const char text[] =
        P "X: y\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\n" H "\r\n";
    struct fl_http_head head;
    size_t n = sizeof text - 1;
    struct verdict v = read_in_pieces(text, &n, 1, &head);
    CHECK_INT(v.status, ACCEPTED);
    CHECK_SPAN(fl_buf_view(&v.content), "abc");
    CHECK(memcmp(text + v.used, "GET /next", 9) == 0);
    fl_buf_fini(&v.content);
}

static void test_decoding_refuses_what_hides(void)
{
    static const struct {
        const char *text;
        unsigned flags;
        const char *decoded, *error;
    } cases[] = {
        { "a%20b%C3%A9", 0, "a b\xc3\xa9", NULL },
        { "a+b", 0, "a+b", NULL },
        { "a+b%2B", FL_HTTP_PLUS_IS_BLANK, "a b+", NULL },
        { "%2F", 0, "/", NULL },
        { "%2f", FL_HTTP_REFUSE_SLASH, NULL, "an escaped slash cannot stand here" },
        { "a%5Cb", FL_HTTP_REFUSE_SLASH, NULL, "an escaped slash cannot stand here" },
        { "a%00", 0, NULL, "an escaped NUL cannot stand here" },
        { "%", 0, NULL, "a percent escape is not two hex digits" },
        { "%4", 0, NULL, "a percent escape is not two hex digits" },
        { "%G1", 0, NULL, "a percent escape is not two hex digits" },
        { "%ff", 0, NULL, "the decoded text is not UTF-8" },
        { "%C0%AF", 0, NULL, "the decoded text is not UTF-8" },
        { "", 0, "", NULL },
    };
    struct fl_arena *arena = fl_arena_new(0);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_str out = { 0 };
        struct fl_err err;
        enum fl_code code =
            fl_http_decode(arena, fl_str_of(cases[i].text), cases[i].flags, &out, &err);
        CHECK_INT(code, cases[i].error ? FL_BAD_REQUEST : FL_OK);
        if (cases[i].error)
            CHECK_STR(err.text, cases[i].error);
        else
            CHECK_SPAN(out, cases[i].decoded);
    }
    fl_arena_free(&arena);
}

static void test_forms_are_walked_in_order(void)
{
    static const char *const want[] = { "a", "1", "b", "", "", "x=y", "c d", "\xc3\xa9" };
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_str name, value, form = FL_STR("a=1&&b&=x=y&c+d=%C3%A9&");
    struct fl_err err;
    size_t pos = 0, i = 0;
    while (fl_http_form_next(arena, form, &pos, &name, &value, &err) == FL_OK) {
        CHECK(i + 2 <= FL_COUNTOF(want));
        CHECK_SPAN(name, want[i++]);
        CHECK_SPAN(value, want[i++]);
    }
    CHECK_INT(err.code, FL_NOT_FOUND);
    CHECK_INT(i, FL_COUNTOF(want));
    pos = 0;
    CHECK_INT(fl_http_form_next(arena, FL_STR("a=%0"), &pos, &name, &value, &err), FL_BAD_REQUEST);
    fl_arena_free(&arena);
    for (uint64_t fail = 1;; fail++) {
        arena = fl_arena_new(0);
        pos = 0;
        fl_mem_fail_at(fail, 0);
        enum fl_code code = fl_http_form_next(arena, form, &pos, &name, &value, &err);
        fl_mem_fail_at(0, 0);
        fl_arena_free(&arena);
        CHECK(code == FL_OK || (code == FL_NOMEM && pos == 0));
        if (code == FL_OK)
            break;
    }
}

/* Bytes changed at random must never be read differently whole and byte by byte. */
static void test_noise_gets_one_verdict(void)
{
    uint64_t random = 88172645463325252ULL;
    size_t refused = 0, rounds = 20000;
    for (size_t round = 0; round < rounds; round++) {
        const struct vector *t = &vectors[round % 46];
        char text[512];
        size_t n = t->n < sizeof text ? t->n : sizeof text;
        memcpy(text, t->bytes, n);
        for (int k = 0; k < 3 && n; k++) {
            static const char spicy[] = "\r\n \t:;,0a9fF%?#\0\x7f\xff";
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            text[random % n] = spicy[(random >> 32) % (sizeof spicy - 1)];
        }
        struct fl_http_head head;
        struct verdict whole = read_in_pieces(text, &n, 1, &head);
        size_t *ends = each_byte(n);
        struct verdict bytes = read_in_pieces(text, ends, n + 1, &head);
        free(ends);
        CHECK_INT(bytes.status, whole.status);
        if (whole.status > ACCEPTED)
            CHECK_STR(bytes.error, whole.error);
        else
            CHECK_INT(bytes.used, whole.used);
        CHECK(fl_str_eq(fl_buf_view(&bytes.content), fl_buf_view(&whole.content)));
        refused += whole.status > ACCEPTED;
        fl_buf_fini(&whole.content);
        fl_buf_fini(&bytes.content);
    }
    CHECK(refused > rounds / 4 && refused < rounds);
}

static const struct fl_test tests[] = {
    T(each_vector_has_its_verdict_however_it_is_cut),
    T(limits_are_met_and_not_passed),
    T(the_parts_of_a_head_are_found),
    T(keeping_alive_follows_version_and_connection),
    T(a_smuggled_request_is_the_next_one_and_not_a_body),
    T(decoding_refuses_what_hides),
    T(forms_are_walked_in_order),
    T(noise_gets_one_verdict),
};

TEST_MAIN(tests)
