/*
 * pickle.c: a pickle interpreter that calls nothing.  See pickle.h.
 *
 * Bounds: every opcode takes at least one byte, so the work is linear in the size; values live in
 * blocks whose sum is limited, as are the stack and the memo.  Values are built bottom-up and never
 * walked here, so nesting costs no stack.
 */
#include "weights/pickle.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES_MAX ((size_t)24 << 20)
#define BLOCK_BYTES 65536
#define STACK_MAX 1000000 /* values on the stack, entries of the memo */
#define PROTOCOL_MAX 5
/* A tensor may repeat elements of its storage (stride 0, as expand() makes): up to this many. */
#define REPEATED_ELEMENTS_MAX ((int64_t)1 << 20)

struct block {
    struct block *next;
    size_t used_bytes, size_bytes;
    _Alignas(16) unsigned char data[];
};

struct pickle {
    struct block *block;
    size_t memory_bytes;
    const struct pickle_value *root;
    struct pickle_list storage; /* PICKLE_STORAGE values */
};

/* The running machine.  status sticks: after a failure nothing more happens. */
struct machine {
    struct pickle *pickle;
    const unsigned char *bytes;
    size_t size_bytes, position;
    struct pickle_value **stack, **memo;
    int64_t stack_count, stack_capacity, memo_capacity, memo_next;
    int64_t *mark; /* stack heights */
    int64_t mark_count, mark_capacity;
    enum earshot_status status;
    struct earshot_error *error;
};

/* clang-format off */
enum opcode {
    OP_MARK = '(', OP_STOP = '.', OP_POP = '0', OP_POP_MARK = '1',
    OP_NONE = 'N', OP_NEWTRUE = 0x88, OP_NEWFALSE = 0x89,
    OP_BININT = 'J', OP_BININT1 = 'K', OP_BININT2 = 'M', OP_LONG1 = 0x8a, OP_BINFLOAT = 'G',
    OP_BINSTRING = 'T', OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X', OP_SHORT_BINUNICODE = 0x8c, OP_BINUNICODE8 = 0x8d,
    OP_EMPTY_TUPLE = ')', OP_TUPLE = 't', OP_TUPLE1 = 0x85, OP_TUPLE2 = 0x86, OP_TUPLE3 = 0x87,
    OP_EMPTY_LIST = ']', OP_APPEND = 'a', OP_APPENDS = 'e',
    OP_EMPTY_DICT = '}', OP_SETITEM = 's', OP_SETITEMS = 'u',
    OP_GLOBAL = 'c', OP_STACK_GLOBAL = 0x93, OP_BINPERSID = 'Q', OP_REDUCE = 'R', OP_BUILD = 'b',
    OP_BINGET = 'h', OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q', OP_LONG_BINPUT = 'r', OP_MEMOIZE = 0x94,
    OP_PROTO = 0x80, OP_FRAME = 0x95
};

