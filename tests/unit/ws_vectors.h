/* WebSocket frames as a client sends them: what the guard says of each, and what a server answers.
 */
#ifndef FL_TEST_WS_VECTORS_H
#define FL_TEST_WS_VECTORS_H

/* Frames with an all-zero mask are readable here; some vectors have a real one. */
#define M    "\0\0\0\0"
#define BYE  "\x88\x82" M "\x03\xe8"
#define E10  "eeeeeeeeee"
#define E120 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10

struct vector {
    const char *name;
    const char *bytes;
    size_t n;
    uint16_t guard;      /* what the guard says */
    const char *answers; /* T:text, P:pong and C:code, in order */
};

#define V(name, bytes, guard, answers)                                                             \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, guard, answers                                             \
    }

static const struct vector vectors[] = {
    /* ---- as it should be ---- */
    V("text", "\x81\x85" M "hello" BYE, 0, "T:hello C:1000 "),
    V("masked text", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" BYE, 0, "T:Hello C:1000 "),
    V("empty text", "\x81\x80" M BYE, 0, "T: C:1000 "),
    V("masked empty text", "\x81\x80\x01\x02\x03\x04" BYE, 0, "T: C:1000 "),
    V("two texts", "\x81\x81" M "a\x81\x81" M "b" BYE, 0, "T:a T:b C:1000 "),
    V("125 bytes", "\x81\xfd" M E120 "eeeee" BYE, 0, "T:" E120 "eeeee C:1000 "),
    V("126 bytes", "\x81\xfe\0\x7e" M E120 "eeeeee" BYE, 0, "T:" E120 "eeeeee C:1000 "),
    V("two fragments", "\x01\x83" M "hel\x80\x82" M "lo" BYE, 0, "T:hello C:1000 "),
    V("three fragments", "\x01\x81" M "a\0\x81" M "b\x80\x81" M "c" BYE, 0, "T:abc C:1000 "),
    V("masked fragments", "\x01\x82\x01\x01\x01\x01ih\x80\x82\x02\x02\x02\x02\"\"" BYE, 0,
      "T:hi   C:1000 "),
    V("empty first fragment", "\x01\x80" M "\x80\x82" M "hi" BYE, 0, "T:hi C:1000 "),
    V("empty last fragment", "\x01\x82" M "hi\x80\x80" M BYE, 0, "T:hi C:1000 "),
    V("only empty fragments", "\x01\x80" M "\0\x80" M "\x80\x80" M BYE, 0, "T: C:1000 "),
    V("utf-8 over fragments", "\x01\x81" M "\xc3\x80\x81" M "\xa9" BYE, 0, "T:\xc3\xa9 C:1000 "),
    V("nul in a text", "\x81\x83" M "a\0b" BYE, 0, "T:a?b C:1000 "),
    V("ping", "\x89\x80" M, 0, "P: "),
    V("ping with payload", "\x89\x84" M "ping", 0, "P:ping "),
    V("masked ping", "\x89\x84\x01\x01\x01\x01qhof", 0, "P:ping "),
    V("two pings", "\x89\x81" M "a\x89\x81" M "b" BYE, 0, "P:a P:b C:1000 "),
    V("ping of 125 bytes", "\x89\xfd" M E120 "eeeee", 0, "P:" E120 "eeeee "),
    V("ping between fragments", "\x01\x83" M "hel\x89\x81" M "p\x80\x82" M "lo", 0, "P:p T:hello "),
    V("pong unasked", "\x8a\x83" M "huh" BYE, 0, "C:1000 "),
    V("empty pong", "\x8a\x80" M "\x81\x81" M "a" BYE, 0, "T:a C:1000 "),
    V("close without code", "\x88\x80" M, 0, "C: "),
    V("close with reason",
      "\x88\x85" M "\x03\xe9"
      "bye",
      0, "C:1001 "),
    V("masked close", "\x88\x82\x01\x02\x03\x04\x02\xea", 0, "C:1000 "),
    V("close 3000", "\x88\x82" M "\x0b\xb8", 0, "C:3000 "),
    V("close 4999", "\x88\x82" M "\x13\x87", 0, "C:4999 "),
    V("what stands behind a close", "\x88\x82" M "\x03\xe8\x81\x81" M "a\xff\xff", 0, "C:1000 "),
    /* ---- not masked ---- */
    V("unmasked text", "\x81\x05hello", 1002, "C:1002 "),
    V("unmasked empty text", "\x81\x00", 1002, "C:1002 "),
    V("unmasked ping", "\x89\x00", 1002, "C:1002 "),
    V("unmasked close", "\x88\x02\x03\xe8", 1002, "C:1002 "),
    V("masked, then unmasked",
      "\x81\x81" M "a\x81\x01"
      "b",
      1002, "T:a C:1002 "),
    V("unmasked fragment",
      "\x01\x81" M "a\x80\x01"
      "b",
      1002, "C:1002 "),
    /* ---- lengths longer than needed ---- */
    V("5 in two bytes", "\x81\xfe\0\x05" M "hello", 1002, "C:1002 "),
    V("125 in two bytes", "\x81\xfe\0\x7d" M E120 "eeeee", 1002, "C:1002 "),
    V("0 in two bytes", "\x81\xfe\0\0" M, 1002, "C:1002 "),
    V("5 in eight bytes", "\x81\xff\0\0\0\0\0\0\0\x05" M "hello", 1002, "C:1002 "),
    V("65535 in eight bytes", "\x81\xff\0\0\0\0\0\0\xff\xff" M, 1002, "C:1002 "),
    V("length with the top bit", "\x81\xff\x80\0\0\0\0\x01\0\0" M, 1002, "C:1002 "),
    V("length over the limit", "\x81\xff\0\0\0\0\0\x01\x86\xa1" M, 1009, "C:1009 "),
    V("length of 63 bits", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M, 1009, "C:1009 "),
    V("fragments over the limit together", "\x01\x81" M "a\x80\xff\0\0\0\0\0\x01\x86\xa0" M, 1009,
      "C:1009 "),
    V("ping with a long length", "\x89\xfe\0\x7e" M E120 "eeeeee", 1002, "C:1002 "),
    V("close with a long length", "\x88\xfe\0\x7e" M, 1002, "C:1002 "),
    /* ---- bits and opcodes ---- */
    V("rsv1", "\xc1\x80" M, 1002, "C:1002 "),
    V("rsv2", "\xa1\x80" M, 1002, "C:1002 "),
    V("rsv3", "\x91\x80" M, 1002, "C:1002 "),
    V("rsv1 on a fragment", "\x01\x81" M "a\xc0\x80" M, 1002, "C:1002 "),
    V("rsv1 on a ping", "\xc9\x80" M, 1002, "C:1002 "),
    V("opcode 3", "\x83\x80" M, 1002, "C:1002 "),
    V("opcode 7", "\x87\x80" M, 1002, "C:1002 "),
    V("opcode 11", "\x8b\x80" M, 1002, "C:1002 "),
    V("opcode 15", "\x8f\x80" M, 1002, "C:1002 "),
    V("binary", "\x82\x81" M "a", 1003, "C:1003 "),
    V("binary fragment", "\x02\x81" M "a", 1003, "C:1003 "),
    /* ---- fragments ---- */
    V("continuation of nothing", "\x80\x81" M "a", 1002, "C:1002 "),
    V("fragment of nothing", "\0\x81" M "a", 1002, "C:1002 "),
    V("text in a text", "\x01\x81" M "a\x81\x81" M "b", 1002, "C:1002 "),
    V("first fragment twice", "\x01\x81" M "a\x01\x81" M "b", 1002, "C:1002 "),
    V("binary in a text", "\x01\x81" M "a\x82\x81" M "b", 1002, "C:1002 "),
    V("continuation behind the last", "\x01\x81" M "a\x80\x81" M "b\x80\x81" M "c", 1002,
      "T:ab C:1002 "),
    V("fragmented ping", "\x09\x81" M "a", 1002, "C:1002 "),
    V("fragmented close", "\x08\x82" M "\x03\xe8", 1002, "C:1002 "),
    /* ---- text that is none ---- */
    V("invalid utf-8", "\x81\x82" M "\xc3\x28", 0, "C:1007 "),
    V("over-long utf-8", "\x81\x82" M "\xc0\xaf", 0, "C:1007 "),
    V("surrogate", "\x81\x83" M "\xed\xa0\x80", 0, "C:1007 "),
    V("cut utf-8", "\x81\x81" M "\xc3", 0, "C:1007 "),
    V("cut utf-8 in fragments", "\x01\x81" M "\xc3\x80\x80" M, 0, "C:1007 "),
    V("good text, then bad", "\x81\x81" M "a\x81\x81" M "\xff\x81\x81" M "b", 0, "T:a C:1007 "),
    /* ---- closing ---- */
    V("close of one byte", "\x88\x81" M "\x03", 0, "C:1002 "),
    V("close 0", "\x88\x82" M "\0\0", 0, "C:1002 "),
    V("close 999", "\x88\x82" M "\x03\xe7", 0, "C:1002 "),
    V("close 1004", "\x88\x82" M "\x03\xec", 0, "C:1002 "),
    V("close 1005", "\x88\x82" M "\x03\xed", 0, "C:1002 "),
    V("close 1006", "\x88\x82" M "\x03\xee", 0, "C:1002 "),
    V("close 1015", "\x88\x82" M "\x03\xf7", 0, "C:1002 "),
    V("close 2999", "\x88\x82" M "\x0b\xb7", 0, "C:1002 "),
    V("close 5000", "\x88\x82" M "\x13\x88", 0, "C:1002 "),
    V("close with a bad reason", "\x88\x83" M "\x03\xe8\xff", 0, "C:1007 "),
};

enum { MESSAGE_MAX = 100000 };

#endif
