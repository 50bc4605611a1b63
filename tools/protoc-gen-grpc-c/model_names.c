#include "tools/protoc-gen-grpc-c/model_names.h"

#include <assert.h>

#include "tools/protoc-gen-grpc-c/name.h"
#include "tools/protoc-gen-grpc-c/symbols.h"

/* What is put behind the name of a method, by shape; the skeleton's too, so that a method is called
 * the same with and without one. */
static const char *const unary_endings[] = {
    "", "_start", "_answered", "_free", "_method", "_tell", "_unpack", "_reply", NULL,
};
static const char *const stream_endings[] = {
    "_stream",       "_open",
    "_send",         "_send_start",
    "_send_done",    "_send_done_start",
    "_receive",      "_receive_start",
    "_received",     "_finish",
    "_finish_start", "_cancel",
    "_close",        "_free",
    "_method",       "_tell",
    "_unpack",       "_reply",
    "_write",        NULL,
};

/* And behind that of a service. */
static const char *const service_endings[] = {"_server", "_methods", NULL};

enum { ENDINGS_MAX = 24 };

/* Names that begin so are those of libraries, and of what the generated code stands on. */
static const char *const taken_beginnings[] = {
    "stub", "rpc", "protobuf_c", "grpc", "gpr", "pthread", "posix", NULL,
};

struct choice {
    struct arena *arena;
    struct symbols *symbols;
    struct sync_error *error;
};

static enum sync_status no_memory(struct choice *choice) {
    return sync_error_set(choice->error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL,
                          "the protos are too large");
}

/* Takes `base` with each ending for a service; with `is_trial` only looks. `ret_other`: who has
 * one of the names, NULL when all are free. False without memory. */
static bool names_take(struct choice *choice, const char *base, const char *const *endings,
                       const struct model_service *service, bool is_trial,
                       const struct model_service **ret_other, const char **ret_name) {
    *ret_other = NULL;
    for (; *endings; endings++) {
        const char *name = arena_format(choice->arena, "%s%s", base, *endings);
        if (!name)
            return false;
        const struct model_service *owner = symbols_owner(choice->symbols, name);
        if (!owner && !is_trial)
            symbols_take(choice->symbols, name, service);
        /* A name of another service weighs more: no underscore helps for long. */
        if (owner && (!*ret_other || owner != service)) {
            *ret_other = owner;
            *ret_name = name;
        }
    }
    return true;
}

/* Takes the names of a base, or says who has one. */
static enum sync_status base_take(struct choice *choice, const char **base,
                                  const char *const *endings, const struct model_service *service) {
    const struct model_service *other;
    const char *name;
    for (;;) {
        if (!names_take(choice, *base, endings, service, true, &other, &name))
            return no_memory(choice);
        if (!other)
            break;
        if (other != service)
            return sync_error_set(choice->error, SYNC_ERR_EXISTS, "NAME", NULL,
                                  "%s and %s both want the name %s: generate one of them apart, "
                                  "with prefix=",
                                  other->full_name, service->full_name, name);
        *base = arena_format(choice->arena, "%s_", *base);
        if (!*base)
            return no_memory(choice);
    }
    bool has_room = names_take(choice, *base, endings, service, false, &other, &name);
    assert(!other || !has_room);
    return has_room ? SYNC_OK : no_memory(choice);
}

/* With "_service" at the end it is nobody else's in any case. */
static bool is_taken_beginning(const char *base) {
    size_t length = strlen(base), ending = strlen("_service");
    if (length > ending && strcmp(base + length - ending, "_service") == 0)
        return false;
    for (size_t i = 0; taken_beginnings[i]; i++) {
        size_t size = strlen(taken_beginnings[i]);
        if (strncmp(base, taken_beginnings[i], size) == 0 && (!base[size] || base[size] == '_'))
            return true;
    }
    return false;
}

/* A field's name: no keyword, and distinct within the service, whose name is part of the symbol. */
static bool field_choose(struct choice *choice, const struct model_service *service,
                         struct model_method *method) {
    assert(service->base && method->base);
    const char *field = method->base + strlen(service->base) + 1;
    bool is_free = !name_is_reserved(field);
    for (;;) {
        const char *symbol = arena_format(choice->arena, "%s.%s", service->full_name, field);
        if (!symbol)
            return false;
        if (is_free && !symbols_owner(choice->symbols, symbol)) {
            symbols_take(choice->symbols, symbol, service);
            method->field = field;
            return true;
        }
        field = arena_format(choice->arena, "%s_", field);
        if (!field)
            return false;
        is_free = true;
    }
}

static enum sync_status method_choose(struct choice *choice, const struct model_service *service,
                                      struct model_method *method) {
    const char *snake = name_snake(choice->arena, method->name);
    method->base = snake ? arena_format(choice->arena, "%s_%s", service->base, snake) : NULL;
    if (!method->base)
        return no_memory(choice);
    enum sync_status status =
        base_take(choice, &method->base,
                  method->shape == SHAPE_UNARY ? unary_endings : stream_endings, service);
    if (!status && !field_choose(choice, service, method))
        status = no_memory(choice);
    return status;
}

static enum sync_status service_choose(struct choice *choice, const char *prefix,
                                       struct model_service *service) {
    const char *dot = strrchr(service->full_name, '.');
    const char *snake = name_snake(choice->arena, dot ? dot + 1 : service->full_name);
    service->base = snake ? arena_format(choice->arena, "%s%s", prefix, snake) : NULL;
    if (service->base && is_taken_beginning(service->base))
        service->base = arena_format(choice->arena, "%s_service", service->base);
    service->upper = service->base ? name_upper(choice->arena, service->base) : NULL;
    if (!service->upper)
        return no_memory(choice);
    const char *base = service->base;
    return base_take(choice, &base, service_endings, service);
}

enum sync_status model_names_choose(struct arena *arena, const char *prefix,
                                    struct sync_error *error, struct model *model) {
    struct choice choice = {.arena = arena, .error = error};
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++)
        for (size_t j = 0; j < model->files[i].count; j++)
            count += 1 + model->files[i].services[j].count;
    choice.symbols = symbols_make(arena, count * ENDINGS_MAX);
    if (!choice.symbols)
        return no_memory(&choice);
    for (size_t i = 0; i < model->count; i++)
        for (size_t j = 0; j < model->files[i].count; j++) {
            struct model_service *service = &model->files[i].services[j];
            enum sync_status status = service_choose(&choice, prefix, service);
            for (size_t k = 0; !status && k < service->count; k++)
                status = method_choose(&choice, service, &service->methods[k]);
            if (status)
                return status;
        }
    return SYNC_OK;
}
