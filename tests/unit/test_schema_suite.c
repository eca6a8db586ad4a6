/* The published JSON Schema tests for 2020-12, every case: what must hold holds, what is left out
 * is named here with its reason and its count. */
#include <dirent.h>
#include <jansson.h>

#include "harness.h"
#include "mcp/schema.h"

#define SUITE "json-schema-2020-12"

/* Every file with how many of its cases pass and how many are left out (see `excluded`). In
 * "optional/format" the keyword asserts, elsewhere it annotates, as the suite means it. */
static const struct file {
    const char *name;
    unsigned passed, excluded;
} files[] = {
    { "additionalProperties", 21, 0 },
    { "allOf", 30, 0 },
    { "anchor", 8, 0 },
    { "anyOf", 18, 0 },
    { "boolean_schema", 18, 0 },
    { "const", 54, 0 },
    { "contains", 21, 0 },
    { "content", 18, 0 },
    { "default", 7, 0 },
    { "defs", 2, 0 },
    { "dependentRequired", 20, 0 },
    { "dependentSchemas", 20, 0 },
    { "dynamicRef", 31, 13 },
    { "enum", 51, 0 },
    { "exclusiveMaximum", 4, 0 },
    { "exclusiveMinimum", 4, 0 },
    { "format", 133, 0 },
    { "if-then-else", 30, 0 },
    { "infinite-loop-detection", 2, 0 },
    { "items", 29, 0 },
    { "maxContains", 14, 0 },
    { "maxItems", 6, 0 },
    { "maxLength", 7, 0 },
    { "maxProperties", 10, 0 },
    { "maximum", 8, 0 },
    { "minContains", 28, 0 },
    { "minItems", 6, 0 },
    { "minLength", 7, 0 },
    { "minProperties", 10, 0 },
    { "minimum", 11, 0 },
    { "multipleOf", 11, 0 },
    { "not", 40, 0 },
    { "oneOf", 27, 0 },
    { "pattern", 12, 0 },
    { "patternProperties", 25, 0 },
    { "prefixItems", 11, 0 },
    { "properties", 28, 0 },
    { "propertyNames", 22, 0 },
    { "ref", 79, 0 },
    { "refRemote", 0, 31 },
    { "required", 18, 0 },
    { "type", 80, 0 },
    { "unevaluatedItems", 71, 0 },
    { "unevaluatedProperties", 129, 0 },
    { "uniqueItems", 69, 0 },
    { "vocabulary", 0, 5 },
    { "optional/anchor", 4, 0 },
    { "optional/bignum", 9, 0 },
    { "optional/cross-draft", 0, 1 },
    { "optional/dependencies-compatibility", 36, 0 },
    { "optional/dynamicRef", 2, 0 },
    { "optional/ecmascript-regex", 74, 0 },
    { "optional/float-overflow", 1, 0 },
    { "optional/format-assertion", 0, 4 },
    { "optional/id", 3, 0 },
    { "optional/no-schema", 3, 0 },
    { "optional/non-bmp-regex", 12, 0 },
    { "optional/refOfUnknownKeyword", 10, 0 },
    { "optional/unknownKeyword", 3, 0 },
    { "optional/format/date", 81, 0 },
    { "optional/format/date-time", 33, 0 },
    { "optional/format/duration", 52, 0 },
    { "optional/format/ecmascript-regex", 12, 0 },
    { "optional/format/email", 27, 0 },
    { "optional/format/hostname", 26, 38 },
    { "optional/format/idn-email", 18, 0 },
    { "optional/format/idn-hostname", 0, 90 },
    { "optional/format/ipv4", 41, 0 },
    { "optional/format/ipv6", 42, 0 },
    { "optional/format/iri", 24, 0 },
    { "optional/format/iri-reference", 13, 0 },
    { "optional/format/json-pointer", 40, 0 },
    { "optional/format/regex", 8, 0 },
    { "optional/format/relative-json-pointer", 25, 0 },
    { "optional/format/time", 47, 0 },
    { "optional/format/unknown", 7, 0 },
    { "optional/format/uri", 46, 0 },
    { "optional/format/uri-reference", 28, 0 },
    { "optional/format/uri-template", 38, 0 },
    { "optional/format/uuid", 28, 0 },
};