/* Opcodes that exist but that torch.save has no use for; named when refused. */
static const struct {
    unsigned char code;
    const char *name;
} refused_opcode[] = {
    {'2', "DUP"}, {'F', "FLOAT"}, {'I', "INT"}, {'L', "LONG"}, {'P', "PERSID"}, {'S', "STRING"},
    {'V', "UNICODE"}, {'B', "BINBYTES"}, {'C', "SHORT_BINBYTES"}, {'d', "DICT"}, {'g', "GET"},
    {'i', "INST"}, {'l', "LIST"}, {'o', "OBJ"}, {'p', "PUT"}, {0x81, "NEWOBJ"}, {0x82, "EXT1"},
    {0x83, "EXT2"}, {0x84, "EXT4"}, {0x8b, "LONG4"}, {0x8e, "BINBYTES8"}, {0x8f, "EMPTY_SET"},
    {0x90, "ADDITEMS"}, {0x91, "FROZENSET"}, {0x92, "NEWOBJ_EX"}, {0x96, "BYTEARRAY8"},
    {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"},
};
/* clang-format on */

enum global_kind {
    GLOBAL_ORDERED_DICT,
    GLOBAL_REBUILD_TENSOR,
    GLOBAL_REBUILD_PARAMETER,
    GLOBAL_STORAGE_TYPE
};

static const struct {
    const char *module, *name;
    enum global_kind kind;
    enum tensor_dtype dtype; /* of a storage type */
} global_table[] = {
    {"collections", "OrderedDict", GLOBAL_ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_parameter", GLOBAL_REBUILD_PARAMETER, 0},
    {"torch", "DoubleStorage", GLOBAL_STORAGE_TYPE, TENSOR_F64},
    {"torch", "FloatStorage", GLOBAL_STORAGE_TYPE, TENSOR_F32},
    {"torch", "HalfStorage", GLOBAL_STORAGE_TYPE, TENSOR_F16},
    {"torch", "BFloat16Storage", GLOBAL_STORAGE_TYPE, TENSOR_BF16},
    {"torch", "LongStorage", GLOBAL_STORAGE_TYPE, TENSOR_I64},
    {"torch", "IntStorage", GLOBAL_STORAGE_TYPE, TENSOR_I32},
    {"torch", "ShortStorage", GLOBAL_STORAGE_TYPE, TENSOR_I16},
    {"torch", "CharStorage", GLOBAL_STORAGE_TYPE, TENSOR_I8},
    {"torch", "ByteStorage", GLOBAL_STORAGE_TYPE, TENSOR_U8},
    {"torch", "BoolStorage", GLOBAL_STORAGE_TYPE, TENSOR_BOOL},
};
#define GLOBAL_COUNT ((int64_t)(sizeof global_table / sizeof global_table[0]))

#define FAIL(m, kind, ...)                                                                         \
    ((m)->status == EARSHOT_OK ? (void)((m)->status = error_set((m)->error, kind, __VA_ARGS__))    \
                               : (void)0)

/* ---- memory ---- */

static void *allocate(struct machine *m, size_t size_bytes)
{
    struct pickle *pickle = m->pickle;
    struct block *block = pickle->block;
    void *data;

    size_bytes = (size_bytes + 15) & ~(size_t)15;
    if (!block || block->size_bytes - block->used_bytes < size_bytes) {
        size_t wanted = size_bytes > BLOCK_BYTES ? size_bytes : BLOCK_BYTES;

        if (wanted > MEMORY_BYTES_MAX - pickle->memory_bytes) {
            FAIL(m, EARSHOT_ERROR_UNSUPPORTED,
                 "more Python objects than fit in %zu bytes: not a file of model weights",
                 MEMORY_BYTES_MAX);
            return NULL;
        }
        block = malloc(sizeof *block + wanted);
        if (!block) {
            if (m->status == EARSHOT_OK)
                m->status = error_memory(m->error, wanted);
            return NULL;
        }
        *block = (struct block){.next = pickle->block, .size_bytes = wanted};
        pickle->block = block;
        pickle->memory_bytes += wanted;
    }
    data = block->data + block->used_bytes;
    block->used_bytes += size_bytes;
    return data;
}

static void list_append(struct machine *m, struct pickle_list *list,
                        const struct pickle_value *item)
{
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? list->capacity * 2 : 4;
        const struct pickle_value **grown = allocate(m, (size_t)capacity * sizeof *grown);

        if (!grown)
            return;
        if (list->count)
            memcpy(grown, list->item, (size_t)list->count * sizeof *grown);
        list->item = grown;
        list->capacity = capacity;
    }
    list->item[list->count++] = item;
}

/* Makes array[index] exist, the new part cleared; at most STACK_MAX elements. */
static bool reserve(struct machine *m, void **array, int64_t *capacity, size_t size, int64_t index)
{
    int64_t wanted = *capacity ? *capacity : 256;
    char *grown;

    if (index < *capacity)
        return true;
    if (index >= STACK_MAX) {
        FAIL(m, EARSHOT_ERROR_UNSUPPORTED,
             "more than %d Python objects at once: not a file of "
             "model weights",
             STACK_MAX);
        return false;
    }
    while (wanted <= index)
        wanted *= 2;
    grown = realloc(*array, (size_t)wanted * size);
    if (!grown) {
        if (m->status == EARSHOT_OK)
            m->status = error_memory(m->error, (size_t)wanted * size);
        return false;
    }
    memset(grown + (size_t)*capacity * size, 0, (size_t)(wanted - *capacity) * size);
    *array = grown;
    *capacity = wanted;
    return true;
}

/* ---- the stack ---- */

static void push(struct machine *m, struct pickle_value *value)
{
    if (value &&
        reserve(m, (void **)&m->stack, &m->stack_capacity, sizeof *m->stack, m->stack_count))
        m->stack[m->stack_count++] = value;
}

static struct pickle_value *new_value(struct machine *m, enum pickle_kind kind)
{
    struct pickle_value *value = allocate(m, sizeof *value);

    if (value) {
        memset(value, 0, sizeof *value);
        value->kind = kind;
    }
    return value;
}

static void push_integer(struct machine *m, enum pickle_kind kind, int64_t integer)
{
    struct pickle_value *value = new_value(m, kind);

    if (value)
        value->as.integer = integer;
    push(m, value);
}

static void push_text(struct machine *m, enum pickle_kind kind, struct pickle_text text)
{
    struct pickle_value *value = new_value(m, kind);

    if (value)
        value->as.text = text;
    push(m, value);
}

/* How many values lie above the last mark, and so may be taken. */
static int64_t available(const struct machine *m)
{
    return m->stack_count - (m->mark_count ? m->mark[m->mark_count - 1] : 0);
}

static struct pickle_value *pop(struct machine *m)
{
    if (available(m) < 1) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "takes a value from an empty stack");
        return NULL;
    }
    return m->stack[--m->stack_count];
}

