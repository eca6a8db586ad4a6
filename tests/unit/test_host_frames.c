/* What a plugin process may send instead of a result: cut, mutated and forged payloads. */
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "harness.h"
#include "runtime/host/reply.h"

#define OUTPUT_MAX (1u << 20)

static const struct fl_host_result whole = {
    .outcome = FLOPINIO_OK,
    .content = { "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}", 53 },
    .structured = { "{\"x\":[1,2,{\"y\":null}]}", 22 },
    .error_code = -32000,
    .error_message = { "it is so", 8 },
    .preview_kind = FL_HOST_PREVIEW_DIFF,
    .preview = { "-a\n+b\n", 6 },
    .precondition = { "version 1", 9 },
};

/* The payload as the plugin's side writes it, content included. */
static struct fl_buf payload_of(const struct fl_host_result *result)
{
    struct fl_buf frame = FL_BUF_INIT;
    fl_reply_put(&frame, 7, result, true);
    fl_buf_str(&frame, result->content);
    CHECK(!frame.is_failed);
    struct fl_frame head = fl_frame_read_head(frame.p);
    CHECK_INT(head.type, FL_FRAME_RESULT);
    CHECK_INT(head.job, 7);
    CHECK_INT(head.n, frame.n - FL_FRAME_HEAD);
    fl_buf_drop(&frame, FL_FRAME_HEAD);
    return frame;
}

static enum fl_reply read_reply(struct fl_str payload, enum fl_host_kind kind,
                                uint64_t output_bytes, struct fl_host_result *ret,
                                char **ret_memory)
{
    bool wants_replacement;
    *ret_memory = NULL;
    return fl_reply_read(payload, kind, output_bytes, ret, ret_memory, &wants_replacement);
}

static void test_a_result_arrives_as_it_was_written(void)
{
    struct fl_host_result got;
    char *memory;
    bool wants_replacement = false;
    struct fl_buf payload = payload_of(&whole);
    CHECK_INT(fl_reply_read(fl_buf_view(&payload), FL_HOST_PREVIEW, OUTPUT_MAX, &got, &memory,
                            &wants_replacement),
              FL_REPLY_OUTCOME);
    CHECK(wants_replacement);
    CHECK_SPAN(got.content,
               "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]");
    CHECK_SPAN(got.structured, "{\"x\":[1,2,{\"y\":null}]}");
    CHECK_SPAN(got.error_message, "it is so");
    CHECK_SPAN(got.preview, "-a\n+b\n");
    CHECK_SPAN(got.precondition, "version 1");
    CHECK_INT(got.error_code, -32000);
    CHECK_INT(got.preview_kind, FL_HOST_PREVIEW_DIFF);
    fl_free(memory);
    fl_buf_fini(&payload);
}

static void test_every_cut_and_every_extra_byte_is_garbage(void)
{
    struct fl_host_result got;
    char *memory;
    struct fl_buf payload = payload_of(&whole);
    for (size_t n = 0; n < payload.n; n++) {
        char *copy = malloc(n ? n : 1); /* so that one byte too far is seen */
        CHECK(copy);
        memcpy(copy, payload.p, n);
        CHECK_INT(
            read_reply((struct fl_str){ copy, n }, FL_HOST_PREVIEW, OUTPUT_MAX, &got, &memory),
            FL_REPLY_GARBAGE);
        CHECK(!memory);
        free(copy);
    }
    fl_buf_putc(&payload, ' ');
    CHECK_INT(read_reply(fl_buf_view(&payload), FL_HOST_PREVIEW, OUTPUT_MAX, &got, &memory),
              FL_REPLY_GARBAGE);
    fl_buf_fini(&payload);
}