enum reason {
    REMOTE,    /* needs a document from the network: must be refused when it is compiled */
    ANNOTATION /* a format that we do not check, or not wholly: valid texts must be accepted */
};

static const struct {
    const char *file, *group; /* group NULL = the whole file */
    enum reason reason;
} excluded[] = {
    { "dynamicRef", "strict-tree schema, guards against misspelled properties", REMOTE },
    { "dynamicRef", "tests for implementation dynamic anchor and reference link", REMOTE },
    { "dynamicRef", "$ref and $dynamicAnchor are independent of order - $defs first", REMOTE },
    { "dynamicRef", "$ref and $dynamicAnchor are independent of order - $ref first", REMOTE },
    { "dynamicRef", "$ref to $dynamicRef finds detached $dynamicAnchor", REMOTE },
    { "refRemote", "remote ref", REMOTE },
    { "refRemote", "fragment within remote ref", REMOTE },
    { "refRemote", "anchor within remote ref", REMOTE },
    { "refRemote", "ref within remote ref", REMOTE },
    { "refRemote", "base URI change", REMOTE },
    { "refRemote", "base URI change - change folder", REMOTE },
    { "refRemote", "base URI change - change folder in subschema", REMOTE },
    { "refRemote", "root ref in remote ref", REMOTE },
    { "refRemote", "remote ref with ref to defs", REMOTE },
    { "refRemote", "Location-independent identifier in remote ref", REMOTE },
    { "refRemote", "retrieved nested refs resolve relative to their URI not $id", REMOTE },
    { "refRemote", "remote HTTP ref with different $id", REMOTE },
    { "refRemote", "remote HTTP ref with different URN $id", REMOTE },
    { "refRemote", "remote HTTP ref with nested absolute ref", REMOTE },
    { "refRemote", "$ref to $ref finds detached $anchor", REMOTE },
    { "vocabulary", "schema that uses custom metaschema with with no validation vocabulary",
      REMOTE },
    { "vocabulary", "ignore unrecognized optional vocabulary", REMOTE },
    { "optional/cross-draft", "refs to historic drafts are processed as historic drafts", REMOTE },
    { "optional/format-assertion",
      "schema that uses custom metaschema with format-assertion: false", REMOTE },
    { "optional/format-assertion", "schema that uses custom metaschema with format-assertion: true",
      REMOTE },
    { "optional/format/hostname", "validation of A-label (punycode) host names", ANNOTATION },
    { "optional/format/idn-hostname", NULL, ANNOTATION },
};

static const int *exclusion(const char *file, const char *group)
{
    static int reason;
    for (size_t i = 0; i < FL_COUNTOF(excluded); i++) {
        if (strcmp(excluded[i].file, file) == 0 &&
            (!excluded[i].group || strcmp(excluded[i].group, group) == 0)) {
            reason = excluded[i].reason;
            return &reason;
        }
    }
    return NULL;
}

static const char *text(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

struct tally {
    unsigned passed, failed, excluded;
};

static void run_cases(const char *file, json_t *group, const struct fl_schema *schema,
                      bool only_valid, struct tally *tally)
{
    json_t *cases = json_object_get(group, "tests");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        json_t *one = json_array_get(cases, i);
        bool is_valid = json_is_true(json_object_get(one, "valid"));
        struct fl_err err = { FL_OK, "" };
        if (only_valid && !is_valid) {
            tally->excluded++;
            continue;
        }
        enum fl_code code = fl_schema_validate(schema, json_object_get(one, "data"), &err);
        if (code == (is_valid ? FL_OK : FL_BAD_PARAMS)) {
            tally->passed += !only_valid;
            tally->excluded += only_valid;
            continue;
        }
        tally->failed++;
        printf("    %s: %s: %s: %s %s\n", file, text(group, "description"),
               text(one, "description"), fl_code_name(code), err.text);
    }
}