/* The value below the `depth` topmost. */
static struct pickle_value *peek(struct machine *m, int64_t depth)
{
    if (available(m) <= depth) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "takes a value from an empty stack");
        return NULL;
    }
    return m->stack[m->stack_count - 1 - depth];
}

/* Drops the last mark and returns how many values lie above where it was; -1 without a mark. */
static int64_t pop_mark(struct machine *m)
{
    if (m->mark_count == 0) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "ends a group that was not begun");
        return -1;
    }
    return m->stack_count - m->mark[--m->mark_count];
}

/* Replaces the `count` topmost values by a tuple of them. */
static void push_tuple(struct machine *m, int64_t count)
{
    struct pickle_value *tuple = new_value(m, PICKLE_TUPLE);

    if (count < 0 || !tuple || (count > 0 && !peek(m, count - 1)))
        return;
    for (int64_t i = 0; i < count && m->status == EARSHOT_OK; i++)
        list_append(m, &tuple->as.list, m->stack[m->stack_count - count + i]);
    m->stack_count -= count;
    push(m, tuple);
}

/* Moves the `count` topmost values into the list or dict below them. */
static void extend(struct machine *m, int64_t count, enum pickle_kind kind)
{
    struct pickle_value *target;

    if (count < 0 || !(target = peek(m, count)))
        return;
    if (target->kind != kind || (kind == PICKLE_DICT && count % 2 != 0)) {
        FAIL(m, EARSHOT_ERROR_FORMAT,
             kind == PICKLE_DICT ? "adds an item to what is not a dict"
                                 : "adds an item to what is not a list");
        return;
    }
    for (int64_t i = 0; i < count && m->status == EARSHOT_OK; i++)
        list_append(m, &target->as.list, m->stack[m->stack_count - count + i]);
    m->stack_count -= count;
}

/* ---- reading operands ---- */

static const unsigned char *take(struct machine *m, uint64_t count)
{
    const unsigned char *at = m->bytes + m->position;

    if (count > m->size_bytes - m->position) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "truncated: %llu bytes are wanted, %zu are left",
             (unsigned long long)count, m->size_bytes - m->position);
        return NULL;
    }
    m->position += (size_t)count;
    return at;
}

static uint64_t take_integer(struct machine *m, int size)
{
    const unsigned char *at = take(m, (uint64_t)size);
    uint64_t value = 0;

    for (int i = 0; at && i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static struct pickle_text take_text(struct machine *m, int length_size)
{
    uint64_t length = take_integer(m, length_size);
    const unsigned char *at = m->status == EARSHOT_OK ? take(m, length) : NULL;

    return at ? (struct pickle_text){(const char *)at, (size_t)length}
              : (struct pickle_text){"", 0};
}

static struct pickle_text take_line(struct machine *m)
{
    const unsigned char *at = m->bytes + m->position;
    const unsigned char *end = memchr(at, '\n', m->size_bytes - m->position);

    if (!end) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "truncated inside a name");
        return (struct pickle_text){"", 0};
    }
    m->position += (size_t)(end - at) + 1;
    return (struct pickle_text){(const char *)at, (size_t)(end - at)};
}