static void test_texts_that_no_plugin_may_send_are_garbage(void)
{
    static const struct fl_str bad_items[] = {
        { "{}] , [{}", 9 },        { "{", 1 },     { "7", 1 }, { "{},", 3 }, { "],[", 3 },
        { "{\"a\":\"\xff\"}", 9 }, { "\"x\"", 3 },
    };
    struct fl_host_result forged[FL_COUNTOF(bad_items) + 6], got;
    char *memory;
    size_t count = 0;
    for (size_t i = 0; i < FL_COUNTOF(bad_items); i++) {
        forged[count] = whole;
        forged[count++].content = bad_items[i];
    }
    for (int i = 0; i < 6; i++) {
        struct fl_host_result *r = &forged[count++];
        static const char many[FL_REPLY_MESSAGE_MAX + 1];
        *r = whole;
        switch (i) {
        case 0: r->structured = FL_STR("{\"x\":"); break;
        case 1: r->error_message = FL_STR("\xc3"); break;
        case 2: r->preview = FL_STR("\xff"); break;
        case 3: r->precondition = (struct fl_str){ "a\0b", 3 }; break;
        case 4: r->precondition = (struct fl_str){ many, FLOPINIO_PRECONDITION_MAX + 1 }; break;
        default: r->error_message = (struct fl_str){ many, sizeof many }; break;
        }
    }
    CHECK_INT(count, FL_COUNTOF(forged));
    for (size_t i = 0; i < count; i++) {
        struct fl_buf payload = payload_of(&forged[i]);
        CHECK_MSG(read_reply(fl_buf_view(&payload), FL_HOST_PREVIEW, OUTPUT_MAX, &got, &memory) ==
                      FL_REPLY_GARBAGE,
                  "forgery %zu", i);
        fl_buf_fini(&payload);
    }
    struct fl_buf payload = payload_of(&whole);
    CHECK_INT(read_reply(fl_buf_view(&payload), FL_HOST_PREVIEW, 50, &got, &memory),
              FL_REPLY_GARBAGE); /* more than the call may give */
    fl_buf_fini(&payload);
}

static void test_outcomes_belong_to_their_kind_of_call(void)
{
    static const struct {
        int outcome;
        enum fl_reply start, preview;
    } cases[] = {
        { FLOPINIO_OK, FL_REPLY_OUTCOME, FL_REPLY_OUTCOME },
        { FLOPINIO_TOOL_ERROR, FL_REPLY_OUTCOME, FL_REPLY_OUTCOME },
        { FLOPINIO_TARGET_CHANGED, FL_REPLY_OUTCOME, FL_REPLY_UNKNOWN_OUTCOME },
        { FLOPINIO_PROTOCOL_ERROR, FL_REPLY_OUTCOME, FL_REPLY_OUTCOME },
        { FLOPINIO_NO_PREVIEW, FL_REPLY_UNKNOWN_OUTCOME, FL_REPLY_OUTCOME },
        { 5, FL_REPLY_UNKNOWN_OUTCOME, FL_REPLY_UNKNOWN_OUTCOME },
        { -1, FL_REPLY_UNKNOWN_OUTCOME, FL_REPLY_UNKNOWN_OUTCOME },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        for (int kind = FL_HOST_START; kind <= FL_HOST_PREVIEW; kind++) {
            struct fl_host_result sent = whole, got;
            char *memory;
            sent.outcome = (enum flopinio_outcome)cases[i].outcome;
            struct fl_buf payload = payload_of(&sent);
            CHECK_INT(read_reply(fl_buf_view(&payload), (enum fl_host_kind)kind, OUTPUT_MAX, &got,
                                 &memory),
                      kind == FL_HOST_START ? cases[i].start : cases[i].preview);
            fl_free(memory);
            fl_buf_fini(&payload);
        }
    }
}