static void run_group(const char *file, json_t *group, struct tally *tally)
{
    struct fl_schema_options options = { .asserts_format = strstr(file, "optional/format/") };
    struct fl_schema *schema = NULL;
    struct fl_err err;
    const int *reason = exclusion(file, text(group, "description"));
    unsigned count = (unsigned)json_array_size(json_object_get(group, "tests"));
    enum fl_code code = fl_schema_new(json_object_get(group, "schema"), &options, &schema, &err);
    if (reason && *reason == REMOTE) {
        bool is_refused = code == FL_BAD_PARAMS && (strstr(err.text, "and nothing is fetched") ||
                                                    strstr(err.text, "is not supported"));
        tally->excluded += is_refused ? count : 0;
        tally->failed += is_refused ? 0 : count;
    } else if (code == FL_OK) {
        run_cases(file, group, schema, reason, tally);
    } else {
        tally->failed += count;
        printf("    %s: %s: %s\n", file, text(group, "description"), err.text);
    }
    fl_schema_free(&schema);
}

static struct tally run_file(const struct file *file)
{
    char name[128];
    json_error_t why;
    struct tally tally = { 0, 0, 0 };
    snprintf(name, sizeof name, SUITE "/%s.json", file->name);
    char *path = strdup(fl_test_data(name));
    json_t *groups = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (!groups) /* bignum.json: integers beyond 64 bits exist as doubles only */
        groups = json_load_file(path, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    CHECK_MSG(groups, "%s: %s", path, why.text);
    for (size_t i = 0; i < json_array_size(groups); i++)
        run_group(file->name, json_array_get(groups, i), &tally);
    printf("    %-44s %4u passed %3u failed %3u left out\n", file->name, tally.passed, tally.failed,
           tally.excluded);
    json_decref(groups);
    free(path);
    return tally;
}

/* The files whose name starts with `folder`, and has no further folder. */
static void run_folder(const char *folder, unsigned passed, unsigned left_out)
{
    struct tally all = { 0, 0, 0 };
    size_t count = 0, found = 0, n = strlen(folder);
    char name[64];
    for (size_t i = 0; i < FL_COUNTOF(files); i++) {
        if (strncmp(files[i].name, folder, n) != 0 || strchr(files[i].name + n, '/'))
            continue;
        struct tally one = run_file(&files[i]);
        CHECK_INT(one.failed, 0);
        CHECK_INT(one.passed, files[i].passed);
        CHECK_INT(one.excluded, files[i].excluded);
        all.passed += one.passed;
        all.excluded += one.excluded;
        count++;
    }
    snprintf(name, sizeof name, SUITE "/%s", folder);
    DIR *dir = opendir(fl_test_data(name));
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        found += strstr(entry->d_name, ".json") != NULL;
    closedir(dir);
    CHECK_INT(found, count); /* a file that nobody lists would not be run */
    CHECK_INT(all.passed, passed);
    CHECK_INT(all.excluded, left_out);
    printf("    %s all: %u passed, 0 failed, %u left out\n", folder, all.passed, all.excluded);
}

static void test_all_required_cases_pass(void)
{
    run_folder("", 1250, 49);
}

static void test_all_optional_cases_pass(void)
{
    run_folder("optional/", 157, 5);
}

static void test_all_checked_formats_pass(void)
{
    run_folder("optional/format/", 636, 128);
}

static const struct fl_test tests[] = {
    T(all_required_cases_pass),
    T(all_optional_cases_pass),
    T(all_checked_formats_pass),
};
TEST_MAIN(tests)