/* Big-endian, unlike everything else. */
static void push_float(struct machine *m)
{
    const unsigned char *at = take(m, 8);
    struct pickle_value *value = new_value(m, PICKLE_FLOAT);
    uint64_t bits = 0;

    if (!at || !value)
        return;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | at[i];
    memcpy(&value->as.real, &bits, sizeof bits);
    push(m, value);
}

static void push_long(struct machine *m)
{
    struct pickle_text text = take_text(m, 1);
    uint64_t bits = 0;

    if (text.length > 8) {
        push_text(m, PICKLE_LONG, text);
        return;
    }
    if (text.length > 0 && (unsigned char)text.bytes[text.length - 1] >= 0x80)
        bits = UINT64_MAX; /* sign extension */
    for (size_t i = text.length; i-- > 0;)
        bits = bits << 8 | (unsigned char)text.bytes[i];
    push_integer(m, PICKLE_INT, (int64_t)bits);
}

/* ---- names, storages, tensors ---- */

static bool text_is(struct pickle_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

static int printed_length(struct pickle_text text)
{
    return text.length < 100 ? (int)text.length : 100;
}

static void push_global(struct machine *m, struct pickle_text module, struct pickle_text name)
{
    if (m->status != EARSHOT_OK)
        return;
    for (int64_t i = 0; i < GLOBAL_COUNT; i++)
        if (text_is(module, global_table[i].module) && text_is(name, global_table[i].name)) {
            push_integer(m, PICKLE_GLOBAL, i);
            return;
        }
    FAIL(m, EARSHOT_ERROR_UNSUPPORTED,
         "it asks for the Python object \"%.*s.%.*s\", which a file of weights does not need and "
         "which is never run here; save the state dict alone with torch.save, or as safetensors",
         printed_length(module), module.bytes, printed_length(name), name.bytes);
}

static void push_stack_global(struct machine *m)
{
    struct pickle_value *name = pop(m), *module = pop(m);

    if (!name || !module)
        return;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        FAIL(m, EARSHOT_ERROR_FORMAT, "a Python object is named by something that is not text");
    else
        push_global(m, module->as.text, name->as.text);
}

/* A tuple ("storage", storage type, key, location, elements[, view]). */
static void push_storage(struct machine *m)
{
    struct pickle_value *id = pop(m), *value = new_value(m, PICKLE_STORAGE);
    struct pickle_storage *storage = allocate(m, sizeof *storage);
    const struct pickle_value **item;

    if (!id || !value || !storage)
        return;
    item = id->as.list.item;
    if (id->kind != PICKLE_TUPLE || id->as.list.count < 5 ||
        !pickle_text_equals(item[0], "storage") || item[1]->kind != PICKLE_GLOBAL ||
        global_table[item[1]->as.integer].kind != GLOBAL_STORAGE_TYPE ||
        item[2]->kind != PICKLE_TEXT || item[4]->kind != PICKLE_INT) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "a persistent id is not that of a tensor storage");
        return;
    }
    if (id->as.list.count > 5 && item[5]->kind != PICKLE_NONE) {
        FAIL(m, EARSHOT_ERROR_UNSUPPORTED, "storage \"%.*s\" is a view of another storage",
             printed_length(item[2]->as.text), item[2]->as.text.bytes);
        return;
    }
    *storage = (struct pickle_storage){.key = item[2]->as.text,
                                       .dtype = global_table[item[1]->as.integer].dtype,
                                       .elements = item[4]->as.integer};
    if (storage->elements < 0 ||
        storage->elements > INT64_MAX / (int64_t)tensor_dtype_bytes(storage->dtype)) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "a storage has an impossible number of elements (%lld)",
             (long long)storage->elements);
        return;
    }
    value->as.storage = storage;
    list_append(m, &m->pickle->storage, value);
    push(m, value);
}

static bool read_sizes(struct machine *m, const struct pickle_value *tuple, int *rank,
                       int64_t out[TENSOR_RANK_MAX])
{
    if (tuple->kind != PICKLE_TUPLE)
        return false;
    if (tuple->as.list.count > TENSOR_RANK_MAX) {
        FAIL(m, EARSHOT_ERROR_UNSUPPORTED,
             "a tensor has %lld dimensions, more than the %d "
             "supported",
             (long long)tuple->as.list.count, TENSOR_RANK_MAX);
        return false;
    }
    *rank = (int)tuple->as.list.count;
    for (int i = 0; i < *rank; i++) {
        if (tuple->as.list.item[i]->kind != PICKLE_INT)
            return false;
        out[i] = tuple->as.list.item[i]->as.integer;
    }
    return true;
}