/* Bytes flipped, set, and lengths made huge: what is accepted obeys every promise of the header. */
static void test_mutated_results_are_refused_or_well_formed(void)
{
    enum { TRIALS = 60000 };
    int accepted = 0, refused = 0;
    struct fl_buf payload = payload_of(&whole);
    char *copy = malloc(payload.n);
    CHECK(copy);
    fl_random_seed(4711);
    for (int i = 0; i < TRIALS; i++) {
        struct fl_host_result got;
        struct fl_err err;
        char *memory;
        memcpy(copy, payload.p, payload.n);
        uint32_t random[4];
        fl_random(random, sizeof random);
        for (uint32_t k = 0; k <= random[0] % 3; k++)
            copy[random[1 + k] % payload.n] = (char)(random[1 + k] >> 16);
        enum fl_reply reply = read_reply((struct fl_str){ copy, payload.n }, FL_HOST_PREVIEW,
                                         OUTPUT_MAX, &got, &memory);
        if (reply == FL_REPLY_GARBAGE) {
            CHECK(!memory);
            refused++;
            continue;
        }
        accepted++;
        CHECK_OK(fl_scan(got.content, &fl_reply_limits, NULL, 0, NULL, &err));
        CHECK(!got.structured.p ||
              fl_scan(got.structured, &fl_reply_limits, NULL, 0, NULL, &err) == FL_OK);
        CHECK(fl_utf8_is_valid(got.preview) && fl_utf8_is_valid(got.error_message) &&
              fl_utf8_is_valid(got.precondition));
        CHECK(got.precondition.n <= FLOPINIO_PRECONDITION_MAX);
        fl_free(memory);
    }
    CHECK_MSG(accepted > TRIALS / 100 && refused > TRIALS / 10, "%d and %d", accepted, refused);
    free(copy);
    fl_buf_fini(&payload);
}

static void test_no_memory_loses_the_texts_and_never_the_outcome(void)
{
    struct fl_host_result got, sent = whole;
    char *memory;
    sent.outcome = FLOPINIO_TOOL_ERROR;
    struct fl_buf payload = payload_of(&sent);
    fl_mem_fail_at(1, 1);
    CHECK_INT(read_reply(fl_buf_view(&payload), FL_HOST_START, OUTPUT_MAX, &got, &memory),
              FL_REPLY_OUTCOME);
    fl_mem_fail_at(0, 0);
    CHECK(got.is_lost && !memory && !got.structured.p && !got.precondition.p);
    CHECK_INT(got.outcome, FLOPINIO_TOOL_ERROR);
    CHECK(got.content.n > 2);
    fl_mem_fail_at(1, 1); /* a preview without its precondition must not be taken for one */
    CHECK_INT(read_reply(fl_buf_view(&payload), FL_HOST_PREVIEW, OUTPUT_MAX, &got, &memory),
              FL_REPLY_OUTCOME);
    fl_mem_fail_at(0, 0);
    CHECK_INT(got.outcome, FLOPINIO_PROTOCOL_ERROR);
    fl_buf_fini(&payload);
}

static void test_unknown_frame_types_have_no_size(void)
{
    int known = 0;
    for (uint32_t type = 0; type < 1000; type++) {
        bool is_from = type >= FL_FRAME_READY && type <= FL_FRAME_LOG;
        bool is_to = type >= FL_FRAME_SETUP && type <= FL_FRAME_CLOSE;
        CHECK_INT(fl_frame_max_from_plugin(type, OUTPUT_MAX) != 0, is_from);
        CHECK_INT(fl_frame_max_to_plugin(type) != 0, is_to);
        known += is_from + is_to;
    }
    CHECK_INT(known, 10);
    CHECK_INT(fl_frame_max_from_plugin(UINT32_MAX, OUTPUT_MAX), 0);
}

static const struct fl_test tests[] = {
    T(a_result_arrives_as_it_was_written),
    T(every_cut_and_every_extra_byte_is_garbage),
    T(texts_that_no_plugin_may_send_are_garbage),
    T(outcomes_belong_to_their_kind_of_call),
    T(mutated_results_are_refused_or_well_formed),
    T(no_memory_loses_the_texts_and_never_the_outcome),
    T(unknown_frame_types_have_no_size),
};
TEST_MAIN(tests)