/* The last element that the strides reach must lie in the storage. */
static void check_view(struct machine *m, const struct pickle_tensor *tensor)
{
    int64_t elements, room;

    if (tensor_layout_elements(&tensor->layout, &elements, m->error) != EARSHOT_OK) {
        m->status = EARSHOT_ERROR_FORMAT;
        return;
    }
    room = tensor->offset < 0 ? -1 : tensor->storage->elements - tensor->offset;
    if (room < 0 || (elements > 0 && room < 1)) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "a tensor starts at element %lld of a storage of %lld",
             (long long)tensor->offset, (long long)tensor->storage->elements);
        return;
    }
    for (int i = 0; i < tensor->layout.rank; i++) {
        int64_t stride = tensor->layout.stride[i], steps = tensor->layout.dim[i] - 1;

        if (stride < 0)
            FAIL(m, EARSHOT_ERROR_FORMAT, "a tensor has a negative stride (%lld)",
                 (long long)stride);
        if (elements == 0 || stride <= 0 || steps <= 0)
            continue;
        if (steps > (room - 1) / stride) {
            FAIL(m, EARSHOT_ERROR_FORMAT,
                 "a tensor reaches past the end of its storage of %lld elements",
                 (long long)tensor->storage->elements);
            return;
        }
        room -= steps * stride;
    }
    if (elements > tensor->storage->elements && elements > REPEATED_ELEMENTS_MAX)
        FAIL(m, EARSHOT_ERROR_UNSUPPORTED,
             "a tensor repeats a storage of %lld elements to make %lld",
             (long long)tensor->storage->elements, (long long)elements);
}

/* _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks[, metadata]) */
static void push_tensor(struct machine *m, const struct pickle_list *argument)
{
    struct pickle_value *value = new_value(m, PICKLE_TENSOR);
    struct pickle_tensor *tensor = allocate(m, sizeof *tensor);
    int stride_rank = 0;

    if (!value || !tensor)
        return;
    *tensor = (struct pickle_tensor){0};
    if (argument->count < 6 || argument->item[0]->kind != PICKLE_STORAGE ||
        argument->item[1]->kind != PICKLE_INT ||
        !read_sizes(m, argument->item[2], &tensor->layout.rank, tensor->layout.dim) ||
        !read_sizes(m, argument->item[3], &stride_rank, tensor->layout.stride) ||
        stride_rank != tensor->layout.rank) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "a tensor has arguments of a wrong kind");
        return;
    }
    tensor->storage = argument->item[0]->as.storage;
    tensor->offset = argument->item[1]->as.integer;
    tensor->layout.dtype = tensor->storage->dtype;
    check_view(m, tensor);
    value->as.tensor = tensor;
    push(m, value);
}

/* OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
static void push_ordered_dict(struct machine *m, const struct pickle_list *argument)
{
    struct pickle_value *dict = new_value(m, PICKLE_DICT);
    const struct pickle_value *pairs = argument->count > 0 ? argument->item[0] : NULL;

    if (!dict)
        return;
    if (argument->count > 1 || (pairs && pairs->kind != PICKLE_LIST)) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "an OrderedDict has arguments of a wrong kind");
        return;
    }
    for (int64_t i = 0; pairs && i < pairs->as.list.count && m->status == EARSHOT_OK; i++) {
        const struct pickle_value *pair = pairs->as.list.item[i];

        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->as.list.count != 2) {
            FAIL(m, EARSHOT_ERROR_FORMAT, "an OrderedDict has an item that is not a pair");
            return;
        }
        list_append(m, &dict->as.list, pair->as.list.item[0]);
        list_append(m, &dict->as.list, pair->as.list.item[1]);
    }
    push(m, dict);
}

static void reduce(struct machine *m)
{
    const struct pickle_value *argument = pop(m), *global = pop(m);
    const struct pickle_list *list;

    if (!argument || !global)
        return;
    if (global->kind != PICKLE_GLOBAL || argument->kind != PICKLE_TUPLE) {
        FAIL(m, EARSHOT_ERROR_FORMAT, "it calls what is not a function");
        return;
    }
    list = &argument->as.list;
    switch (global_table[global->as.integer].kind) {
    case GLOBAL_ORDERED_DICT:
        push_ordered_dict(m, list);
        break;
    case GLOBAL_REBUILD_TENSOR:
        push_tensor(m, list);
        break;
    case GLOBAL_REBUILD_PARAMETER: /* (data, requires_grad, hooks) */
        if (list->count < 1 || list->item[0]->kind != PICKLE_TENSOR)
            FAIL(m, EARSHOT_ERROR_FORMAT, "a parameter has arguments of a wrong kind");
        else
            push(m, (struct pickle_value *)(uintptr_t)list->item[0]);
        break;
    case GLOBAL_STORAGE_TYPE:
        FAIL(m, EARSHOT_ERROR_FORMAT, "it calls a storage type");
        break;
    }
}

/* Attributes of an object: only a dict has any (OrderedDict's _metadata), and they are of no use.
 */
static void build(struct machine *m)
{
    const struct pickle_value *state = pop(m), *object = state ? peek(m, 0) : NULL;

    if (object && (object->kind != PICKLE_DICT || state->kind != PICKLE_DICT))
        FAIL(m, EARSHOT_ERROR_UNSUPPORTED, "it sets attributes (BUILD) of what is not a dict");
}

/* ---- the memo ---- */

static void memo_put(struct machine *m, uint64_t index)
{
    struct pickle_value *value = peek(m, 0);
    int64_t i = index < STACK_MAX ? (int64_t)index : STACK_MAX;

    if (value && reserve(m, (void **)&m->memo, &m->memo_capacity, sizeof *m->memo, i)) {
        m->memo[i] = value;
        m->memo_next = i + 1 > m->memo_next ? i + 1 : m->memo_next;
    }
}

static void memo_get(struct machine *m, uint64_t index)
{
    if (index >= (uint64_t)m->memo_capacity || !m->memo[index])
        FAIL(m, EARSHOT_ERROR_FORMAT, "refers to object %llu, which was not stored",
             (unsigned long long)index);
    else
        push(m, m->memo[index]);
}

static void push_mark(struct machine *m)
{
    if (reserve(m, (void **)&m->mark, &m->mark_capacity, sizeof *m->mark, m->mark_count))
        m->mark[m->mark_count++] = m->stack_count;
}

static void refuse(struct machine *m, unsigned char code)
{
    for (size_t i = 0; i < sizeof refused_opcode / sizeof refused_opcode[0]; i++)
        if (refused_opcode[i].code == code) {
            FAIL(m, EARSHOT_ERROR_UNSUPPORTED,
                 "it uses the pickle opcode %s, which torch.save does not write",
                 refused_opcode[i].name);
            return;
        }
    FAIL(m, EARSHOT_ERROR_FORMAT, "byte 0x%02x is not a pickle opcode", code);
}

/* Operands that only carry a number or text. */
static bool step_literal(struct machine *m, unsigned char code)
{
    switch (code) {
    case OP_NONE:
        return push(m, new_value(m, PICKLE_NONE)), true;
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return push_integer(m, PICKLE_BOOL, code == OP_NEWTRUE), true;
    case OP_BININT:
        return push_integer(m, PICKLE_INT, (int32_t)take_integer(m, 4)), true;
    case OP_BININT1:
        return push_integer(m, PICKLE_INT, (int64_t)take_integer(m, 1)), true;
    case OP_BININT2:
        return push_integer(m, PICKLE_INT, (int64_t)take_integer(m, 2)), true;
    case OP_LONG1:
        return push_long(m), true;
    case OP_BINFLOAT:
        return push_float(m), true;
    case OP_SHORT_BINSTRING: /* str of Python 2 */
    case OP_SHORT_BINUNICODE:
        return push_text(m, PICKLE_TEXT, take_text(m, 1)), true;
    case OP_BINSTRING:
    case OP_BINUNICODE:
        return push_text(m, PICKLE_TEXT, take_text(m, 4)), true;
    case OP_BINUNICODE8:
        return push_text(m, PICKLE_TEXT, take_text(m, 8)), true;
    case OP_EMPTY_TUPLE:
        return push(m, new_value(m, PICKLE_TUPLE)), true;
    case OP_EMPTY_LIST:
        return push(m, new_value(m, PICKLE_LIST)), true;
    case OP_EMPTY_DICT:
        return push(m, new_value(m, PICKLE_DICT)), true;
    default:
        return false;
    }
}

static void step(struct machine *m, unsigned char code)
{
    struct pickle_text module;
    int64_t count;

    if (step_literal(m, code))
        return;
    switch (code) {
    case OP_PROTO:
        if (take_integer(m, 1) > PROTOCOL_MAX)
            FAIL(m, EARSHOT_ERROR_UNSUPPORTED, "its pickle protocol is newer than %d",
                 PROTOCOL_MAX);
        break;
    case OP_FRAME: /* a hint for reading ahead */
        take(m, 8);
        break;
    case OP_MARK:
        push_mark(m);
        break;
    case OP_POP: /* on an empty group: the mark itself, as Python does */
        if (m->mark_count > 0 && available(m) == 0)
            pop_mark(m);
        else
            pop(m);
        break;
    case OP_POP_MARK:
        count = pop_mark(m);
        m->stack_count -= count > 0 ? count : 0;
        break;
    case OP_TUPLE:
        push_tuple(m, pop_mark(m));
        break;
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        push_tuple(m, code - OP_TUPLE1 + 1);
        break;
    case OP_APPEND:
        extend(m, 1, PICKLE_LIST);
        break;
    case OP_APPENDS:
        extend(m, pop_mark(m), PICKLE_LIST);
        break;
    case OP_SETITEM:
        extend(m, 2, PICKLE_DICT);
        break;
    case OP_SETITEMS:
        extend(m, pop_mark(m), PICKLE_DICT);
        break;
    case OP_BINPUT:
        memo_put(m, take_integer(m, 1));
        break;
    case OP_LONG_BINPUT:
        memo_put(m, take_integer(m, 4));
        break;
    case OP_MEMOIZE:
        memo_put(m, (uint64_t)m->memo_next);
        break;
    case OP_BINGET:
        memo_get(m, take_integer(m, 1));
        break;
    case OP_LONG_BINGET:
        memo_get(m, take_integer(m, 4));
        break;
    case OP_GLOBAL:
        module = take_line(m);
        push_global(m, module, take_line(m));
        break;
    case OP_STACK_GLOBAL:
        push_stack_global(m);
        break;
    case OP_BINPERSID:
        push_storage(m);
        break;
    case OP_REDUCE:
        reduce(m);
        break;
    case OP_BUILD:
        build(m);
        break;
    default:
        refuse(m, code);
    }
}

enum earshot_status pickle_open(const unsigned char *bytes, size_t size_bytes,
                                struct pickle **pickle, size_t *used_bytes,
                                struct earshot_error *error)
{
    struct machine m = {.bytes = bytes, .size_bytes = size_bytes, .error = error};
    size_t at = 0;

    *pickle = m.pickle = calloc(1, sizeof *m.pickle);
    if (!m.pickle)
        return error_memory(error, sizeof *m.pickle);
    while (m.status == EARSHOT_OK && !m.pickle->root) {
        const unsigned char *code;

        at = m.position;
        code = take(&m, 1);
        if (code && *code == OP_STOP)
            m.pickle->root = pop(&m);
        else if (code)
            step(&m, *code);
    }
    free(m.stack);
    free(m.memo);
    free(m.mark);
    *used_bytes = m.position;
    if (m.status != EARSHOT_OK) {
        pickle_close(m.pickle);
        *pickle = NULL;
        error_context(error, "pickle, byte %zu", at);
    }
    return m.status;
}

void pickle_close(struct pickle *pickle)
{
    if (!pickle)
        return;
    while (pickle->block) {
        struct block *next = pickle->block->next;

        free(pickle->block);
        pickle->block = next;
    }
    free(pickle);
}

const struct pickle_value *pickle_root(const struct pickle *pickle)
{
    return pickle->root;
}

int64_t pickle_storage_count(const struct pickle *pickle)
{
    return pickle->storage.count;
}

const struct pickle_storage *pickle_storage_at(const struct pickle *pickle, int64_t index)
{
    return pickle->storage.item[index]->as.storage;
}

bool pickle_text_equals(const struct pickle_value *value, const char *text)
{
    return value->kind == PICKLE_TEXT && text_is(value->as.text, text);
}

const struct pickle_value *pickle_dict_find(const struct pickle_value *dict, const char *key)
{
    if (dict->kind != PICKLE_DICT)
        return NULL;
    for (int64_t i = dict->as.list.count - 2; i >= 0; i -= 2)
        if (pickle_text_equals(dict->as.list.item[i], key))
            return dict->as.list.item[i + 1];
    return NULL;
}
